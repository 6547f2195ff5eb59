"""Commands whose outputs cannot be switched off at the end: exit code 1, both causes, and how to continue."""

import json

import pytest

from hwlearn.errors import NetworkError
from hwlearn.lab.bench import backends
from hwlearn_drivers.errors import LinkError, OutputsMayBeOnError
from hwlearn_sim.twin.backend import SimBackend

pytestmark = pytest.mark.usefixtures("without_reports")

LOST = "the cable is out"
ON = "OUTPUTS MAY BE ON: EVERY CHANNEL OF RACK 7 (no answer)"


class Point:
    name = "sim"

    def __init__(self, thing):
        self.load = lambda: thing


@pytest.fixture
def breaks(monkeypatch):
    """Return a function that sets what the measurements (after a number of them) and the closing raise."""

    def set_faults(measuring=None, closing=None, after=3, halting=None):
        class Rack(SimBackend):
            def open(self, settings, topology, limits):
                network = super().open(settings, topology, limits)
                measure, count = network._measure, iter(range(10**6))

                def failing(inputs, drive):
                    if measuring is not None and next(count) >= after:
                        try:
                            raise measuring
                        except BaseException:
                            if halting is not None:
                                raise halting from None
                            raise
                    return measure(inputs, drive)

                def close():
                    if closing is not None:
                        raise closing

                network._measure, network._close = failing, close
                return network

        monkeypatch.setattr(backends, "entry_points", lambda group: [Point(Rack)])

    return set_faults


def run_of(hwlearn):
    return json.loads(hwlearn("runs", "--json").out[-1])


def continues(hwlearn, breaks, run):
    """Resume a run on a network that works again."""
    breaks()
    ended = hwlearn("resume", run, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out[-1])["epochs"] == 5
    assert run_of(hwlearn)["status"] == "finished"


@pytest.mark.parametrize("closing", [OutputsMayBeOnError(ON), NetworkError(ON), RuntimeError(ON), OSError(ON)])
def test_training_reports_both_causes_and_the_resume_command(hwlearn, breaks, closing):
    breaks(LinkError(LOST), closing)
    ended = hwlearn("train", "small.toml", "--json")
    assert ended.code == 1
    (line,) = ended.err
    row = run_of(hwlearn)
    assert line.index(LOST) < line.index(ON) < line.index(f"hwlearn resume {row['run']}")
    assert row["status"] == f"failed: {LOST}; {ON}"
    # a resumed training ends in the same way
    again = hwlearn("resume", row["run"])
    assert again.code == 1
    assert LOST in again.err[-1]
    assert ON in again.err[-1]
    continues(hwlearn, breaks, row["run"])


def test_training_whose_network_fails_to_halt_names_what_happened_first(hwlearn, breaks):
    """A driver that cannot switch off after a lost link raises that error while it handles the first."""
    breaks(LinkError(LOST), OutputsMayBeOnError(ON), halting=OutputsMayBeOnError(ON))
    ended = hwlearn("train", "small.toml", "--json")
    assert ended.code == 1
    assert ended.err[0].startswith(f"hwlearn: {LOST}; {ON}; all stored measurements are kept")
    assert ended.err[0].count(ON) == 1
    continues(hwlearn, breaks, run_of(hwlearn)["run"])


def test_closing_without_text_is_reported_as_outputs_on(hwlearn, breaks):
    breaks(LinkError(LOST), ZeroDivisionError())
    ended = hwlearn("train", "small.toml")
    assert ended.code == 1
    assert f"{LOST}; OUTPUTS MAY BE ON: the network cannot be closed (ZeroDivisionError)" in ended.err[-1]


def test_finished_training_that_cannot_switch_off_failed(hwlearn, breaks):
    breaks(closing=OutputsMayBeOnError(ON))
    ended = hwlearn("train", "small.toml", "--json")
    assert ended.code == 1
    (line,) = ended.err
    assert "the training ended (finished)" in line
    assert ON in line
    row = run_of(hwlearn)
    assert row["status"].startswith("failed: ")
    assert ON in row["status"]
    continues(hwlearn, breaks, row["run"])


