"""`ExclusiveUse`: one thread at a time, only in the process that opened the hardware."""

from __future__ import annotations

import os
import threading

from hwlearn.errors import NetworkError


class ExclusiveUse:
    """Context of one call of a network. A second thread is refused at once; the same thread may enter again."""

    __slots__ = ("_lock", "_process", "_revoked")

    def __init__(self) -> None:
        self._lock, self._process = threading.RLock(), os.getpid()
        self._revoked: str | None = None

    def revoke(self, reason: str) -> None:
        """Refuse every further call; a call in progress ends with the same error. The first reason is kept."""
        self._revoked = self._revoked or f"outputs were switched off: {reason}"

    def is_own_process(self) -> bool:
        """Return whether this is the process that opened the network, not a forked child."""
        return os.getpid() == self._process

    def __enter__(self) -> None:
        if os.getpid() != self._process:
            raise NetworkError(
                f"the network was opened by process {self._process} and cannot be used in its forked child "
                f"{os.getpid()}; nothing was applied; open the bench in the process that uses it"
            )
        if self._revoked is not None:
            raise NetworkError(self._revoked)
        if not self._lock.acquire(blocking=False):
            raise NetworkError(
                "the network is in use by another thread; nothing was applied; "
                "use a network from one thread at a time"
            )

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._lock.release()
        reason = self._revoked
        if reason is not None and (error is None or (isinstance(error, Exception) and reason not in str(error))):
            raise NetworkError(reason) from error
