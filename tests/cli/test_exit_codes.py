"""Exit codes of commands: 0 done, 1 failed on the way, 2 refused, 130 interrupted; the first error is kept."""

import json

import pytest
from combinations import pairwise

from hwlearn.errors import ComplianceError, InUseError, LimitError, NetworkError
from hwlearn.lab.runs.store import Run
from hwlearn_drivers.errors import LinkError, LinkTimeout, OutputsMayBeOnError
from hwlearn_sim import KirchhoffTwin
from hwlearn_sim.twin.backend import SimBackend

pytestmark = pytest.mark.usefixtures("without_reports", "without_rendering")

FIRST = "the first error"
UNSAFE = "OUTPUTS MAY BE ON: CHANNEL 1 OF THE TWIN; OFF could not be sent"
COMMANDS = {
    "train": ["train", "small.toml", "--set", "train.epochs=3"],
    "resume": ["resume", "RUN"],
    "check": ["check", "small.toml"],
    "calibrate": ["calibrate", "small.toml", "noise"],
}
ERRORS = {
    "link": LinkError(FIRST),
    "time-out": LinkTimeout(FIRST),
    "network": NetworkError(FIRST),
    "limit": LimitError(FIRST),
    "compliance": ComplianceError(FIRST),
    "plugin": ZeroDivisionError(FIRST),
    "system": ConnectionResetError(104, FIRST),
}
LEAVING = {
    "nothing": None,
    "outputs": OutputsMayBeOnError(UNSAFE),
    "link": LinkError("the link is gone"),
    "plugin": RuntimeError("two\nlines"),
    "silent": AssertionError(),
}


@pytest.fixture
def words(hwlearn, folder):
    """Return a function that gives the words of a command; `resume` gets an interrupted run."""

    def of(name):
        if name != "resume":
            return COMMANDS[name]
        run = json.loads(hwlearn(*COMMANDS["train"], "--json").out[-1])["run"]
        Run.open(run).set_meta(status="interrupted", result=None)
        return ["resume", run]

    return of


@pytest.fixture
def faulty(monkeypatch):
    """Return a function that makes the twin raise one error in its n-th measurement, and another at its end."""
    measure, close = KirchhoffTwin._measure, KirchhoffTwin._close

    def set_faults(first, leaving=None, after=0):
        count = 0

        def failing(self, inputs, drive):
            nonlocal count
            count += 1
            if first is not None and count > after:
                raise first
            return measure(self, inputs, drive)

        def leave(self):
            close(self)
            if leaving is not None:
                raise leaving

        monkeypatch.setattr(KirchhoffTwin, "_measure", failing)
        monkeypatch.setattr(KirchhoffTwin, "_close", leave)

    return set_faults


@pytest.mark.parametrize("command", COMMANDS)
def test_command_that_is_done_ends_with_0(hwlearn, words, command):
    assert hwlearn(*words(command)).code == 0


@pytest.mark.share(12)
@pairwise(command=list(COMMANDS), first=ERRORS, leaving=LEAVING)
def test_error_on_the_way_ends_with_1_and_names_it_before_the_one_of_leaving(
    hwlearn, words, faulty, command, first, leaving
):
    line = words(command)
    faulty(first, leaving, after=0 if command == "resume" else 1)
    ended = hwlearn(*line)
    assert ended.code == 1
    said = " ".join(" ".join([*ended.out, *ended.err]).split())
    assert FIRST in said
    assert "Traceback" not in said
    if leaving is not None:
        assert "OUTPUTS MAY BE ON" in said
        assert said.index(FIRST) < said.rindex("OUTPUTS MAY BE ON")
    if command in ("train", "resume"):
        assert len(ended.err) == 1
        assert "hwlearn resume" in ended.err[0]
        row = json.loads(hwlearn("runs", "--json").out[-1])
        assert row["status"].startswith("failed: ")
        assert FIRST in row["status"]
    if command == "calibrate":
        assert len(ended.err) == 1
        assert "run the same command again" in ended.err[0]


@pytest.mark.share(6)
@pytest.mark.parametrize("leaving", [name for name in LEAVING if name != "nothing"])
@pytest.mark.parametrize("command", COMMANDS)
def test_error_while_leaving_alone_ends_with_1(hwlearn, words, faulty, command, leaving):
    line = words(command)
    faulty(None, LEAVING[leaving])
    ended = hwlearn(*line)
    assert ended.code == 1
    assert "OUTPUTS MAY BE ON" in " ".join(ended.err)
    assert len(ended.err) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_bench_in_use_is_refused_with_2_and_unreachable_hardware_fails_with_1(hwlearn, words, mocker, command):
    line = words(command)
    mocker.patch.object(SimBackend, "open", side_effect=InUseError("in use by process 1"))
    ended = hwlearn(*line)
    assert (ended.code, len(ended.err)) == (2, 1)
    mocker.patch.object(SimBackend, "open", side_effect=LinkError("no route"))
    ended = hwlearn(*line)
    assert ended.code == 1
    assert "no route" in " ".join(" ".join([*ended.out, *ended.err]).split())


@pytest.mark.parametrize("leaving", ["nothing", "outputs"])
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_ends_with_130_unless_outputs_may_be_on(hwlearn, words, faulty, command, leaving):
    line = words(command)
    faulty(KeyboardInterrupt(), LEAVING[leaving])
    ended = hwlearn(*line)
    assert ended.code == (130 if leaving == "nothing" else 1)
    assert "interrupted" in " ".join(ended.err)
    assert ("OUTPUTS MAY BE ON" in " ".join(ended.err)) == (leaving == "outputs")
    assert len([text for text in ended.err if text.startswith("hwlearn: ")]) == 1


@pytest.mark.parametrize(
    "error", [*ERRORS.values(), *filter(None, LEAVING.values()), KeyboardInterrupt()], ids=repr
)
def test_off_that_fails_ends_with_1_and_says_that_outputs_may_be_on(hwlearn, mocker, error):
    mocker.patch.object(SimBackend, "off", create=True, side_effect=error)
    mocker.patch.object(SimBackend, "prepare_off", create=True)
    mocker.patch.object(SimBackend, "halt_open", create=True)
    ended = hwlearn("off", "small.toml")
    assert (ended.code, len(ended.err)) == (1, 1)
    assert "OUTPUTS MAY BE ON" in ended.err[0]