@pytest.mark.parametrize(
    ("raised", "what"), [(KeyboardInterrupt(), "interrupted"), (SystemExit(143), "terminated")]
)
def test_ended_training_that_cannot_switch_off_failed(hwlearn, breaks, raised, what):
    breaks(raised, OutputsMayBeOnError(ON))
    ended = hwlearn("train", "small.toml", "--json")
    assert ended.code == 1
    assert ended.err[0].startswith(f"hwlearn: {what}; {ON}; ")
    assert run_of(hwlearn)["status"] == f"failed: {what}; {ON}"


def test_calibration_reports_both_causes_and_how_to_continue(hwlearn, breaks):
    breaks(LinkError(LOST), OutputsMayBeOnError(ON), after=0)
    ended = hwlearn("calibrate", "small.toml", "noise", "--json")
    assert ended.code == 1
    assert ended.err[0].startswith(f"hwlearn: {LOST}; {ON}; all measurements are kept; run the same command again")
    breaks(KeyboardInterrupt(), OutputsMayBeOnError(ON), after=0)
    ended = hwlearn("calibrate", "small.toml", "noise", "--json")
    assert ended.code == 1
    assert ended.err[0].startswith(f"hwlearn: interrupted; {ON}; all measurements are kept")
    breaks(closing=OutputsMayBeOnError(ON), after=0)
    ended = hwlearn("calibrate", "small.toml", "noise", "--json")
    assert ended.code == 1
    assert ended.err[0].startswith(f"hwlearn: {ON}; all measurements are kept")


def test_check_that_cannot_switch_off_fails_after_its_results(hwlearn, breaks):
    breaks(closing=OutputsMayBeOnError(ON))
    ended = hwlearn("check", "small.toml")
    assert (ended.code, ended.err) == (1, [f"hwlearn: {ON}"])
    assert any("superposition" in line for line in ended.out)
    breaks(ZeroDivisionError("bad gain"), OutputsMayBeOnError(ON))
    ended = hwlearn("check", "small.toml")
    assert ended.code == 1
    (line,) = ended.err
    assert "ZeroDivisionError: bad gain" in line
    assert line.endswith(ON)


@pytest.mark.parametrize("command", ["train", "check", "calibrate"])
def test_hardware_error_at_opening_is_no_wrong_request(hwlearn, monkeypatch, command):
    class Rack(SimBackend):
        def open(self, settings, topology, limits):
            try:
                raise LinkError(LOST)
            except LinkError:
                raise OutputsMayBeOnError(ON) from None

    monkeypatch.setattr(backends, "entry_points", lambda group: [Point(Rack)])
    ended = hwlearn(command, "small.toml")
    assert ended.code == 1
    assert f"{LOST}; {ON}" in ended.err[0]
    assert hwlearn("runs", "--json").out == []


def test_error_of_python_that_a_driver_reports_is_not_repeated(hwlearn, breaks):
    try:
        try:
            float("1.2&5")
        except ValueError as error:
            raise LinkError(LOST) from error
    except LinkError as error:
        breaks(error, OutputsMayBeOnError(ON))
    ended = hwlearn("train", "small.toml", "--json")
    assert ended.err[0].startswith(f"hwlearn: {LOST}; {ON}; ")


def test_error_of_a_plugin_before_its_outputs_stayed_on_is_named(hwlearn, breaks):
    breaks(ZeroDivisionError("bad gain"), OutputsMayBeOnError(ON), halting=OutputsMayBeOnError(ON))
    ended = hwlearn("train", "small.toml", "--json")
    assert (ended.code, ended.err[0].startswith(f"hwlearn: bad gain; {ON}; ")) == (1, True)
