"""Processor time that counts against the limit of a script."""

from __future__ import annotations

import gc
import threading
import time


class _Collections(threading.local):
    """Processor time in seconds that full garbage collections took in this thread, and the start of one."""

    total = 0.0
    began = 0.0


_collections = _Collections()


def _note_collection(phase: str, info: dict[str, int]) -> None:
    """Add up full garbage collections: in a large program one may take longer than a script may."""
    if info["generation"] == 2:
        now = time.thread_time()
        if phase == "start":
            _collections.began = now
        else:
            _collections.total += now - _collections.began


gc.callbacks.append(_note_collection)


def script_time() -> float:
    """Return the processor time of this thread in seconds, without full garbage collections."""
    return time.thread_time() - _collections.total
