"""`InterruptedMeasurement`: raises an exception at the n-th call inside a running measurement."""

from __future__ import annotations

import inspect
import sys
from types import FrameType, TracebackType
from typing import Any, Final, Self

from hwlearn.network.network import Network
from hwlearn.network.wrapped import WrappedNetwork

_STANDARD: Final = frozenset(sys.stdlib_module_names)


class InterruptedMeasurement:
    """A block in which a measurement of a network is interrupted, as by Ctrl-C; use it in the main thread.

    The exception is raised where Python handles signals: at the beginning of a function that the backend calls in
    its measurement. Functions of Python's own library are left out: an interrupted lock is no defect of a backend.

    Parameters
    ----------
    network : Network
        For a network that wraps others, the innermost one is interrupted.
    error : BaseException or None
        None: nothing is raised, and the calls are counted.
    at : int
        Number of the call, from 0.
    operation : str
        Method of the backend that is interrupted.

    Attributes
    ----------
    calls : int
        Calls inside the measurement so far.
    raised : bool
        Whether the exception was raised.
    """

    def __init__(
        self, network: Network, error: BaseException | None, at: int = 0, operation: str = "_measure"
    ) -> None:
        while isinstance(network, WrappedNetwork):
            network = network.network
        self._network, self._error, self._at, self._operation = network, error, at, operation
        self._depth = 0
        self.calls = 0
        self.raised = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.setprofile(self._before)

    def _watch(self, frame: FrameType, event: str, argument: object) -> None:
        if event not in ("call", "return"):
            return
        if frame.f_code.co_name == self._operation and frame.f_locals.get("self") is self._network:
            self._depth += 1 if event == "call" else -1
            return
        if event != "call" or not self._depth:
            return
        if frame.f_globals.get("__name__", "").partition(".")[0] in _STANDARD:
            return
        if frame.f_code.co_flags & inspect.CO_GENERATOR:  # perhaps it is being collected, and cannot raise
            return
        self.calls += 1
        if self._error is not None and self.calls - 1 == self._at:
            self.raised = True
            sys.setprofile(self._before)
            raise self._error
