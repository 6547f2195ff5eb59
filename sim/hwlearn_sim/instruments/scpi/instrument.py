"""`ScpiInstrument`: base of instruments with SCPI commands, the common commands and the status registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.instruments.scpi.language import CommandTree, Query, Write, split, trimmed
from hwlearn_sim.instruments.scpi.parameters import Kind, Whole, checked_count

T = TypeVar("T")

_EVENTS: Final = ((-499, -400, 4), (-399, -300, 8), (-299, -200, 16), (-199, -100, 32))
_POWER_ON: Final = 128


class ScpiInstrument(VirtualInstrument):
    """Base class of the SCPI models. A model adds its commands to `tree`.

    Parameters
    ----------
    identity : str
        Reply to ``*IDN?``.
    error_capacity : int
        Capacity of the error queue.
    clock : Clock, optional
        The instrument's clock.
    no_error : str
        Reply to ``:SYST:ERR?`` if the error queue is empty.
    """

    def __init__(
        self,
        identity: str,
        error_capacity: int = 30,
        clock: Clock | None = None,
        *,
        no_error: str = '0,"No error"',
    ) -> None:
        super().__init__(identity, error_capacity, clock)
        self._no_error = no_error
        self.tree = CommandTree()
        self._events = _POWER_ON
        self._event_enable = self._request_enable = 0
        self._measurement_events = self._measurement_enable = 0
        self._replying = False
        self._settings: dict[tuple[str, tuple[int, ...]], Any] = {}
        self._add_common()
        self._add_errors()

    # --- for the models -----------------------------------------------------------------------------

    def command(self, pattern: str, write: Write | None = None, query: Query | None = None) -> None:
        """Add a command, a query or both for a header."""
        self.tree.add(pattern, write=write, query=query)

    def simple_command(self, pattern: str, act: Callable[[], None]) -> None:
        """Add a command without parameters."""

        def write(_: tuple[int, ...], arguments: list[str]) -> None:
            checked_count(arguments, 0)
            act()

        self.tree.add(pattern, write=write)

    def simple_query(self, pattern: str, answer: Callable[[], str]) -> None:
        """Add a query without parameters."""

        def query(_: tuple[int, ...], arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return answer()

        self.tree.add(pattern, query=query)

    def setting(
        self,
        pattern: str,
        kind: Kind[T],
        get: Callable[[tuple[int, ...]], T],
        put: Callable[[tuple[int, ...], T], None],
    ) -> None:
        """Add command and query of a setting with one parameter; ``get`` and ``put`` receive the suffixes."""

        def write(suffixes: tuple[int, ...], arguments: list[str]) -> None:
            (text,) = checked_count(arguments, 1)
            put(suffixes, kind.read(text))

        def query(suffixes: tuple[int, ...], arguments: list[str]) -> str:
            if checked_count(arguments, 0, 1):
                return kind.write(kind.bound(arguments[0]))
            return kind.write(get(suffixes))

        self.tree.add(pattern, write=write, query=query)

    def stored_setting(self, pattern: str, kind: Kind[T], initial: T) -> Callable[..., T]:
        """Add a setting that is only stored; return a function that returns its present value."""

        ones = (1,) * pattern.count("#")

        def get(suffixes: tuple[int, ...] = ones) -> T:
            self.check_suffixes(suffixes)
            value: T = self._settings.get((pattern, suffixes), initial)
            return value

        def put(suffixes: tuple[int, ...], value: T) -> None:
            self.check_suffixes(suffixes)
            self._settings[pattern, suffixes] = value

        self.setting(pattern, kind, get, put)
        return get

    def check_suffixes(self, suffixes: tuple[int, ...]) -> None:
        """Reject numeric suffixes that the model does not have (-114)."""
        if any(number != 1 for number in suffixes):
            raise VirtualInstrumentError(-114)

    def error_text(self, text: str) -> str:
        """Return the text of an error in the format of this model."""
        return text

    def set_measurement_event(self, bit: int) -> None:
        """Set a bit of the measurement event register."""
        self._measurement_events |= bit

    # --- messages -----------------------------------------------------------------------------------

    def _execute(self, message: bytes) -> bytes:
        text = trimmed(message.decode("latin-1"))
        replies: list[str] = []
        path: tuple[str, ...] = ()
        try:
            for unit_text in split(text, ";"):
                if not unit_text.strip():
                    continue
                try:
                    unit, path = self.tree.parse(unit_text, path)
                    self._replying = bool(replies)
                    if unit.is_query:
                        assert unit.command.query is not None
                        replies.append(unit.command.query(unit.suffixes, unit.arguments))
                    else:
                        assert unit.command.write is not None
                        unit.command.write(unit.suffixes, unit.arguments)
                except VirtualInstrumentError as error:
                    self._record_error(error)
                    if -199 <= error.code <= -100:
                        break  # after a command error, the rest of the message is ignored
        except VirtualInstrumentError as error:
            self._record_error(error)
        return (";".join(replies) + "\n").encode("latin-1") if replies else b""

    def _record_error(self, error: VirtualInstrumentError) -> None:
        super()._record_error(error)
        if error.code > 0:
            self._events |= 8
        for low, high, bit in _EVENTS:
            if low <= error.code <= high:
                self._events |= bit

    # --- common commands ----------------------------------------------------------------------------

    def _add_common(self) -> None:
        byte = Whole(0, 255, 0)

        def enable_events(_: tuple[int, ...], mask: int) -> None:
            self._event_enable = mask

        def enable_requests(_: tuple[int, ...], mask: int) -> None:
            self._request_enable = mask & ~64

        def enable_measurement(_: tuple[int, ...], mask: int) -> None:
            self._measurement_enable = mask

        self.simple_query("*IDN", lambda: self.identity)
        self.simple_query("*TST", lambda: "0")
        self.simple_query("*OPT", lambda: "0")
        self.simple_query("*ESR", self._take_events)
        self.simple_query("*STB", lambda: str(self._status_byte()))
        self.setting("*ESE", byte, lambda _: self._event_enable, enable_events)
        self.setting("*SRE", byte, lambda _: self._request_enable, enable_requests)
        self.command("*OPC", lambda _, arguments: self._complete(arguments), lambda _, arguments: "1")
        self.simple_command("*CLS", self._clear_status)
        self.simple_command("*RST", self._reset_all)
        self.simple_command("*WAI", lambda: None)
        self.simple_command("STATus:PRESet", lambda: enable_measurement((), 0))
        register = Whole(0, 65535, 0)
        self.setting("STATus:MEASurement:ENABle", register, lambda _: self._measurement_enable, enable_measurement)
        self.simple_query("STATus:MEASurement[:EVENt]", self._take_measurement_events)
        self.simple_query("STATus:MEASurement:CONDition", lambda: str(self._measurement_events))
        for register_name in ("OPERation", "QUEStionable"):
            self.stored_setting(f"STATus:{register_name}:ENABle", register, 0)
            self.simple_query(f"STATus:{register_name}[:EVENt]", lambda: "0")
            self.simple_query(f"STATus:{register_name}:CONDition", lambda: "0")

    def _add_errors(self) -> None:
        def every_error() -> str:
            entries = [self.next_error()]
            while len(self.errors):
                entries.append(self.next_error())
            return ",".join(entries)

        self.simple_query("SYSTem:ERRor[:NEXT]", self.next_error)
        self.simple_query("SYSTem:ERRor:ALL", every_error)
        self.simple_query("SYSTem:ERRor:COUNt", lambda: str(len(self.errors)))
        self.simple_query("SYSTem:ERRor:CODE[:NEXT]", lambda: str(self.errors.next()[0]))
        self.simple_query("SYSTem:VERSion", lambda: "1996.0")
        self.simple_command("SYSTem:CLEar", self.errors.clear)

    def next_error(self) -> str:
        """Remove the oldest error from the queue and return it in the format of a reply."""
        code, text = self.errors.next()
        return f'{code},"{self.error_text(text)}"' if code else self._no_error

    def _complete(self, arguments: list[str]) -> None:
        checked_count(arguments, 0)
        self._events |= 1

    def _take_events(self) -> str:
        events, self._events = self._events, 0
        return str(events)

    def _take_measurement_events(self) -> str:
        events, self._measurement_events = self._measurement_events, 0
        return str(events)

    def _status_byte(self) -> int:
        byte = 1 if self._measurement_events & self._measurement_enable else 0
        byte |= 4 if len(self.errors) else 0
        byte |= 16 if self._replying else 0
        byte |= 32 if self._events & self._event_enable else 0
        return byte | (64 if byte & self._request_enable else 0)

    def _clear_status(self) -> None:
        self.errors.clear()
        self._events = self._measurement_events = 0

    def _reset_all(self) -> None:
        self._settings.clear()
        self.reset()
