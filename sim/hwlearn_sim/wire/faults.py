"""Faults on an instrument's wire: on demand, or by a schedule that a seed repeats."""

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
"""A reply that comes late, in pieces, never, or damaged; or the peer drops the connection in its place; or the
plug is pulled when half of it has gone."""

KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, of one reply.

    Attributes
    ----------
    kind : {"late", "fragmented", "dropped", "garbled", "reset", "unplugged"}
        What happens to the reply. Over a serial line, which cannot be reset, the reply of a reset is dropped.
        An unplugged serial line is gone for good.
    seconds : float
        How late a late reply is; how long a fragmented one pauses between its pieces.
    pieces : int
        How many a fragmented reply comes in.

    Raises
    ------
    SetupError
        If there is no such kind, the time is negative, or there are less than two pieces.
    """

    kind: FaultKind
    seconds: float = 0.05
    pieces: int = 3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SetupError(f"there is no fault {self.kind!r}; the faults are: {', '.join(KINDS)}")
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise SetupError(f"a fault lasts {self.seconds} s; it must be zero or a positive time")
        if self.pieces < 2:
            raise SetupError(f"a reply cannot be fragmented into {self.pieces} pieces; use two or more")


class Faults:
    """What goes wrong on one wire.

    Parameters
    ----------
    rates : mapping of fault kind to float, optional
        Probability of each fault for every reply; none unless given.
    seed : int
        The schedule follows from it: the same faults befall the same replies every time.
    seconds : float
        How late scheduled late replies are, and how long fragmented ones pause.

    Attributes
    ----------
    muted : bool
        While set, no reply is sent at all; commands are still obeyed.
    replies : int
        Replies so far, the lost ones counted.
    befallen : list of (int, Fault)
        The faults that have happened, each with the number of its reply.

    Raises
    ------
    SetupError
        If a kind is unknown, or the probabilities are negative or exceed one in sum.
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
        self.muted = False
        self.replies = 0
        self.befallen: list[tuple[int, Fault]] = []
        self._rates, self._seconds = rates, seconds
        self._rng = np.random.default_rng(seed)
        self._damage = np.random.default_rng([seed, 1])
        self._waiting: deque[Fault | None] = deque()
        self._lock = threading.Lock()

    def inject(
        self, kind: FaultKind, *, after: int = 0, count: int = 1, seconds: float = 0.05, pieces: int = 3
    ) -> None:
        """Let the next replies suffer a fault.

        Parameters
        ----------
        kind : {"late", "fragmented", "dropped", "garbled", "reset", "unplugged"}
        after : int
            Replies that pass unharmed first, counted behind what is waiting already.
        count : int
            Replies that suffer.
        seconds, pieces
            See `Fault`.
        """
        fault = Fault(kind, seconds, pieces)
        with self._lock:
            self._waiting.extend([None] * after)
            self._waiting.extend([fault] * count)

    def clear(self) -> None:
        """Forget what is waiting, and unmute; a schedule goes on."""
        with self._lock:
            self._waiting.clear()
            self.muted = False

    def next(self) -> Fault | None:
        """Return the fault of the next reply, None if it passes unharmed."""
        with self._lock:
            # one draw a reply, whatever happens, so that the schedule does not depend on what was injected
            draw = float(self._rng.random())
            fault = self._waiting.popleft() if self._waiting else self._scheduled(draw)
            if fault is not None:
                self.befallen.append((self.replies, fault))
            self.replies += 1
            return fault

    def garbled(self, reply: bytes) -> bytes:
        """Return a reply with a few of its bytes replaced; its last one, the end of line, stays."""
        damaged = bytearray(reply)
        inside = max(len(damaged) - 1, 1)
        for place in self._damage.integers(0, inside, size=min(3, inside)):
            other = int(self._damage.integers(0x21, 0x7E))
            damaged[place] = other if other != damaged[place] else 0x7E
        if bytes(damaged) == reply:  # the same place was hit twice and restored
            damaged[0] ^= 0x01
        return bytes(damaged)

    def _scheduled(self, draw: float) -> Fault | None:
        bound = 0.0
        for kind, rate in self._rates.items():
            bound += rate
            if draw < bound:
                return Fault(kind, self._seconds)
        return None
