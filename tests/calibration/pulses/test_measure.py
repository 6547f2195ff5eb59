"""Thresholds, response, read disturb and retention of simulated devices, measured from their readings."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import brentq

import hwlearn as hl
from hwlearn.calibration.pulses import PulsePlan, measure_pulses
from hwlearn.device_access import PulseLimits
from hwlearn.errors import SetupError
from hwlearn_sim.devices import DeviceReadout
from hwlearn_sim.devices.model import law_of
from hwlearn_sim.twin.memristive import Memristors

LIMITS = PulseLimits(voltage=1.3, current=1e-3, width=(1e-6, 1e-4), pulses=10_000, read_voltage=0.2)
TOPOLOGY = hl.Topology.crossbar(4, 4)
NOISY = {"device_spread": 0.1, "cycle_spread": 0.05, "read_noise": 0.01, "limits": LIMITS}
SHORT = PulsePlan(readings=4, repeats=2, curve_pulses=3, disturb_readings=20)


def make(seed=3, topology=TOPOLOGY, **keys):
    return Memristors(**{**NOISY, **keys}).array(topology, seed)


def watched(array):
    """Return a list of every later request to the devices, with the current through them."""
    requests = []
    pulse, read = array._pulse, array._read

    def pulsed(k, volts, width):
        requests.append((k, volts, width, abs(volts) * array.true_conductances[k]))
        pulse(k, volts, width)

    def reading(k, volts):
        requests.append((k, volts, None, 0.0))
        return read(k, volts)

    array._pulse, array._read = pulsed, reading
    return requests


def true_threshold(array, found, up, plan):
    """Solve the law of the device for the amplitude that changes it by the share."""
    law = law_of(array._devices._inner.law, np.array([found.device]))
    start = np.array([found.low if up else found.high])
    span = np.log(found.high / found.low)

    def missing(volts):
        signed = volts if up else -volts
        if hasattr(law, "siemens"):
            w = 1.0 if up else 0.0
            before, after = law.siemens(w), law.siemens(law.after_pulse(w, -signed, LIMITS.width[1]))
        else:
            before, after = start, law.after_pulse(start, signed, LIMITS.width[1])
        return float(np.abs(np.log(after / before))[0]) / span - plan.share

    return brentq(missing, 0.05, LIMITS.voltage)


@pytest.mark.parametrize(
    ("model", "law"),
    [
        ("soft-bounds", {}),
        pytest.param("vteam", {"k_off": 5e5, "k_on": -5e5}, marks=pytest.mark.slow),
        pytest.param("vteam", {"resistance": "exponential", "k_off": 1e5, "k_on": -1e5}, marks=pytest.mark.slow),
    ],
)
def test_thresholds_within_their_stated_uncertainty(model, law):
    array = make(model=model, law=law)
    plan = PulsePlan()
    fit = measure_pulses(array, range(16), plan)
    assert [d.device for d in fit.devices] == list(range(16))
    z = np.array(
        [
            (threshold.volts - true_threshold(array, d, up, plan)) / threshold.sigma_V
            for d in fit.devices
            for up, threshold in ((True, d.set), (False, d.reset))
        ]
    )
    # for correct uncertainties these bounds on 32 values hold with a probability above 0.99
    assert np.mean(np.abs(z) < 2) >= 0.8
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.4
    assert max(d.set.sigma_V for d in fit.devices) < 0.01


def test_all_requests_respect_the_limits():
    # a device that is SET conducts 100 uS: full RESET pulses would drive 130 uA
    limits = dataclasses.replace(LIMITS, current=1e-4)
    array = make(limits=limits, read_noise=1e-6)
    requests = watched(array)
    fit = measure_pulses(array, [0, 5])
    pulses = [request for request in requests if request[2] is not None]
    assert len(fit.devices) == 2
    assert max(abs(v) for _, v, _, _ in pulses) <= limits.voltage * (1 + 1e-9)
    assert max(current for *_, current in pulses) <= limits.current * (1 + 1e-4)
    assert all(limits.width[0] <= w <= limits.width[1] for _, _, w, _ in pulses)
    assert {k for k, *_ in requests} == {0, 5}
    assert max(abs(v) for _, v, w, _ in requests if w is None) <= limits.read_voltage
    assert array.pulses.max() <= PulsePlan().most_pulses


def test_too_few_remaining_pulses_are_refused_before_the_first():
    array = make(limits=dataclasses.replace(LIMITS, pulses=300))
    requests = watched(array)
    with pytest.raises(SetupError, match=r"device 2 .* has 300 pulses left"):
        measure_pulses(array, [2])
    assert not requests


@pytest.mark.parametrize("devices", [[], [1, 1]])
def test_invalid_device_lists_are_refused(devices):
    with pytest.raises(SetupError, match="each once"):
        measure_pulses(make(), devices)


@pytest.mark.parametrize(
    "wrong", [{"readings": 1}, {"repeats": 1}, {"curve_pulses": 0}, {"share": 0.5}, {"retention_s": 0.0}]
)
def test_invalid_plans_are_refused(wrong):
    with pytest.raises(SetupError, match=next(iter(wrong))):
        PulsePlan(**wrong)


def test_stuck_devices_and_thresholds_outside_the_limits_are_reported():
    array = make(stuck_fraction=0.25)
    stuck = np.flatnonzero(array._devices.stuck)
    fit = measure_pulses(array, range(16), SHORT)
    assert list(fit.silent) == stuck.tolist()
    assert not fit.beyond
    assert len(fit.devices) == 12
    # so slow that the strongest pulse changes it by less than the share
    slow = measure_pulses(make(law={"set_step": 1e-8}, cycle_spread=0.0, read_noise=1e-4), [0], SHORT)
    assert slow.beyond == (0,) or slow.silent == (0,)
    assert not slow.devices


def test_open_devices_and_negative_readings_are_handled():
    array = make(read_noise=0.0)
    array.readout = DeviceReadout(noise_S=5e-7)  # half of the conductance of a RESET device
    array._devices._held[4], array._devices._stuck[4] = 0.0, True
    fit = measure_pulses(array, [3, 4, 5])
    assert fit.silent == (4,)
    assert {d.device for d in fit.devices} | set(fit.beyond) == {3, 5}


@pytest.mark.slow
def test_read_disturb_and_retention_are_measured():
    calm = measure_pulses(make(), range(3))
    for d in calm.devices:
        assert abs(d.disturb.value) < 4.5 * d.disturb.sigma
        assert abs(d.retention.value) < 4.5 * d.retention.sigma
    # a retention of 100 s, read for 10 s, and readings that change the state towards SET
    array = make(retention_s=100.0, read_width_s=3e-7, law={"set_scale": 0.1}, device_spread=0.0)
    disturbed = measure_pulses(array, range(2))
    law = array._devices._inner.law
    for d in disturbed.devices:
        assert d.retention.value < -5 * d.retention.sigma
    first = disturbed.devices[0]
    g = [first.low]
    for _ in range(200):
        g.append(float(law_of(law, np.array([0])).after_pulse(g[-1], 0.2, 3e-7)[0]))
    x = np.arange(200) / 1000
    slope = np.polyfit(x, g[1:], 1)[0] / np.mean(g[1:])
    assert first.disturb.value > 5 * first.disturb.sigma
    assert first.disturb.value == pytest.approx(slope, rel=0.1)


def test_response_grows_with_pulse_number_amplitude_and_width():
    (found,) = measure_pulses(make(cycle_spread=0.01, read_noise=0.002), [3]).devices
    assert len(found.curves) == 8
    for curve in found.curves:
        step = np.diff(curve.conductance) * np.sign(curve.amplitude)
        assert step[0] > 0
        assert np.all(step > -5 * np.hypot(curve.sigma[1:], curve.sigma[:-1]) - 1e-3 * found.high)
    gain = {(c.amplitude, c.width): abs(np.log(c.conductance[1] / c.conductance[0])) for c in found.curves}
    for (volts, width), moved in gain.items():
        stronger = [m for (v, w), m in gain.items() if v * volts > 0 and abs(v) >= abs(volts) and w >= width]
        assert moved <= min(stronger) * 1.05
    number = found.log[:, 0]
    assert number.tolist() == list(range(len(number)))
