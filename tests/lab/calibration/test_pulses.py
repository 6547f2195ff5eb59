"""The step ``pulses``, single devices in a journal, and interruptions of both."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibration.pulses import PulsePlan, measure_pulses
from hwlearn.device_access import PulseLimits
from hwlearn.errors import SetupError
from hwlearn.lab.calibration.calibrate import calibrate
from hwlearn.lab.calibration.job import CalibrationOptions
from hwlearn.lab.calibration.journal import Journal, JournaledDevices
from hwlearn.lab.calibration.result import StepResult
from hwlearn.lab.calibration.steps import STEPS
from hwlearn_sim.twin.memristive import Memristors

pytestmark = pytest.mark.usefixtures("without_rendering")

LIMITS = PulseLimits(voltage=1.3, current=1e-3, width=(1e-6, 1e-4), pulses=10_000, read_voltage=0.2)
NOISY = {"device_spread": 0.1, "cycle_spread": 0.05, "read_noise": 0.01, "limits": LIMITS}
SHORT = PulsePlan(readings=4, repeats=2, curve_pulses=3, disturb_readings=20)


def make(**keys):
    return Memristors(**{**NOISY, **keys}).array(hl.Topology.crossbar(4, 4), 3)


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


class Stopped(Exception):
    """Raised in place of a killed process."""


def through_journal(tmp_path, array, stop_at=None):
    """Measure with a journal, stop after some answers; return the fit and the requests to the hardware."""
    requests = watched(array)
    count = 0

    def answered(replayed):
        nonlocal count
        count += 1
        if count == stop_at:
            raise Stopped

    with Journal(tmp_path / "journal", {"topology": "a", "instruments": []}) as journal:
        devices = JournaledDevices(array, journal, answered, lambda: count)
        try:
            return measure_pulses(devices, [0, 7], SHORT), requests
        except Stopped:
            return None, requests


def same(a, b):
    assert a.devices[0].set == b.devices[0].set
    assert a.devices[1].retention == b.devices[1].retention
    for one, other in zip(a.devices, b.devices, strict=True):
        np.testing.assert_array_equal(one.log, other.log)


@pytest.mark.slow
def test_interrupted_simulation_gives_the_same_result(tmp_path):
    whole, _ = through_journal(tmp_path / "a", make())
    for stop_at in (1, 50, 351):
        assert through_journal(tmp_path / "b", make(), stop_at)[0] is None
    resumed, _ = through_journal(tmp_path / "b", make())
    same(resumed, whole)


def test_no_pulse_is_applied_twice_to_hardware(tmp_path):
    array = make(read_noise=1e-6, cycle_spread=0.0)
    array.volatile = False  # keeps its state, as hardware does
    _, whole = through_journal(tmp_path / "a", make(read_noise=1e-6, cycle_spread=0.0))
    before = []
    for stop_at in (40, 41, 200, None):
        fit, requests = through_journal(tmp_path / "b", array, stop_at)
        before += [request[:3] for request in requests if request[2] is not None]
        array._pulse, array._read = type(array)._pulse.__get__(array), type(array)._read.__get__(array)
    assert len(fit.devices) == 2
    pulses = [request[:3] for request in whole if request[2] is not None]
    assert [k for k, *_ in before] == [k for k, *_ in pulses]
    np.testing.assert_allclose([v for _, v, _ in before], [v for _, v, _ in pulses], rtol=1e-3)


# --- the step of `hwlearn calibrate` --------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path, bench_text):
    """Return a function that opens a memristive bench in a subfolder."""
    table = 'kind = "sim"\nmemristor = { model = "soft-bounds", cycle_spread = 0.05, read_noise = 0.005 }'

    def opened(folder):
        path = tmp_path / folder / "bench.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(bench_text.replace('kind = "sim"', table), encoding="utf-8")
        return hl.open_bench(path)

    return opened


@pytest.mark.slow
def test_interrupted_step_continues_without_loss(bench, monkeypatch):
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


def test_devices_are_pulsed_only_if_the_step_is_named(bench, monkeypatch):
    for step in STEPS:
        if step != "pulses":
            monkeypatch.setitem(STEPS, step, lambda context, step=step: StepResult(step, None, "", (), {}, None))
    named = CalibrationOptions(devices=1, retention_s=0.1)
    (before,) = calibrate(bench("a").calibration_job(named), ["pulses"])
    plain = bench("a")
    array = plain.raw_network.devices
    requests = watched(array)
    assert "pulses" not in [done.result.step for done in calibrate(plain.calibration_job())]
    assert not requests
    # the result of the earlier calibration is kept
    assert CalibrationRecord.load(plain.calibration_job().path).pulses == before.result.sections["pulses"]


def test_number_of_measured_devices_follows_the_option(bench, monkeypatch):
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
