"""`Guardian`: starts the guardian process, sends it signs of life, and learns what it did."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from hwlearn.errors import NetworkError
from hwlearn.lab.bench.guardian.messages import BEAT, BEAT_S, DONE, FAILED, FIRED, READY, SEND_OFF

_START_S: Final = 60.0  # imports on a slow or busy machine
_END_S: Final = 5.0
_END_AFTER_OFF_S: Final = 20.0  # links that do not answer have time-outs
_SILENT_S: Final = 5.0
"""Time after which a guardian that does not answer counts as lost; longer than a busy machine delays it."""

_MODULE: Final = "hwlearn.lab.bench.guardian.process"


class Guardian:
    """A process of its own that sends OFF when this process dies or does not respond.

    It is not reached by Ctrl-C, a closed terminal or a signal to the process group. It waits for the end of a
    pipe, for a missing sign of life (one every 0.2 s, from a thread), and for the end of its parent. Python code
    that holds the interpreter lock longer than the time-out in one call stops the signs of life too: the outputs
    are then switched off although nothing is wrong.

    Parameters
    ----------
    kind : str
        Kind of backend.
    settings : BaseModel
        Checked settings of the backend.
    where : str
        Name of the bench in error messages.
    timeout_s : float
        Seconds without a sign of life after which OFF is sent.

    Raises
    ------
    NetworkError
        If the process cannot be started.
    """

    def __init__(self, kind: str, settings: BaseModel, where: str, timeout_s: float) -> None:
        self._where, self._owner = where, os.getpid()
        self._on_loss: Callable[[str], None] | None = None
        self._lost: str | None = None
        self._first: str | None = None  # the first line from the guardian
        self._heard, self._ended, self._lock = threading.Event(), threading.Event(), threading.Lock()
        request = {
            "kind": kind,
            "settings": settings.model_dump(mode="json"),
            "where": where,
            "timeout_s": timeout_s,
            "parent": self._owner,
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env=os.environ | {"PYTHONPATH": _import_path()},
                **_apart_from_the_terminal(),
            )
        except OSError as error:
            raise NetworkError(f"{where}: safety.guardian: its process cannot be started: {error}") from error
        self._send(json.dumps(request).encode() + b"\n")
        if sys.platform != "win32" and self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)  # a stopped guardian lets the pipe fill up
        self._answered = 0.0
        for run in (self._beat, self._listen):
            threading.Thread(target=run, name=f"guardian-{run.__name__.strip('_')}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Number of the guardian process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until the guardian has imported and checked everything that it needs to send OFF.

        Raises
        ------
        NetworkError
            If it cannot send OFF for this bench, ended, or is not ready after a minute.
        """
        self._heard.wait(_START_S)
        if self._first == READY:
            return
        reason = f"it was not ready after {_START_S:g} s"
        if self._first is not None:
            reason = self._first.removeprefix(FAILED) or "its process ended at once"
        raise NetworkError(
            f"{self._where}: safety.guardian is set, but the guardian cannot protect this bench: {reason}"
        )

    def protect(self, on_loss: Callable[[str], None]) -> None:
        """Call a function, with the reason, when the guardian has switched off or has ended itself.

        It is called once, from another thread, or at once if it has happened already.
        """
        with self._lock:
            self._on_loss = on_loss
            lost = self._lost
        if lost is not None:
            on_loss(lost)

    def stop(self, outputs_off: bool = True) -> None:
        """End the guardian and wait for its end. A forked child does nothing.

        Parameters
        ----------
        outputs_off : bool
            False: this process could not switch off, so the guardian tries it before it ends.
        """
        if os.getpid() != self._owner or self._ended.is_set():
            return
        self._ended.set()
        self._send(DONE if outputs_off else SEND_OFF)
        process = self._process
        try:
            process.wait(_END_S if outputs_off else _END_AFTER_OFF_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has ended: `_listen` finds out
            self._process.stdin.write(data)

    def _beat(self) -> None:
        beaten = time.monotonic()
        while not self._ended.wait(BEAT_S):
            self._send(BEAT)
            now = time.monotonic()
            if now - beaten > _SILENT_S / 2:  # this process itself was stopped
                self._answered = now
            beaten, silent_s = now, now - self._answered
            if self._first == READY and silent_s > _SILENT_S:
                self._lose(
                    f"its guardian, process {self.pid}, has not answered for {silent_s:.0f} s; without it nothing "
                    "would switch off after a kill"
                )

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in iter(self._process.stdout.readline, b""):
                text = line.decode("utf-8", "replace").strip()
                self._answered = time.monotonic()
                if self._first is None:
                    self._first = text
                    self._heard.set()
                elif text.startswith(FIRED):
                    self._lose(f"the guardian switched off: {text.removeprefix(FIRED)}")
        if self._first is None:
            self._first = ""
            self._heard.set()
        if not self._ended.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            self._lose(
                f"its guardian, process {self.pid}, ended by itself (exit code {self._process.poll()}); without "
                "it nothing would switch off after a kill"
            )

    def _lose(self, reason: str) -> None:
        with self._lock:
            first, self._lost = self._lost is None, self._lost or reason
            on_loss = self._on_loss
        if first and on_loss is not None:
            on_loss(reason)


def _import_path() -> str:
    """Return where this process imports from, as the guardian has to."""
    return os.pathsep.join(str(Path(entry or ".").absolute()) for entry in sys.path)


def _apart_from_the_terminal() -> dict[str, Any]:
    """Return arguments of Popen for a process that Ctrl-C and the end of the terminal do not reach."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
