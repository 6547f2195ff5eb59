"""State of a run, of the outputs of its bench, and the time that is left, as far as the run folder shows them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from hwlearn.errors import MAY_BE_ON
from hwlearn.lab.runs.contents import RunContents
from hwlearn.storage.lock import is_locked

Phase = Literal["waiting", "running", "finished", "stopped", "killed", "failed", "unknown"]
OutputState = Literal["on", "may be on", "off", "none"]

_TWIN: Final = "sim"
"""The backend that simulates, which has no instruments; those of plugins are known when they are open."""

_ENDINGS: Final[dict[str, tuple[Phase, str]]] = {
    "finished": ("finished", "all epochs are done"),
    "no improvement": ("finished", "ended early: its score did not improve (train.patience)"),
    "interrupted": ("stopped", "stopped by Ctrl-C; hwlearn resume continues it"),
    "terminated": ("stopped", "its process was terminated; hwlearn resume continues it"),
}


@dataclass(frozen=True)
class Condition:
    """State of a run and of the outputs of its bench.

    Attributes
    ----------
    phase : str
        ``waiting`` (not begun), ``running``, ``finished``, ``stopped`` (by a person), ``killed``, ``failed`` or
        ``unknown`` (perhaps running on another computer).
    detail : str
        A sentence for a person.
    outputs : str
        ``on``; ``may be on`` if nothing proves that they are off; ``off``; ``none`` without instruments.
    outputs_detail : str
    alive : bool
        Whether a process of this computer is writing the run.
    """

    phase: Phase
    detail: str
    outputs: OutputState
    outputs_detail: str
    alive: bool


def read_condition(contents: RunContents) -> Condition:
    """Return the state of a run, from its facts and its lock.

    Raises
    ------
    RunError
        If the run is damaged.
    """
    alive = is_locked(contents.folder, "run")
    status = str(contents.meta("status"))
    phase, detail = _phase(status, alive, _host(contents))
    outputs, outputs_detail = _outputs(contents, status, phase, alive)
    return Condition(phase, detail, outputs, outputs_detail, alive)


def _host(contents: RunContents) -> str | None:
    """Return the computer that wrote the run last, None if it is not known."""
    return next((part.facts.get("host") for part in reversed(contents.sessions())), None)


def _phase(status: str, alive: bool, host: str | None) -> tuple[Phase, str]:
    if status == "created":
        return "waiting", "the training has not begun"
    if status == "running":
        if alive:
            return "running", "measuring"
        if host not in (None, platform.node()):
            return "unknown", f"running on {host}, or killed: it cannot be seen from here"
        return "killed", "its process ended without recording why; hwlearn resume continues it"
    if status in _ENDINGS:
        phase, detail = _ENDINGS[status]
        return phase, "measuring its final score" if alive and phase == "finished" else detail
    return "failed", status.removeprefix("failed:").strip() or status


def _outputs(contents: RunContents, status: str, phase: Phase, alive: bool) -> tuple[OutputState, str]:
    """Return the state of the outputs. What is not proven to be off may be on."""
    if contents.meta("dry_run"):
        return "none", "dry run: no instrument was contacted"
    recorded, sessions = contents.meta("outputs"), contents.sessions()
    instruments = sessions[-1].facts.get("instruments") if sessions else None
    if instruments == [] or recorded == "none" or contents.meta("backend") == _TWIN:
        return "none", "a simulated network: there are no instruments"
    bench = contents.meta("bench")
    ask = f"hwlearn status {bench} reads them, hwlearn off {bench} switches them off"
    if alive and phase in ("running", "finished", "stopped"):
        return "on", "the process of the run holds them on"
    if recorded == "off" and MAY_BE_ON not in status:
        return "off", "switched off when the training ended"
    if phase == "waiting":
        return "may be on", f"the training has not begun, and nothing is known of the bench before it; {ask}"
    reasons = {
        "killed": "the process ended without switching them off",
        "unknown": "nothing is known of another computer",
        "failed": "the failed run did not record that they were switched off",
    }
    return "may be on", f"{reasons.get(phase, 'the run did not record that they were switched off')}; {ask}"


def seconds_left(done: float, total: int, seconds: Sequence[float]) -> float | None:
    """Return the expected time to the end of a training; None without a completed epoch.

    Parameters
    ----------
    done : float
        Epochs that are done, the present one as a fraction.
    total : int
        Epochs that were requested.
    seconds : sequence of float
        Duration of the last epochs.

    Examples
    --------
    >>> seconds_left(7.5, 10, [2.0, 4.0]), seconds_left(0.5, 10, []), seconds_left(12, 10, [1.0])
    (7.5, None, 0.0)
    """
    return None if not seconds else max(0.0, total - done) * sum(seconds) / len(seconds)
