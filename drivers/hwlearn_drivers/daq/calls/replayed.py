"""`ReplayedCalls`: takes the results of calls from a wire log; neither device nor package is needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, cast

from hwlearn.errors import HwlearnError, SetupError
from hwlearn_drivers.daq.calls.calls import DaqCalls
from hwlearn_drivers.daq.calls.logs import ERROR
from hwlearn_drivers.daq.errors import ReservedError
from hwlearn_drivers.daq.library import DaqLibrary, DaqTask
from hwlearn_drivers.errors import InstrumentError, LinkError, LinkTimeout
from hwlearn_drivers.transport.links.replay import ReplayLink

_ERRORS: Final[Mapping[str, type[HwlearnError]]] = {
    kind.__name__: kind for kind in (LinkError, LinkTimeout, ReservedError, SetupError)
}


class ReplayedCalls(DaqCalls):
    """Calls that are compared with those of a log and have its results.

    Parameters
    ----------
    called, device
        See `DaqCalls`.
    link : ReplayLink
        The messages of this device.
    """

    def __init__(self, called: str, device: str, link: ReplayLink) -> None:
        super().__init__(cast(DaqLibrary, None), called, device)
        self._link = link

    def close(self, task: DaqTask) -> None:
        """Do nothing: no task is open."""

    def _task(self, made: list[DaqTask]) -> DaqTask:
        return cast(DaqTask, object())

    def _call(self, line: str, act: Callable[[], Any], off: bool = False) -> Any:
        self._link.write(line.encode("ascii", "backslashreplace") + b"\n")
        reply = self._link.read_line(0.0)
        try:
            found = json.loads(reply)
        except ValueError as error:
            raise LinkError(f"the log has {reply[:60]!r} as the result of {line!r}") from error
        if isinstance(found, dict) and ERROR in found:
            self._raise(found[ERROR])
        return found

    def _raise(self, recorded: list[Any]) -> NoReturn:
        kind, *made_with = recorded
        if kind == InstrumentError.__name__:
            code, text, command = made_with
            raise InstrumentError(self.called, int(code), str(text), str(command))
        raise _ERRORS.get(kind, LinkError)(*made_with)
