"""The guardian process: waits for the end of its parent, or for its silence, and then sends OFF."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from hwlearn.errors import SetupError
from hwlearn.exit_signals import ENDING, STOPPING, other_fatal_signals
from hwlearn.lab.bench.backends import find_backend
from hwlearn.lab.bench.guardian.messages import ALIVE, DONE, FAILED, FIRED, READY, SEND_OFF
from hwlearn.network.backend import PreparesOff, SwitchesOff

_LOOK_S: Final = 0.05  # between two looks at the parent
_GRACE_S: Final = 0.05  # for signs of life that wait in the pipe because this process itself was not run
_RETRY_S: Final = 0.2
_PATIENCE_S: Final = 10.0  # an instrument that allows one connection may hold that of a dead process for a while


class Watch:
    """Watches a parent process and switches off.

    Parameters
    ----------
    off : callable
        Sends OFF to every output of the bench.
    parent : int
        Its process number.
    timeout_s : float
        Seconds without a sign of life after which OFF is sent.
    report : callable
        Sends a line to the parent.
    source : int
        File descriptor of the pipe from the parent.
    """

    def __init__(
        self,
        off: Callable[[], object],
        parent: int,
        timeout_s: float,
        report: Callable[[str], None],
        source: int = 0,
    ) -> None:
        self._off, self._parent, self._timeout_s, self._report = off, parent, timeout_s, report
        self._source = source
        self._received: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def run(self) -> None:
        """Watch until the parent is done or has ended."""
        threading.Thread(target=self._receive, daemon=True).start()
        heard, silent = time.monotonic(), False
        while True:
            data = self._next(_LOOK_S)
            if data is not None and DONE in data:
                return
            if data == b"" or (data is not None and SEND_OFF in data) or self._parent_ended():
                if data is None or SEND_OFF not in data:
                    _say(f"process {self._parent} ended with its bench open; switching off")
                self._switch_off()
                return
            now = time.monotonic()
            if data is not None:
                if silent:  # it runs again, and one of its threads may have been about to switch on
                    silent = False
                    self._switch_off()
                heard = time.monotonic()
                self._report(ALIVE)
            elif not silent and now - heard > self._timeout_s:
                late = self._next(_GRACE_S)
                if late is not None:
                    self._received.put(late)
                    continue
                silent = True
                reason = (
                    f"this program, process {self._parent}, gave no sign of life for {now - heard:.1f} s: it was "
                    "stopped, or one call held the interpreter lock for so long"
                )
                self._report(FIRED + reason)
                _say(f"process {self._parent} does not respond; switching off")
                self._switch_off()

    def _receive(self) -> None:
        while True:
            data = os.read(self._source, 4096)
            self._received.put(data)
            if not data:
                return

    def _next(self, seconds: float) -> bytes | None:
        try:
            return self._received.get(timeout=seconds)
        except queue.Empty:
            return None

    def _parent_ended(self) -> bool:
        return sys.platform != "win32" and os.getppid() != self._parent

    def _switch_off(self) -> None:
        """Send OFF; try again for some seconds if it fails."""
        ends = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._off()
            except BaseException as error:  # a plugin may raise anything, and nobody else is left to try
                if time.monotonic() > ends:
                    _say(str(error) or type(error).__name__)
                    return
                time.sleep(_RETRY_S)
            else:
                return


def main() -> None:
    """Read the request, prepare, report, and watch."""
    for number in {signal.SIGINT, *ENDING, *STOPPING, *other_fatal_signals()}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_IGN)
    channel = os.dup(1)
    if sys.platform != "win32":
        os.set_blocking(channel, False)  # a parent that does not read must not hold up OFF
    os.dup2(2, 1)  # what plugins print must not reach the parent as a report

    def report(line: str) -> None:
        with contextlib.suppress(OSError):  # the parent has ended
            os.write(channel, " ".join(line.split()).encode() + b"\n")

    try:
        watch = _prepared(_first_line(), report)
    except BaseException as error:  # a plugin may raise anything
        report(FAILED + (str(error) or type(error).__name__))
        sys.exit(1)
    report(READY)
    watch.run()


def _prepared(request: bytes, report: Callable[[str], None]) -> Watch:
    """Import and check everything that OFF needs, as far as that is possible without contacting an instrument."""
    asked = json.loads(request)
    backend, settings = find_backend({**asked["settings"], "kind": asked["kind"]}, asked["where"])
    if not isinstance(backend, SwitchesOff):
        raise SetupError(f"backend {asked['kind']!r} has no off()")
    if isinstance(backend, PreparesOff):
        backend.prepare_off(settings)
    off = backend.off
    return Watch(lambda: off(settings), asked["parent"], asked["timeout_s"], report)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise EOFError("the program ended before its guardian had started")
        line += byte
    return line


def _say(text: str) -> None:
    """Write to the terminal, if there still is one."""
    with contextlib.suppress(OSError, ValueError):
        print(f"hwlearn guardian: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
