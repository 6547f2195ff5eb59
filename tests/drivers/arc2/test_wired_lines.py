"""A crossbar whose lines have resistance on an ArC TWO: the same channels and requests as with ideal lines."""

import numpy as np
import pytest
from arc2_rig import LIMITS, FakeLibrary, array_of, crossbar, settings, world_of

import hwlearn as hl
from hwlearn.errors import LimitError
from hwlearn_drivers.arc2 import backend as arc2_backend
from hwlearn_drivers.arc2.backend import Arc2Backend

X = np.array([[0.5, -0.2, 0.1], [0.0, 0.4, -0.5]])


@pytest.fixture
def world(monkeypatch):
    """The simulated array has ideal lines; the graph of the bench decides what is expected of it."""
    world = world_of(array_of())
    monkeypatch.setattr(arc2_backend, "load_library", lambda: FakeLibrary(world))
    return world


@pytest.fixture
def firmware(tmp_path):
    path = tmp_path / "fw.bin"
    path.touch()
    return path


def wired():
    return hl.Topology.crossbar(4, 3, inputs=[0, 1, 2], outputs=[0, 1], wire_resistance=100.0)


def test_lines_with_resistance_use_the_same_channels(world, firmware):
    with Arc2Backend.open(settings(firmware), wired(), LIMITS) as network:
        read = network.measure(X)
        assert network.topology.n_nodes == 4 + 3 + 24
        assert read.nodes is None
        assert network.devices.read(5, 0.1) == pytest.approx(array_of().ravel()[5], rel=0.01)
    with Arc2Backend.open(settings(firmware), crossbar(), LIMITS) as network:
        ideal = network.measure(X)
    np.testing.assert_allclose(read.voltages, ideal.voltages, atol=1e-9)
    np.testing.assert_allclose(read.source_currents, ideal.source_currents, atol=1e-12)
    assert world.at_0_V


def test_expected_current_counts_the_devices_of_a_line(world, firmware):
    small = hl.Limits(voltage=1.0, drop=1.5, nudge=0.3, current=2e-5, conductance=(1e-6, 1e-4))
    pulses = {"voltage": "2 V", "current": "20 uA", "width": ["100 ns", "1 ms"], "most": 50}
    with (
        Arc2Backend.open(settings(firmware, pulses=pulses), wired(), small) as network,
        pytest.raises(LimitError, match="are expected at row"),
    ):
        network.measure(X)
