"""Memristive devices on a virtual matrix bench: the real drivers pulse, program and calibrate them."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibration.pulses import PulsePlan, measure_pulses
from hwlearn.errors import LimitError, SetupError
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings
from hwlearn_sim.devices.soft_bounds import SoftBounds, SoftBoundsLaw
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.pulsed import PulsedEdges
from hwlearn_sim.plane.sources import VoltageSource

LIMITS = hl.Limits(voltage=1.0, drop=2.0, nudge=0.2, current=1e-3, conductance=(2e-6, 1e-4))
CROSSBAR = hl.Topology.crossbar(3, 2)


def opened(scheme="half", **keys):
    rows = {"A": {"source": "smu1:a"}, "C": {"source": "smu1:b"}, "B": {"read": "smu2:a"}, "H": "ground"}
    pulses = {"voltage": "1 V", "current": "500 uA", "width": ["1 ms", "20 ms"], "tolerance": 0.02}
    table = {
        "instruments": [
            {"name": "smu1", "model": "2612B"},
            {"name": "smu2", "model": "2611B"},
            {
                "name": "mat1",
                "model": "707B",
                "cards": {"1": "7174A"},
                "max_voltage": "200 V",
                "max_current": "1 A",
            },
        ],
        "matrix": {
            "instrument": "mat1",
            "rows": rows,
            "columns": {name: k + 1 for k, name in enumerate(CROSSBAR.names)},
        },
        "edges": "devices",
        "devices": {"read_voltage": "0.1 V", "scheme": scheme, "pulses": pulses},
        "memristor": {
            "model": "soft-bounds",
            "law": {"width_s": 2e-3},
        },
        "noise": 0.1,
        "seed": 3,
        "driver": {"timeout": 5.0},
        **keys,
    }
    return VirtualMixedBackend().open(VirtualMixedSettings(**table), CROSSBAR, LIMITS)


def test_interval_between_changes_acts_like_one_pulse():
    """The referee is the law itself: 3 ms at 0.8 V, of which a reading takes the first, are one pulse of 3 ms."""
    law = SoftBoundsLaw(width_s=1e-3)
    devices = SoftBounds(law, 2, np.random.default_rng(0), np.random.default_rng(1))
    before, now = devices.conductance.copy(), [0.0]
    graph = hl.Topology(3, [(0, 2), (0, 1)], inputs=[0], outputs=[1], ground=2)  # the second has an open end
    plane = AnalogPlane(graph, before)
    channel = plane.attach(0)
    PulsedEdges(plane, plane.topology.edges, devices, clock=lambda: now[0])
    now[0] = 5.0
    plane.drive(channel, VoltageSource(0.8, 1e-2))
    now[0] += 1e-3
    assert plane.read(channel).amperes == pytest.approx(0.8 * law.after_pulse(before[0], 0.8, 1e-3))
    now[0] += 2e-3
    plane.drive(channel, VoltageSource(0.0, 1e-2))
    now[0] += 100.0
    plane.drive(channel, VoltageSource(0.1, 1e-2))
    np.testing.assert_allclose(plane.conductances, [law.after_pulse(before[0], 0.8, 3e-3), before[1]], rtol=1e-9)


@pytest.mark.parametrize("positive", ["first", "second"])
def test_pulse_through_the_matrix_changes_one_device(positive):
    devices = {"read_voltage": "0.1 V", "positive": positive, "pulses": {"voltage": "1 V", "current": "500 uA"}}
    devices["pulses"]["width"] = ["1 ms", "20 ms"]
    with opened(devices=devices) as network:
        network.devices.read(2, 0.1)
        before = network.true_conductances.copy()
        network.devices.pulse(2, 1.0, 5e-3)
        moved = network.true_conductances / before - 1
        assert moved[2] > 0.1
        assert np.abs(np.delete(moved, 2)).max() < 0.01  # half of the voltage: sinh(10) of sinh(20)
        assert network.devices.read(2, 0.1) == pytest.approx(network.true_conductances[2], rel=0.02)
        with pytest.raises(LimitError):
            network.devices.pulse(2, 1.1, 5e-3)
        assert not network.bench.instrument("mat1").relays.hot_moves


@pytest.mark.slow
def test_network_is_programmed_and_calibrated_with_one_source_unit():
    """Write-verify reaches its targets, and the step `pulses` finds the bounds that the devices have."""
    with opened(
        memristor={"model": "soft-bounds", "law": {"width_s": 2e-3, "g_min": 5e-6, "g_max": 8e-5}}
    ) as network:
        targets = np.linspace(1.5e-5, 5e-5, CROSSBAR.n_edges)
        done = network.program(targets)
        assert not done.failed.any()
        np.testing.assert_allclose(network.true_conductances, targets, rtol=0.06)
        x = np.array([[0.2, 0.0, 0.2]])
        np.testing.assert_allclose(network.measure(x).voltages, network.true_outputs(x), atol=1e-3)
        plan = PulsePlan(readings=2, repeats=2, curve_pulses=2, disturb_readings=3, retention_s=0.1)
        (found,) = measure_pulses(network.devices, [2], plan).devices
        assert 5e-6 * 0.9 < found.low < 1.5e-5
        assert 6e-5 < found.high < 8e-5 * 1.05
        assert not network.bench.instrument("mat1").relays.hot_moves


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"memristor": None}, "add backend.memristor"),
        ({"memristor": {"model": "soft-bounds", "scheme": "V/2"}}, "memristor.scheme does not apply"),
        ({"device_spread": 0.1}, "device_spread does not apply to memristors"),
        ({"edges": "50 uS", "devices": None}, "is for edges = 'devices'"),
    ],
)
def test_contradictions_are_refused(keys, text):
    with pytest.raises(SetupError, match=text):
        opened(**keys)
