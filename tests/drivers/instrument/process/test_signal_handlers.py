"""OFF before every signal that ends or stops a program; handlers of the program itself are called afterwards."""

import os
import signal
import warnings

import pytest
from exit_paths import POSIX

from hwlearn.exit_signals import CONTINUING, ENDING, STOPPING, other_fatal_signals, signal_name
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.process.signal_handlers import SignalHandlers

resource = pytest.importorskip("resource", reason="Windows ends processes without a signal")
pytestmark = POSIX

# the real-time signals of Linux have no names; two of them stand for all
FATAL = [
    number
    for number in (*ENDING, *other_fatal_signals())
    if number in (signal.SIGRTMIN, signal.SIGRTMAX) or not signal_name(number).startswith("signal")
]


class Output:
    """An instrument that reports OFF through a pipe."""

    def __init__(self):
        self._read, self._write = os.pipe()

    def halt(self, reopen=True):
        os.write(self._write, b"off,")

    def reported(self):
        os.close(self._write)
        with os.fdopen(self._read) as report:
            return report.read()


def in_child(act):
    """Run ``act(output)`` in a forked child; return its exit code (minus the signal) and what the output did."""
    output = Output()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child uses no thread of its parent
        child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.setsid()
            for number in {*FATAL, *STOPPING, *CONTINUING}:
                signal.signal(number, signal.SIG_DFL)
            act(output)
        finally:
            os._exit(77)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output.reported()


@pytest.mark.parametrize("number", FATAL, ids=signal_name)
def test_fatal_signal_switches_off_and_then_ends_the_program(number):
    def act(output):
        open_outputs.watch(output)
        os.kill(os.getpid(), number)

    assert in_child(act) == (-number, "off,")


@pytest.mark.parametrize("number", FATAL, ids=signal_name)
def test_without_instruments_a_signal_has_its_default_action(number):
    def act(output):
        open_outputs.watch(output)
        open_outputs.unwatch(output)
        os.kill(os.getpid(), number)

    assert in_child(act) == (-number, "")


def test_forked_child_with_its_own_instruments_chains_to_the_first_handlers():
    def act(output):
        open_outputs.watch(Output())  # belongs to the parent of the next fork
        child = os.fork()
        if not child:
            open_outputs.watch(output)
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(3)
        os._exit(-os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    assert in_child(act) == (signal.SIGTERM, "off,")


class Recorder:
    """What happened, in order."""

    def __init__(self):
        self.events = []

    def halt(self, reason):
        self.events.append(reason)

    def handler(self, number, frame):
        self.events.append(signal_name(number))


@pytest.fixture
def recorder():
    """A recorder; the handlers of the test process are restored afterwards."""
    numbers = [*FATAL, *STOPPING, *CONTINUING, signal.SIGINT]
    before = {number: signal.getsignal(number) for number in numbers}
    yield Recorder()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [*ENDING, *STOPPING, *CONTINUING], ids=signal_name)
def test_handler_of_the_program_is_called_after_off(recorder, number):
    signal.signal(number, recorder.handler)
    handlers = SignalHandlers(recorder.halt)
    handlers.install()
    signal.raise_signal(number)
    assert len(recorder.events) == 2
    assert "the program" in recorder.events[0]
    assert recorder.events[1] == signal_name(number)
    handlers.uninstall()
    assert signal.getsignal(number) == recorder.handler


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGALRM", "SIGINT"])
def test_signal_that_the_program_uses_for_something_else_switches_nothing_off(recorder, name):
    number = getattr(signal, name)
    signal.signal(number, recorder.handler)
    handlers = SignalHandlers(recorder.halt)
    handlers.install()
    signal.raise_signal(number)
    handlers.uninstall()
    assert recorder.events == [name]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTSTP, signal.SIGUSR1], ids=signal_name)
def test_ignored_signal_stays_ignored(recorder, number):
    signal.signal(number, signal.SIG_IGN)
    handlers = SignalHandlers(recorder.halt)
    handlers.install()
    assert signal.getsignal(number) == signal.SIG_IGN
    handlers.uninstall()


def test_handler_installed_from_c_is_kept():
    import faulthandler

    def act(output):
        faulthandler.register(signal.SIGUSR1, file=output._write, all_threads=False)
        open_outputs.watch(output)
        os.kill(os.getpid(), signal.SIGUSR1)
        os._exit(0)

    code, report = in_child(act)
    assert code == 0
    assert "test_signal_handlers.py" in report
    assert "off," not in report


def test_stopped_program_is_off_and_stays_off_when_it_continues():
    def stopping(output):
        open_outputs.watch(output)
        os.kill(os.getpid(), signal.SIGTSTP)
        os.write(output._write, (open_outputs.halted_because(output) or "on").encode())
        os._exit(0)

    output = Output()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            os.setpgid(0, 0)  # in the session of the test, so that its group is not orphaned and can be stopped
            for number in {*STOPPING, *CONTINUING}:
                signal.signal(number, signal.SIG_DFL)
            stopping(output)
        finally:
            os._exit(77)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        assert os.WSTOPSIG(status) == signal.SIGTSTP
        assert os.read(output._read, 100) == b"off,"  # before anything continues
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert output.reported() == "off,the program was stopped by SIGTSTP"
    else:
        pytest.skip("the system does not stop this process group: it is orphaned")


def test_program_continued_after_sigstop_is_switched_off():
    output = Output()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        try:
            signal.signal(signal.SIGCONT, signal.SIG_DFL)
            open_outputs.watch(output)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.write(output._write, (open_outputs.halted_because(output) or "on").encode())
            os._exit(0)
        finally:
            os._exit(77)
    _, status = os.waitpid(child, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(child, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert output.reported().startswith("off,the program was stopped and continued")
