"""The bench file of docs/arc2.md on a simulated instrument of full size."""

import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from arc2_rig import LIMITS, FakeLibrary, World, settings, world_of

import hwlearn as hl
from hwlearn.calibration.pulses import PulsePlan, measure_pulses
from hwlearn.lab.bench import backends
from hwlearn_drivers.arc2 import backend as arc2_backend
from hwlearn_drivers.arc2.backend import Arc2Backend
from hwlearn_drivers.arc2.wiring import COLUMNS, ROWS

PAGE = (Path(__file__).parents[3] / "docs" / "arc2.md").read_text(encoding="utf-8")


@pytest.fixture
def registered(monkeypatch):
    """Register the backend as an installed package does."""
    point = EntryPoint("arc2", "hwlearn_drivers.arc2.backend:Arc2Backend", backends.GROUP)
    monkeypatch.setattr(backends, "entry_points", lambda group: [point])


def full_size(rows=32, columns=32, seed=1):
    g = 10 ** np.random.default_rng(seed).uniform(-5.7, -4.5, (rows, columns))
    world = World({(ROWS[r], COLUMNS[c]): g[r, c] for r in range(rows) for c in range(columns)})
    return world, g


def test_documented_bench_file_measures(registered, tmp_path, monkeypatch):
    world, g = full_size(14, 11)
    monkeypatch.setattr(arc2_backend, "load_library", lambda: FakeLibrary(world))
    firmware = tmp_path / re.search(r'firmware = "(.+)"', PAGE)[1]
    firmware.touch()
    monkeypatch.chdir(tmp_path)
    text = re.search(r"```toml\n(.+?)```", PAGE, re.DOTALL)[1]
    (tmp_path / "bench.toml").write_text(text)
    with hl.open_bench(tmp_path / "bench.toml") as bench:
        kept = tomllib.loads(bench.text())["backend"]
        assert Arc2Backend.Settings.model_validate(kept).pulses.current == 2e-4
        x = bench.data.inputs[:5]
        read = bench.network.measure(x)
        V = hl.Kirchhoff(bench.topology, g.ravel()).solve(x)
        np.testing.assert_allclose(read.voltages, V[:, bench.topology.outputs], atol=2e-6)
    assert world.at_0_V


def test_channels_of_a_full_array_are_wired_correctly(tmp_path, monkeypatch):
    world, g = full_size()
    monkeypatch.setattr(arc2_backend, "load_library", lambda: FakeLibrary(world))
    firmware = tmp_path / "fw.bin"
    firmware.touch()
    limits = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=2e-3, conductance=(1e-6, 5e-5))
    topology = hl.Topology.crossbar(32, 32, inputs=range(20), outputs=range(0, 32, 3))
    with Arc2Backend.open(settings(firmware), topology, limits) as network:
        chosen = np.random.default_rng(0).choice(1024, 60, replace=False)
        found = [network.array.read(int(k), 0.1) for k in chosen]
        np.testing.assert_allclose(found, g.ravel()[chosen], rtol=1e-6)
        network.array.read_unknown = lambda: None  # the assumed conductance is used for the others
        x = np.random.default_rng(2).uniform(-0.2, 0.2, (2, 20))
        read = network.measure(x)
        np.testing.assert_allclose(read.nodes, hl.Kirchhoff(topology, g.ravel()).solve(x), atol=2e-6)


@pytest.mark.slow
def test_network_trains_with_pulses(tmp_path, monkeypatch):
    world = world_of(np.full((4, 3), 2e-5))
    world.noise_A = 1e-10

    def after(low, high, volts, nanos):
        if abs(volts) >= 0.7:
            g, bound = world.siemens[high, low], 9e-5 if volts > 0 else 2e-6
            world.siemens[high, low] = g + 0.06 * (abs(volts) - 0.69) * (bound - g)

    world.after_pulse = after
    monkeypatch.setattr(arc2_backend, "load_library", lambda: FakeLibrary(world))
    firmware = tmp_path / "fw.bin"
    firmware.touch()
    topology = hl.Topology.crossbar(4, 3, inputs=[0, 1, 2], outputs=[0, 1])
    rng = np.random.default_rng(4)
    x = rng.uniform(-0.5, 0.5, (8, 3))
    goal = hl.Kirchhoff(topology, 10 ** rng.uniform(-5.2, -4.4, 12)).solve(x)[:, topology.outputs]
    pulses = {"voltage": "2 V", "current": "500 uA", "width": ["1 us", "1 us"]}
    with Arc2Backend.open(settings(firmware, pulses=pulses), topology, LIMITS) as network:
        model = hl.Kirchhoff(topology, np.full(12, 2e-5))
        trainer = hl.Trainer(
            network, hl.GEP(nudge=hl.ClampNudge()), hl.MSE(), hl.Adam(0.1, scale="log"), model=model
        )
        trainer.fit(x, goal, 5)
        off = network.measure(x).voltages - goal
    start = hl.Kirchhoff(topology, np.full(12, 2e-5)).solve(x)[:, topology.outputs] - goal
    assert np.mean(off**2) < 0.2 * np.mean(start**2)
    assert max(abs(p[2]) for p in world.pulses) <= 2.0
    assert world.at_0_V


def test_devices_are_accessible_if_pulses_are_allowed(tmp_path, monkeypatch):
    world = world_of(np.full((2, 2), 2e-5))
    world.noise_A = 1e-10

    def after(low, high, volts, nanos):
        overdrive = max(abs(volts) - 0.6, 0.0)
        bound = 9e-5 if volts > 0 else 2e-6
        g = world.siemens[high, low]
        world.siemens[high, low] = g + min(0.9, overdrive) * (bound - g)

    world.after_pulse = after
    monkeypatch.setattr(arc2_backend, "load_library", lambda: FakeLibrary(world))
    firmware = tmp_path / "fw.bin"
    firmware.touch()
    topology = hl.Topology.crossbar(2, 2, inputs=[0, 1], outputs=[0, 1])
    with Arc2Backend.open(settings(firmware, pulses=None), topology, LIMITS) as network:
        assert network.devices is None
    pulses = {"voltage": "2 V", "current": "500 uA", "width": ["1 us", "1 us"]}
    plan = PulsePlan(readings=4, repeats=2, curve_pulses=3, disturb_readings=20, retention_s=0.01)
    with Arc2Backend.open(settings(firmware, pulses=pulses), topology, LIMITS) as network:
        (found,) = measure_pulses(network.devices, [1], plan).devices
    assert 0.6 < found.set.volts < 1.0
    assert 0.6 < found.reset.volts < 1.0
    assert max(abs(p[2]) for p in world.pulses) <= 2.0
    assert world.at_0_V
