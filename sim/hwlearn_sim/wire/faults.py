"""Faults of the connection to an instrument: injected on request, or at random from a seed."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from hwlearn.errors import SetupError

FaultKind = Literal["late", "fragmented", "dropped", "garbled", "reset", "unplugged"]
"""The reply arrives late, in pieces, not at all or damaged. With ``reset`` the connection is dropped instead. With
``unplugged`` the cable is disconnected after half of the reply."""

KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one reply.

    Attributes
    ----------
    kind : {"late", "fragmented", "dropped", "garbled", "reset", "unplugged"}
        What happens to the reply. A serial line cannot be reset: there the reply is dropped. An unplugged serial
        line does not come back.
    seconds : float
        Delay of a late reply, or pause between the pieces of a fragmented one.
    pieces : int
        Number of pieces of a fragmented reply.

    Raises
    ------
    SetupError
        If the kind is unknown, the time is negative, or there are fewer than two pieces.
    """

    kind: FaultKind
    seconds: float = 0.05
    pieces: int = 3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SetupError(f"there is no fault {self.kind!r}; the faults are: {', '.join(KINDS)}")
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise SetupError(f"seconds of a fault is {self.seconds}; it must be zero or positive")
        if self.pieces < 2:
            raise SetupError(f"pieces of a fault is {self.pieces}; it must be at least 2")


class Faults:
    """Faults of one connection.

    Parameters
    ----------
    rates : mapping of fault kind to float, optional
        Probability of each fault per reply. Default: no faults.
    seed : int
        Seed of the random faults: with equal seeds, the same replies are affected.
    seconds : float
        Delay of late replies, and pause between the pieces of fragmented ones.

    Attributes
    ----------
    muted : bool
        While true, no reply is sent. Commands are still executed.
    replies : int
        Number of replies so far, including lost ones.
    occurred : list of (int, Fault)
        Faults so far, each with the number of its reply.

    Raises
    ------
    SetupError
        If a kind is unknown, a probability is negative, or their sum exceeds one.
    """

    def __init__(
        self, rates: Mapping[FaultKind, float] | None = None, seed: int = 0, seconds: float = 0.05
    ) -> None:
        rates = {} if rates is None else dict(rates)
        for kind, rate in rates.items():
            Fault(kind, seconds)
            if not rate >= 0:
                raise SetupError(f"the rate of {kind!r} faults is {rate}; it must lie between 0 and 1")
        if sum(rates.values()) > 1 + 1e-12:
            raise SetupError(f"the rates of all faults add up to {sum(rates.values()):g}, more than 1")
        self.muted: bool = False
        self.replies: int = 0
        self.occurred: list[tuple[int, Fault]] = []
        self._rates, self._seconds = rates, seconds
        self._rng = np.random.default_rng(seed)
        self._damage = np.random.default_rng([seed, 1])
        self._waiting: deque[Fault | None] = deque()
        self._lock = threading.Lock()

    def inject(
        self, kind: FaultKind, *, after: int = 0, count: int = 1, seconds: float = 0.05, pieces: int = 3
    ) -> None:
        """Apply a fault to the next replies.

        Parameters
        ----------
        kind : {"late", "fragmented", "dropped", "garbled", "reset", "unplugged"}
        after : int
            Number of replies that are sent unchanged first, after the faults already injected.
        count : int
            Number of replies with the fault.
        seconds, pieces
            See `Fault`.
        """
        fault = Fault(kind, seconds, pieces)
        with self._lock:
            self._waiting.extend([None] * after)
            self._waiting.extend([fault] * count)

    def clear(self) -> None:
        """Remove the injected faults and unmute. Random faults continue."""
        with self._lock:
            self._waiting.clear()
            self.muted = False

    @property
    def waiting(self) -> int:
        """Number of replies to come for which faults were injected, counting the unchanged ones before them."""
        with self._lock:
            return len(self._waiting)

    def next(self) -> Fault | None:
        """Return the fault of the next reply, or None."""
        with self._lock:
            # one draw per reply in any case, so that injected faults do not change the random ones
            draw = float(self._rng.random())
            fault = self._waiting.popleft() if self._waiting else self._scheduled(draw)
            if fault is not None:
                self.occurred.append((self.replies, fault))
            self.replies += 1
            return fault

    def garbled(self, reply: bytes) -> bytes:
        """Return a reply with up to three bytes replaced; its last byte, the terminator, is kept."""
        damaged = bytearray(reply)
        inside = max(len(damaged) - 1, 1)
        for place in self._damage.integers(0, inside, size=min(3, inside)):
            other = int(self._damage.integers(0x21, 0x7E))
            damaged[place] = other if other != damaged[place] else 0x7E
        if bytes(damaged) == reply:  # the same byte was changed twice and restored
            damaged[0] ^= 0x01
        return bytes(damaged)

    def _scheduled(self, draw: float) -> Fault | None:
        bound = 0.0
        for kind, rate in self._rates.items():
            bound += rate
            if draw < bound:
                return Fault(kind, self._seconds)
        return None
