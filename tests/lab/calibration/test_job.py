"""Calibration of hardware that no bench file describes: what it needs to know comes from `Network`."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.errors import RunError, SetupError
from hwlearn.lab.calibration.calibrate import calibrate, run_step
from hwlearn.lab.calibration.context import StepContext
from hwlearn.lab.calibration.job import CalibrationJob, CalibrationOptions
from hwlearn.lab.calibration.journal import Journal
from hwlearn.lab.calibration.unfinished import UnfinishedCalibration
from hwlearn.network.wrapped import WrappedNetwork
from hwlearn_sim import Imperfections, KirchhoffTwin

pytestmark = pytest.mark.usefixtures("without_rendering")

OPTIONS = CalibrationOptions(configurations=2, patterns=6)


class ThirdPartyNetwork(WrappedNetwork):
    """A network of another package, whose settings call the settle time ``wait``."""

    def __init__(self, network, wait, nudge_siemens=None):
        super().__init__(network)
        self.wait, self._siemens = wait, nudge_siemens
        self.drives = []

    @property
    def settle_s(self):
        return self.wait

    @property
    def nudge_siemens(self):
        return self._siemens

    def _measure(self, inputs, drive):
        self.drives.append(drive)
        return super()._measure(inputs, drive)


@pytest.fixture
def job(tmp_path):
    """Return a function that makes a job for a network."""

    def make(network, **changes):
        keys = {"backend": "lab-box", "settings": {"wait": 50e-6}, "options": OPTIONS}
        return CalibrationJob(network.topology, lambda: network, tmp_path / "calibration.toml", **(keys | changes))

    return make


@pytest.fixture
def slow(small, bench_limits):
    """A twin whose nodes settle more slowly than it waits."""
    return KirchhoffTwin(
        small[0], bench_limits, Imperfections(settle_tau_s=30e-6, read_noise_V=2e-4), settle_s=50e-6
    )


def test_settle_time_of_third_party_network_is_used(job, slow):
    (done,) = calibrate(job(ThirdPartyNetwork(slow, 50e-6)), ["noise"])
    assert done.result.passed is False
    assert "increase the settle time to" in done.result.verdict
    assert done.result.sections["noise"].settle_s > 100e-6


@pytest.mark.parametrize("wait", [None, 0.0])
def test_unknown_or_zero_settle_time_gives_no_recommendation(job, slow, wait):
    (done,) = calibrate(job(ThirdPartyNetwork(slow, wait)), ["noise"])
    assert done.result.sections["noise"].settle_s is None
    assert "increase the settle time, calibrate again" in done.result.verdict


@pytest.mark.parametrize("known", [[1e-4, 2e-4, 3e-4], None])
def test_nudge_conductances_come_from_the_network_else_from_the_bench_file(job, small, bench_limits, known):
    flaws = Imperfections(read_noise_V=1e-3, device_spread=0.1)
    twin = KirchhoffTwin(small[0], bench_limits, flaws, nudges=("resistor",), current_readout=False)
    network = ThirdPartyNetwork(twin, None, None if known is None else np.array(known))
    (_,) = calibrate(job(network, nudge_siemens=5e-5), ["edges"])
    used = [drive.siemens for drive in network.drives if drive is not None]
    assert used
    assert all(np.array_equal(siemens, known or [5e-5] * 3) for siemens in used)


def test_resistor_nudges_of_unknown_conductance_are_not_used(job, small, bench_limits):
    network = KirchhoffTwin(small[0], bench_limits, nudges=("resistor",))
    context = StepContext.of(job(network), network, CalibrationRecord.of(small[0], ()), lambda *parts: None)
    assert context.nudge_siemens is None
    assert not context.drives_outputs


def test_one_step_saves_its_result_and_deletes_its_journal(job, slow):
    work = job(slow)
    unfinished = UnfinishedCalibration.open(work.unfinished, ["noise"], work.facts())
    record, done = run_step(work, unfinished, CalibrationRecord.of(slow.topology, ()), "noise")
    assert CalibrationRecord.load(work.path) == record
    assert (done.measured > 0, done.kept, done.before) == (True, 0, False)
    again = UnfinishedCalibration.open(work.unfinished, ["noise"], work.facts())
    assert again.result("noise").verdict == done.result.verdict
    assert again.result("lines") is None
    assert not (work.unfinished / "noise").exists()


def test_progress_counts_answers_of_the_network(job, slow):
    seen = []
    list(calibrate(job(slow), ["noise"], lambda *parts: seen.append(parts)))
    assert seen == [("noise", done, 3) for done in range(4)]


def test_second_calibration_at_once_is_refused_as_a_calibration(job, slow):
    work = job(slow)
    facts = {"topology": slow.topology.fingerprint, "instruments": []}
    with (
        Journal(work.unfinished / "noise", facts),
        pytest.raises(RunError, match=r"^calibration .* is being written"),
    ):
        list(calibrate(work, ["noise"]))


def test_steps_for_resistors_are_refused_for_other_elements(job, bench_limits):
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=hl.elements.Sinh(0.1))
    network = KirchhoffTwin(top, bench_limits)
    with pytest.raises(SetupError, match="name only the steps noise and pulses"):
        list(calibrate(job(network)))


@pytest.mark.parametrize(
    "option",
    [{"configurations": True}, {"configurations": "4"}, {"patterns": 2.5}, {"devices": None}]
    + [{"retention_s": value} for value in ("10 s", True, 0.0, np.inf)],
)
def test_calibration_option_of_the_wrong_type_is_refused(option):
    with pytest.raises(SetupError, match=f"^{next(iter(option))} is "):
        CalibrationOptions(**option)
