"""Status registers of a SCPI instrument (IEEE 488.2, SCPI 1999 volume 1 chapter 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from hwlearn_sim.instruments.errors import ErrorQueue
from hwlearn_sim.instruments.scpi.language import Query, Write
from hwlearn_sim.instruments.scpi.parameters import Kind, T, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.trigger_run import TriggerRun

_EVENTS: Final = ((-499, -400, 4), (-399, -300, 8), (-299, -200, 16), (-199, -100, 32))
_POWER_ON: Final = 128


class _Instrument(Protocol):
    """What the registers need of their instrument."""

    errors: ErrorQueue
    run: TriggerRun
    replying: bool

    def command(
        self, pattern: str, write: Write | None = None, query: Query | None = None, *, urgent: bool = False
    ) -> None: ...

    def simple_command(self, pattern: str, act: Callable[[], None], *, urgent: bool = False) -> None: ...

    def simple_query(self, pattern: str, answer: Callable[[], str]) -> None: ...

    def setting(
        self, pattern: str, kind: Kind[T], get: Callable[[Suffixes], T], put: Callable[[Suffixes, T], None]
    ) -> None: ...

    def register_text(self, value: int) -> str: ...


class Register:
    """Event register of one part of the instrument, with its enable mask."""

    def __init__(self) -> None:
        self.events = self.enable = 0

    @property
    def summary(self) -> bool:
        """Whether an enabled event is set."""
        return bool(self.events & self.enable)

    def take(self) -> int:
        """Return the events and clear them."""
        events, self.events = self.events, 0
        return events


class StatusRegisters:
    """The registers and their commands.

    Parameters
    ----------
    instrument : ScpiInstrument
        The instrument, to which the commands are added.

    Attributes
    ----------
    standard : Register
        The standard event register.
    measurement, operation, questionable : Register
        The device-dependent registers.
    request_enable : int
        Mask of the status byte for service requests.
    more : callable
        Returns bits of the status byte that a model adds.
    idle_bit : int
        Bit of the operation register that is set while no run of the trigger model is waiting; 0: none.
    """

    def __init__(self, instrument: _Instrument) -> None:
        self._instrument = instrument
        self.standard = Register()
        self.standard.events = _POWER_ON
        self.request_enable = 0
        self._completes = False
        self.idle_bit = 0
        self.more: Callable[[], int] = lambda: 0
        self.measurement, self.operation, self.questionable = Register(), Register(), Register()
        self._add_common()
        for name, register, condition in (
            ("MEASurement", self.measurement, lambda: self.measurement.events),
            ("OPERation", self.operation, self._operation_condition),
            ("QUEStionable", self.questionable, lambda: 0),
        ):
            self._add_register(name, register, condition)

    def note_error(self, code: int) -> None:
        """Set the bit of an error."""
        if code > 0:
            self.standard.events |= 8
        for low, high, bit in _EVENTS:
            if low <= code <= high:
                self.standard.events |= bit

    def completed(self) -> None:
        """Note that every operation is complete and no run of the trigger model is waiting."""
        if self._completes:
            self._completes = False
            self.standard.events |= 1

    def returned_to_idle(self) -> None:
        """Set the idle event."""
        self.operation.events |= self.idle_bit

    def clear(self) -> None:
        """Clear the error queue and all events."""
        self._instrument.errors.clear()
        for register in (self.standard, self.measurement, self.operation, self.questionable):
            register.events = 0

    def byte(self) -> int:
        """Return the status byte."""
        byte = 1 * self.measurement.summary | 8 * self.questionable.summary | 128 * self.operation.summary
        byte |= 4 * bool(len(self._instrument.errors)) | 16 * self._instrument.replying
        byte |= 32 * self.standard.summary | self.more()
        return byte | (64 if byte & self.request_enable else 0)

    def _operation_condition(self) -> int:
        return 0 if self._instrument.run.waiting else self.idle_bit

    def _add_common(self) -> None:
        one, byte = self._instrument, Whole(0, 255, 0)

        def enable(_: Suffixes, mask: int) -> None:
            self.standard.enable = mask

        def enable_requests(_: Suffixes, mask: int) -> None:
            self.request_enable = mask & ~64

        one.simple_query("*ESR", lambda: one.register_text(self.standard.take()))
        one.simple_query("*STB", lambda: one.register_text(self.byte()))
        one.setting("*ESE", byte, lambda _: self.standard.enable, enable)
        one.setting("*SRE", byte, lambda _: self.request_enable, enable_requests)
        one.simple_command("*CLS", self.clear)
        one.simple_command("STATus:PRESet", self._preset)

    def complete(self, arguments: list[str]) -> None:
        """Execute ``*OPC``: set the bit when every operation is complete."""
        checked_count(arguments, 0)
        self._completes = True
        if not self._instrument.run.waiting:
            self.completed()

    def _preset(self) -> None:
        for register in (self.measurement, self.operation, self.questionable):
            register.enable = 0

    def _add_register(self, name: str, register: Register, condition: Callable[[], int]) -> None:
        one = self._instrument

        def enable(_: Suffixes, mask: int) -> None:
            register.enable = mask

        one.setting(f"STATus:{name}:ENABle", Whole(0, 65535, 0), lambda _: register.enable, enable)
        one.simple_query(f"STATus:{name}[:EVENt]", lambda: one.register_text(register.take()))
        one.simple_query(f"STATus:{name}:CONDition", lambda: one.register_text(condition()))
