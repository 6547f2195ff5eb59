"""`InstrumentThreads`: addresses the instruments of a bench in parallel, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

_Instrument = TypeVar("_Instrument")


class InstrumentThreads(Generic[_Instrument]):
    """One thread for each instrument; a single instrument is addressed in the thread of the caller.

    Parameters
    ----------
    used : sequence of (instrument, list of int)
        The instruments, each with the numbers of its terminals.
    """

    __slots__ = ("_pending", "_pool", "_used")

    def __init__(self, used: Sequence[tuple[_Instrument, list[int]]]) -> None:
        self._used = tuple(used)
        self._pool = ThreadPoolExecutor(len(self._used), thread_name_prefix="instrument")
        self._pending: list[Future[None]] = []

    def each_terminal(self, act: Callable[[int], None]) -> None:
        """Call ``act`` for every terminal, in sequence on one instrument; raise the first exception."""

        def each(_: _Instrument, terminals: list[int]) -> None:
            for k in terminals:
                act(k)

        self.each_instrument(each)

    def each_instrument(self, act: Callable[[_Instrument, list[int]], None]) -> None:
        """Call ``act`` for every instrument and its terminals; raise the first exception.

        After an exception or Ctrl-C, threads may still be busy until `wait` returns.
        """
        if len(self._used) == 1:
            act(*self._used[0])
            return
        self._pending = [self._pool.submit(act, *used) for used in self._used]
        _wait(self._pending, FIRST_EXCEPTION)
        for future in self._pending:
            if future.done():
                future.result()

    def wait(self) -> None:
        """Wait until no thread uses an instrument any more; the time-outs limit the wait."""
        _wait(self._pending)
        self._pending = []

    def close(self) -> None:
        """Wait for the threads and end them."""
        self.wait()
        self._pool.shutdown()


def _wait(futures: list[Future[None]], until: str = ALL_COMPLETED) -> None:
    """Wait for futures in intervals, because on some systems Ctrl-C does not interrupt an unlimited wait."""
    while True:
        done, running = wait(futures, timeout=0.2, return_when=until)
        if not running or (until == FIRST_EXCEPTION and any(future.exception() for future in done)):
            return
