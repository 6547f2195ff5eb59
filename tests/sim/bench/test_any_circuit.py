"""Virtual benches on circuits with diodes, sinh elements and wires: readings and training with real drivers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rehearsals import BOARD, CIRCUITS, SMUS, bench_text

import hwlearn as hl
from hwlearn.network.nudges import OutputDrive

INSTRUMENTS = {
    "SMUs": SMUS.replace("device_spread", "noise = 0.0\ndevice_spread"),
    "board": BOARD.replace('read_noise = "100 uV"\n', ""),
}
BenchFile = Callable[..., Path]


@pytest.fixture
def bench_file(tmp_path: Path) -> BenchFile:
    """Return a function that writes the bench file of a circuit on instruments, without noise unless given."""

    def write(circuit: str, instruments: str, text: str = "") -> Path:
        file = tmp_path / "bench.toml"
        file.write_text(bench_text(circuit, text or INSTRUMENTS[instruments]), encoding="utf-8")
        return file

    return write


@pytest.mark.share(4)
@pytest.mark.parametrize("instruments", INSTRUMENTS)
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_readings_are_those_of_kirchhoff(circuit, instruments, bench_file: BenchFile):
    """Free and nudged readings of the real drivers against the exact circuit, to the resolution of converters."""
    with hl.open_bench(bench_file(circuit, instruments)) as bench:
        network, x = bench.network, bench.data.inputs[:2]
        top = network.topology
        network.program(np.random.default_rng(1).uniform(2e-5, 9e-5, top.n_edges))
        model = hl.Kirchhoff(top, network.true_conductances)
        free = network.measure(x)
        step = {"SMUs": 5e-5, "board": 2e-4}[instruments]  # steps of the sources, and of the meters
        V = model.solve(x)[:, top.outputs]
        np.testing.assert_allclose(free.voltages, V, rtol=0, atol=step)
        target = free.voltages + 0.05
        if instruments == "SMUs":
            nudged = network.measure(x, OutputDrive.clamp(target))
            expected = model.output_currents(model.solve(x, clamped=target))
            np.testing.assert_allclose(nudged.output_currents, expected, rtol=1e-3, atol=1e-7)
        else:
            kappa = network.bench.plane.topology.fixed_conductances[-top.n_outputs :]
            nudged = network.measure(x, OutputDrive.resistor(target, kappa))
            expected = model.solve_behind(x, target, kappa)[0][:, top.outputs]
            np.testing.assert_allclose(nudged.voltages, expected, rtol=0, atol=step)
            assert np.abs(expected - V).min() > 10 * step


@pytest.mark.share(1)
@pytest.mark.parametrize(
    ("circuit", "instruments"),
    [
        ("diodes", "SMUs"),
        ("wires", "board"),
        pytest.param("diodes", "board", marks=pytest.mark.slow),
        pytest.param("wires", "SMUs", marks=pytest.mark.slow),
        pytest.param("wires and sinh", "board", marks=pytest.mark.slow),
        pytest.param("sinh", "SMUs", marks=pytest.mark.slow),
    ],
)
def test_short_training_learns(circuit, instruments, bench_file: BenchFile):
    with hl.open_bench(bench_file(circuit, instruments), {"train.epochs": 6}) as bench:
        before = bench.evaluate().measured.rms_error_V
        bench.train()
        assert bench.evaluate().measured.rms_error_V < 0.6 * before


def test_diodes_matter(bench_file: BenchFile):
    """Without its diodes, the circuit of these tests and of the campaign has outputs that are far away."""
    with hl.open_bench(bench_file("diodes", "SMUs")) as bench:
        top, x = bench.network.topology, bench.data.inputs
    g = np.geomspace(2e-6, 1e-4, top.n_edges)
    without = hl.Topology(top.n_nodes, top.edges, top.inputs, top.outputs, top.ground)
    apart = hl.Kirchhoff(top, g).solve(x) - hl.Kirchhoff(without, g).solve(x)
    assert np.abs(apart[:, top.outputs]).max() > 2e-2


def test_restored_bench_continues_bit_for_bit(bench_file: BenchFile):
    """Noise, devices and readings of a bench with diodes go on as if it had never been closed."""
    file, begun, readings = bench_file("diodes", "SMUs", SMUS), {}, []
    for restored in (False, True):
        with hl.open_bench(file) as bench:
            network, x = bench.network, bench.data.inputs
            assert network.simulation is not None
            if restored:
                network.simulation.restore(begun)
            else:
                network.program(np.linspace(2e-5, 9e-5, network.topology.n_edges))
                network.measure(x[::-1])
                network.measure(x[:1], OutputDrive.clamp([[0.1, -0.1]]))
                begun = network.simulation.state()
            nudged = network.measure(x, OutputDrive.clamp(np.full((len(x), 2), 0.05)))
            readings.append((nudged.output_currents, network.measure(x).voltages))
    for before, after in zip(*readings, strict=True):
        np.testing.assert_array_equal(before, after)
