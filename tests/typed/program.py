"""A program of a user, with annotations everywhere: type checkers must know every public name that it uses."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hwlearn as hl
from hwlearn.arrays import FloatArray
from hwlearn.calibration import NoiseFit, measure_noise
from hwlearn.errors import HwlearnError, LimitError
from hwlearn.learning.records import Epoch
from hwlearn.network.backend import Backend
from hwlearn.quantities import Section
from hwlearn.testing import NetworkContract
from hwlearn_drivers.board.backend import BoardBackend
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_sim import EdgeFault, Imperfections, KirchhoffTwin, PlacedSmu, VirtualBench
from hwlearn_sim.fixtures import FaultInjector, ServedInstrument, TwinFactory


class TwinSettings(Section):
    """Keys of a backend."""

    seed: int = 0


class TwinBackend:
    """A backend of one's own."""

    Settings = TwinSettings

    def open(self, settings: TwinSettings, topology: hl.Topology, limits: hl.Limits) -> hl.Network:
        return KirchhoffTwin(topology, limits, seed=settings.seed)


class TestTwin(NetworkContract):
    """Its tests."""

    def make_network(self) -> hl.Network:
        topology, limits = made()
        return TwinBackend().open(TwinSettings(), topology, limits)


class Scores(hl.Callback):
    """Keeps the scores of a training."""

    def __init__(self) -> None:
        self.scores: list[float] = []

    def on_epoch(self, epoch: Epoch) -> None:
        self.scores.append(epoch.train.cost)


def made() -> tuple[hl.Topology, hl.Limits]:
    """Return a network and its limits."""
    topology = hl.Topology.random(8, 14, inputs=3, outputs=2, seed=1)
    limits = hl.Limits("500 mV", "1 V", 0.2, "1 mA", conductance=("1 uS", "100 uS"))
    return topology, limits


def circuits(topology: hl.Topology, siemens: FloatArray) -> float:
    """Solve, differentiate, write and read a circuit."""
    model = hl.Kirchhoff(topology, siemens)
    volts: FloatArray = model.solve([[0.1, 0.2, 0.3]])
    gradient: FloatArray = model.gradient([[0.1, 0.2, 0.3]], np.ones((1, topology.n_outputs)))
    names: Sequence[str] = topology.names
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.cir"
        hl.write_spice(topology, siemens, file)
        again: hl.Topology = hl.read_spice(file).topology
    nonlinear = topology.with_elements(hl.elements.Sinh(0.1))
    return float(volts.sum() + gradient.sum()) + len(names) + again.n_edges + nonlinear.n_edges


def trained(network: hl.Network, inputs: FloatArray, targets: FloatArray) -> hl.History:
    """Train a network by each rule."""
    rules: list[hl.GEP | hl.Analytic | hl.SPSA] = [
        hl.GEP(hl.ClampNudge(), symmetric=False),
        hl.EquilibriumPropagation(),
        hl.CoupledLearning(),
        hl.Analytic(),
        hl.SPSA(seed=1),
    ]
    optimizers = (hl.Adam(0.05, scale="log"), hl.SGD(0.1), hl.Momentum(0.1), hl.Sign(0.02), hl.Potentiometer())
    scores = Scores()
    history: hl.History | None = None
    for rule, optimizer in zip(rules, optimizers, strict=True):
        trainer = hl.Trainer(network, rule, hl.MSE(), optimizer, subset=hl.RandomEdges(0.5, seed=2))
        history = trainer.fit(inputs, targets, hl.Schedule(2, anneal=0.5), callbacks=[scores])
    assert history is not None
    values: NDArray[np.float64] = history.values
    stopped: str = history.stopped
    assert (values.ndim, stopped, len(scores.scores)) == (1, "finished", 2 * len(rules))
    return history


def measured(network: hl.Network) -> FloatArray:
    """Measure in every way."""
    inputs = np.zeros((2, network.topology.n_inputs))
    drive = hl.OutputDrive.clamp(np.zeros((2, network.topology.n_outputs)))
    read: hl.Readout = network.measure(inputs, drive)
    currents: FloatArray | None = read.output_currents
    phases: hl.TwoPhase = network.two_phase(inputs, hl.TargetError(np.zeros((2, 2))), hl.ClampNudge())
    programmed: hl.Programmed = network.program(np.full(network.topology.n_edges, 1e-5))
    failed: NDArray[np.bool_] = programmed.failed
    try:
        network.measure(inputs + 100.0)
    except LimitError as error:
        text: str = str(error)
        assert text
    noise: NoiseFit = measure_noise(network)
    assert noise is not None
    return phases.free.voltages if currents is None or failed.any() else read.voltages


def benches(folder: Path) -> tuple[hl.Run, int]:
    """Train a bench, record it, and read the run."""
    with hl.open_bench("regression", {"train.epochs": 2}) as bench:
        history: hl.History = bench.train(record=folder, progress=False, note="typed")
        score: float = bench.evaluate(history).measured.cost
    assert bench.run_folder is not None
    assert score >= 0
    run: hl.Run = hl.open_run(bench.run_folder)
    found: list[hl.Run] = hl.runs(folder, filters=["bench=regression"])
    readings: dict[str, NDArray[np.generic]] = dict(run.readings(0))
    conductances: FloatArray = run.conductances()
    assert (len(found), len(readings) > 0, conductances.ndim) == (1, True, 1)
    return run, run.steps()


def virtual() -> str:
    """Serve an instrument, and inject faults."""
    divider = hl.Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)
    faults = FaultInjector()
    with VirtualBench(divider, [PlacedSmu("smu", "2450", (1,))], conductances=1e-3) as bench:
        faults.wire(bench, "dropped", instrument="smu")
        faults.clear()
        served = ServedInstrument("smu", bench)
        on: tuple[int, ...] = served.outputs_on
        assert on == ()
        return served.address


def twins(kirchhoff_twin: TwinFactory) -> KirchhoffTwin:
    """Use the fixture of the pytest plugin."""
    flaws = Imperfections(read_noise_V=1e-3, faults=(EdgeFault(3, [1]),))
    return kirchhoff_twin(imperfections=flaws, seed=4, averages=2)


def main() -> None:
    """Do all of it."""
    topology, limits = made()
    backends: tuple[Backend, ...] = (TwinBackend(), SmuBackend(), BoardBackend())
    assert len(backends) == 3
    circuits(topology, np.full(topology.n_edges, 1e-5))
    try:
        with TwinBackend().open(TwinSettings(seed=1), topology, limits) as network:
            trained(network, np.full((4, 3), 0.1), np.full((4, 2), 0.05))
            measured(network)
    except HwlearnError as error:
        raise SystemExit(str(error)) from error
    with tempfile.TemporaryDirectory() as folder:
        run, steps = benches(Path(folder))
        print(run.name, steps)
    print(virtual())


if __name__ == "__main__":
    main()
