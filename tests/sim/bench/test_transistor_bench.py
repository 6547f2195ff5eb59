"""Transistors behind virtual source-measure units and their sockets, with an edge card of DACs at the gates."""

import numpy as np
import pytest
from transistor_circuits import DEVICE

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC
from hwlearn.errors import CircuitError, LimitError, SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.bench.mixed import VirtualMixedBackend
from hwlearn_sim.bench.smu_backend import VirtualSmuBackend

LIMITS = hl.Limits(1.0, 2.0, 0.2, 0.02, values={"gate voltage": ("400 mV", "8 V")})
TOP = hl.Topology.grid(3, 3, [0, 2], [5, 7], 8).with_elements(DEVICE)
X = np.array([[0.1, 0.4], [0.35, 0.1]])
SPREAD = {"vto": "10 mV", "kp": "0.5 %"}


def opened(topology=TOP, **keys):
    backend = VirtualSmuBackend()
    settings = backend.Settings.model_validate({"model": "2612B", "positions": 4096, "seed": 3, **keys})
    return backend.open(settings, topology, LIMITS)


def test_gates_are_programmed_measured_and_trained_through_the_drivers():
    with opened(device_spread=SPREAD, noise=0.0) as network:
        rng = np.random.default_rng(1)
        values = rng.uniform(1.0, 7.0, TOP.n_edges)
        reached = network.program(values).reached
        assert np.abs(reached - values).max() <= 0.5001 * 7.6 / 4095
        twin = KirchhoffTwin(TOP, LIMITS, Imperfections(device_spread={"vto": 10e-3, "kp": 5e-3}), seed=3)
        twin.program(reached)
        assert np.abs(network.true_outputs(X) - twin.true_outputs(X)).max() < 1e-9  # equal seeds, equal devices
        assert np.abs(network.measure(X).voltages - twin.measure(X).voltages).max() < 1e-4
        with pytest.raises(LimitError, match=r"9 V at edge 0 .*gate voltage, 400 mV to 8 V"):
            network.program(np.full(TOP.n_edges, 9.0))
        targets = hl.Kirchhoff(TOP, rng.uniform(2.0, 6.0, TOP.n_edges)).solve(X)[:, TOP.outputs]
        rule = hl.CoupledLearning(0.5, symmetric=False)
        history = hl.Trainer(network, rule, hl.MSE(), hl.Adam(0.04)).fit(X, targets, 10)
        errors = [epoch.train.rms_error_V for epoch in history.epochs]
        assert min(errors) < 0.5 * errors[0]


CARD = {"name": "gates", "model": "edge-card", "gate": ["400 mV", "8 V"], "positions": 4096}
MIXED_BENCH = {
    "instruments": [{"name": name, "model": "2612B"} for name in ("in", "out")] + [CARD],
    "terminals": [{"node": TOP.names[node], "source": f"in:{k + 1}"} for k, node in enumerate((0, 2))]
    + [
        {"node": TOP.names[node], "read": f"out:{k + 1}", "nudge": f"out:{k + 1}"} for k, node in enumerate((5, 7))
    ],
    "edges": {"programmer": "gates"},
    "noise": 0.0,
    "seed": 3,
}


def test_mixed_bench_programs_gates_and_measures_the_same_circuit():
    backend = VirtualMixedBackend()
    with backend.open(backend.Settings.model_validate(MIXED_BENCH), TOP, LIMITS) as network:
        reached = network.program(np.random.default_rng(1).uniform(1.0, 7.0, TOP.n_edges)).reached
        V = hl.Kirchhoff(TOP, reached).solve(X)[:, TOP.outputs]
        assert np.abs(network.measure(X).voltages - V).max() < 1e-4
        moved = network.measure(X, hl.OutputDrive.clamp(V + 0.01))
        assert np.abs(moved.voltages - V - 0.01).max() < 1e-4
        assert (moved.output_currents > 1e-6).all()


def test_what_a_card_cannot_set_is_refused():
    mixed = TOP.with_elements([OHMIC, *[DEVICE] * (TOP.n_edges - 1)])
    with pytest.raises(SetupError, match="conductance and gate voltage; use the backend 'sim'"):
        opened(mixed)
    backend = VirtualMixedBackend()
    resistors = {**MIXED_BENCH, "instruments": [*MIXED_BENCH["instruments"][:2], {**CARD, "gate": None}]}
    settings = backend.Settings.model_validate(resistors)
    with pytest.raises(SetupError, match=r"sets values in S .*the edges have a gate voltage"):
        backend.open(settings, TOP, LIMITS)
    with pytest.raises(CircuitError, match="fixed edges cannot have elements of three terminals"):
        opened(edges=1e-4)
