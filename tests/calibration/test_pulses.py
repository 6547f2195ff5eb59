"""Thresholds, response, read disturb and retention, found on simulated devices from readings alone."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import brentq

import hwlearn as hl
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibration.pulses import PulsePlan, measure_pulses
from hwlearn.device_access import PulseLimits
from hwlearn.errors import SetupError
from hwlearn.lab.bench.bench import open_bench
from hwlearn.lab.calibration.calibrate import calibrate
from hwlearn.lab.calibration.job import CalibrationOptions
from hwlearn.lab.calibration.journal import Journal, JournaledDevices
from hwlearn.lab.calibration.result import StepResult
from hwlearn.lab.calibration.steps import STEPS
from hwlearn_sim.devices.model import law_of
from hwlearn_sim.twin.memristive import Memristors

LIMITS = PulseLimits(voltage=1.3, current=1e-3, width=(1e-6, 1e-4), pulses=10_000, read_voltage=0.2)
TOPOLOGY = hl.Topology.crossbar(4, 4)
NOISY = {"device_spread": 0.1, "cycle_spread": 0.05, "read_noise": 0.01, "limits": LIMITS}
SHORT = PulsePlan(readings=4, repeats=2, curve_pulses=3, disturb_readings=20)


def make(seed=3, topology=TOPOLOGY, **keys):
    return Memristors(**{**NOISY, **keys}).array(topology, seed)


def watched(array):
    """Note every request that reaches the devices, with the current that it drives through them."""
    asked = []
    pulse, read = array._pulse, array._read

    def pulsed(k, volts, width):
        asked.append((k, volts, width, abs(volts) * array.true_conductances[k]))
        pulse(k, volts, width)

    def reading(k, volts):
        asked.append((k, volts, None, 0.0))
        return read(k, volts)

    array._pulse, array._read = pulsed, reading
    return asked


def true_threshold(array, found, up, plan):
    """Solve the device's own law for the amplitude that moves it by the share."""
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
        ("vteam", {"k_off": 5e5, "k_on": -5e5}),
        ("vteam", {"resistance": "exponential", "k_off": 1e5, "k_on": -1e5}),
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
    # 32 of them: the bounds hold for true uncertainties with probability above 0.99
    assert np.mean(np.abs(z) < 2) >= 0.8
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.4
    assert max(d.set.sigma_V for d in fit.devices) < 0.01


def test_nothing_leaves_the_limits_and_pulses_are_bounded():
    # a device that is SET conducts 100 uS: full RESET pulses would drive 130 uA
    limits = dataclasses.replace(LIMITS, current=1e-4)
    array = make(limits=limits, read_noise=1e-6)
    asked = watched(array)
    fit = measure_pulses(array, [0, 5])
    pulses = [request for request in asked if request[2] is not None]
    assert len(fit.devices) == 2
    assert max(abs(v) for _, v, _, _ in pulses) <= limits.voltage * (1 + 1e-9)
    assert max(current for *_, current in pulses) <= limits.current * (1 + 1e-4)
    assert all(limits.width[0] <= w <= limits.width[1] for _, _, w, _ in pulses)
    assert {k for k, *_ in asked} == {0, 5}
    assert max(abs(v) for _, v, w, _ in asked if w is None) <= limits.read_voltage
    assert array.pulses.max() <= PulsePlan().most_pulses


def test_too_few_pulses_left_are_refused_before_anything_is_applied():
    array = make(limits=dataclasses.replace(LIMITS, pulses=300))
    asked = watched(array)
    with pytest.raises(SetupError, match=r"device 2 .* has 300 pulses left"):
        measure_pulses(array, [2])
    assert not asked


@pytest.mark.parametrize("devices", [[], [1, 1]])
def test_which_devices_make_no_sense(devices):
    with pytest.raises(SetupError, match="each once"):
        measure_pulses(make(), devices)


@pytest.mark.parametrize(
    "wrong", [{"readings": 1}, {"repeats": 1}, {"curve_pulses": 0}, {"share": 0.5}, {"retention_s": 0.0}]
)
def test_plans_that_make_no_sense(wrong):
    with pytest.raises(SetupError, match=next(iter(wrong))):
        PulsePlan(**wrong)


def test_stuck_devices_are_silent_and_thresholds_beyond_the_limits_are_told():
    array = make(stuck_fraction=0.25)
    stuck = np.flatnonzero(array._devices.stuck)
    fit = measure_pulses(array, range(16), SHORT)
    assert list(fit.silent) == stuck.tolist()
    assert not fit.beyond
    assert len(fit.devices) == 12
    # so slow that the strongest pulse moves it by less than the share
    slow = measure_pulses(make(law={"set_step": 1e-8}, cycle_spread=0.0, read_noise=1e-4), [0], SHORT)
    assert slow.beyond == (0,) or slow.silent == (0,)
    assert not slow.devices


def test_open_devices_and_readings_below_zero_are_no_obstacle():
    array = make(read_noise=0.0)
    array._read_noise_S = 5e-7  # half of what a device conducts that is RESET
    array._devices._held[4], array._devices._stuck[4] = 0.0, True
    fit = measure_pulses(array, [3, 4, 5])
    assert fit.silent == (4,)
    assert {d.device for d in fit.devices} | set(fit.beyond) == {3, 5}


def test_read_disturb_and_retention_are_seen_where_they_are():
    calm = measure_pulses(make(), range(8))
    for d in calm.devices:
        assert abs(d.disturb.value) < 4.5 * d.disturb.sigma
        assert abs(d.retention.value) < 4.5 * d.retention.sigma
    # a state lost within 100 s of 10 s watched; readings that move it towards SET
    array = make(retention_s=100.0, read_width_s=3e-7, law={"set_scale": 0.1}, device_spread=0.0)
    restless = measure_pulses(array, range(4))
    law = array._devices._inner.law
    for d in restless.devices:
        assert d.retention.value < -5 * d.retention.sigma
    first = restless.devices[0]
    g = [first.low]
    for _ in range(200):
        g.append(float(law_of(law, np.array([0])).after_pulse(g[-1], 0.2, 3e-7)[0]))
    x = np.arange(200) / 1000
    slope = np.polyfit(x, g[1:], 1)[0] / np.mean(g[1:])
    assert first.disturb.value > 5 * first.disturb.sigma
    assert first.disturb.value == pytest.approx(slope, rel=0.1)


def test_curves_rise_with_pulses_amplitude_and_width():
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


class Stopped(Exception):
    """Stands for a killed process."""


def through_journal(tmp_path, array, stop_at=None):
    """Measure through a journal, and stop after so many answers; return the fit and what reached the hardware."""
    asked = watched(array)
    count = 0

    def answered(replayed):
        nonlocal count
        count += 1
        if count == stop_at:
            raise Stopped

    with Journal(tmp_path / "journal", {"topology": "a", "instruments": []}) as journal:
        devices = JournaledDevices(array, journal, answered, lambda: count)
        try:
            return measure_pulses(devices, [0, 7], SHORT), asked
        except Stopped:
            return None, asked


def same(a, b):
    assert a.devices[0].set == b.devices[0].set
    assert a.devices[1].retention == b.devices[1].retention
    for one, other in zip(a.devices, b.devices, strict=True):
        np.testing.assert_array_equal(one.log, other.log)


def test_an_interrupted_simulation_goes_on_as_if_nothing_had_happened(tmp_path):
    whole, _ = through_journal(tmp_path / "a", make())
    for stop_at in (1, 50, 351):
        assert through_journal(tmp_path / "b", make(), stop_at)[0] is None
    resumed, _ = through_journal(tmp_path / "b", make())
    same(resumed, whole)


def test_hardware_gets_no_pulse_twice(tmp_path):
    array = make(read_noise=1e-6, cycle_spread=0.0)
    array.volatile = False  # keeps its state, as hardware does
    _, whole = through_journal(tmp_path / "a", make(read_noise=1e-6, cycle_spread=0.0))
    before = []
    for stop_at in (40, 41, 200, None):
        fit, asked = through_journal(tmp_path / "b", array, stop_at)
        before += [request[:3] for request in asked if request[2] is not None]
        array._pulse, array._read = type(array)._pulse.__get__(array), type(array)._read.__get__(array)
    assert len(fit.devices) == 2
    pulses = [request[:3] for request in whole if request[2] is not None]
    assert [k for k, *_ in before] == [k for k, *_ in pulses]
    np.testing.assert_allclose([v for _, v, _ in before], [v for _, v, _ in pulses], rtol=1e-3)


# --- the step of `hwlearn calibrate` --------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path, bench_text):
    """Return a function that opens a memristive bench in a folder of its own."""
    table = 'kind = "sim"\nmemristor = { model = "soft-bounds", cycle_spread = 0.05, read_noise = 0.005 }'

    def opened(folder):
        path = tmp_path / folder / "bench.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(bench_text.replace('kind = "sim"', table), encoding="utf-8")
        return open_bench(path)

    return opened


def test_the_step_loses_nothing_when_it_is_interrupted(bench, monkeypatch):
    options = CalibrationOptions(devices=1, retention_s=2.0)
    (whole,) = calibrate(bench("a").calibration_job(options), ["pulses"])
    keep, left = Journal.keep, 200

    def dying(self, *arguments):
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped
        keep(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "keep", dying)
        with pytest.raises(Stopped):
            list(calibrate(bench("b").calibration_job(options), ["pulses"]))
    (resumed,) = calibrate(bench("b").calibration_job(options), ["pulses"])
    assert whole.kept == 0
    assert resumed.kept == 200
    assert resumed.measured == whole.measured - 200
    assert resumed.result.sections == whole.result.sections
    record = CalibrationRecord.load(bench("b").calibration_job().path)
    assert record.pulses == whole.result.sections["pulses"]
    assert record.pulses.retention_s == 2.0


def test_devices_are_pulsed_only_where_the_step_is_named(bench, monkeypatch):
    for step in STEPS:
        if step != "pulses":
            monkeypatch.setitem(STEPS, step, lambda context, step=step: StepResult(step, None, "", (), {}, None))
    named = CalibrationOptions(devices=1, retention_s=0.1)
    (before,) = calibrate(bench("a").calibration_job(named), ["pulses"])
    plain = bench("a")
    array = plain.raw_network.devices
    asked = watched(array)
    left = {done.result.step: done.result for done in calibrate(plain.calibration_job())}["pulses"]
    assert left.passed is None
    assert "hwlearn calibrate BENCH pulses" in left.verdict
    assert not asked
    # what an earlier calibration found is kept
    assert CalibrationRecord.load(plain.calibration_job().path).pulses == before.result.sections["pulses"]


def test_a_sample_of_the_asked_size_or_all(bench, monkeypatch):
    seen = []

    def noted(access, devices, plan, progress):
        seen.append(list(devices))
        raise SetupError("enough")

    monkeypatch.setattr("hwlearn.lab.calibration.pulses.measure_pulses", noted)
    for devices in (3, 0, 99):
        (done,) = calibrate(bench("a").calibration_job(CalibrationOptions(devices=devices)), ["pulses"])
        assert done.result.passed is None
        assert done.result.verdict == "SKIPPED: enough"
    assert len(set(seen[0])) == 3
    assert seen[1] == seen[2] == list(range(30))
