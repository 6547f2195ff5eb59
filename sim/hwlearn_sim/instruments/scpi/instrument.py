"""`ScpiInstrument`: base of instruments with SCPI commands, the common commands and the status registers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.instruments.scpi.language import Command, CommandTree, Query, Unit, Write, split, trimmed
from hwlearn_sim.instruments.scpi.parameters import Kind, checked_count
from hwlearn_sim.instruments.scpi.settings import Effect, Setting, SettingStore, Suffixes
from hwlearn_sim.instruments.scpi.status import StatusRegisters
from hwlearn_sim.instruments.scpi.trigger_run import TriggerRun

T = TypeVar("T")


class PostponedError(Exception):
    """A unit cannot be executed before the present run of the trigger model ends.

    Parameters
    ----------
    unit : Unit
        What is executed then.
    """

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self.unit = unit


class _Message:
    """A message that is being executed: the units that remain, the header path, and the replies so far."""

    __slots__ = ("next", "path", "replies", "units")

    def __init__(self, text: str) -> None:
        self.units: Iterator[str] = split(text, ";")
        self.path: tuple[str, ...] = ()
        self.replies: list[str] = []
        self.next: Unit | None = None


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

    Attributes
    ----------
    tree : CommandTree
        The commands.
    effects : dict of str to {"modelled", "stored", "refused"}
        What each command does, by its pattern.
    run : TriggerRun
        The present run of the trigger model.
    """

    #: Whether other messages wait while the trigger model waits for an event, as in a 2400 (manual p. 11-11).
    queues_while_waiting: bool = False

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
        self.replying = False
        self.store = SettingStore()
        self.effects: dict[str, Effect] = {}
        self.run = TriggerRun(lambda: self.status.returned_to_idle())
        self._held: deque[_Message] = deque()
        self._add_common()
        self.status = StatusRegisters(self)

    # --- for the models -----------------------------------------------------------------------------

    def command(
        self, pattern: str, write: Write | None = None, query: Query | None = None, *, urgent: bool = False
    ) -> None:
        """Add a command, a query or both for a header; ``urgent``: also while the trigger model waits."""
        self.effects[pattern] = "modelled"
        self.tree.add(pattern, write=write, query=query, urgent=urgent)

    def simple_command(self, pattern: str, act: Callable[[], None], *, urgent: bool = False) -> None:
        """Add a command without parameters."""

        def write(_: Suffixes, arguments: list[str]) -> None:
            checked_count(arguments, 0)
            act()

        self.command(pattern, write, urgent=urgent)

    def simple_query(self, pattern: str, answer: Callable[[], str]) -> None:
        """Add a query without parameters."""

        def query(_: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return answer()

        self.command(pattern, query=query)

    def setting(
        self,
        pattern: str,
        kind: Kind[T],
        get: Callable[[Suffixes], T],
        put: Callable[[Suffixes, T], None],
    ) -> None:
        """Add command and query of a setting with one parameter; ``get`` and ``put`` receive the suffixes."""
        ones = (1,) * pattern.count("#")  # every model has these; comparing them is faster than checking

        def write(suffixes: Suffixes, arguments: list[str]) -> None:
            (text,) = checked_count(arguments, 1)
            if suffixes != ones:
                self.check_suffixes(suffixes)
            put(suffixes, kind.read(text))

        def query(suffixes: Suffixes, arguments: list[str]) -> str:
            if suffixes != ones:
                self.check_suffixes(suffixes)
            if not arguments:
                return kind.write(get(suffixes))
            return kind.write(kind.bound(checked_count(arguments, 1)[0]))

        self.command(pattern, write, query)

    def kept(self, name: str, initial: T, suffixes: int = 0, *, lasting: bool = False) -> Setting[T]:
        """Return a setting without a command of its own, which a reset restores unless it is ``lasting``."""
        return Setting(self.store, name, initial, suffixes, lasting=lasting)

    def stored_setting(self, pattern: str, kind: Kind[T], initial: T, *, lasting: bool = False) -> Setting[T]:
        """Add a setting and return it; the model acts by its present value."""
        kept = Setting(self.store, pattern, initial, pattern.count("#"), lasting=lasting)
        self.setting(pattern, kind, kept, lambda suffixes, value: kept.put(value, suffixes))
        return kept

    def without_effect(self, pattern: str, kind: Kind[T], initial: T, *, lasting: bool = False) -> None:
        """Add a setting that is stored and answered, and on which no reading and no output can depend."""
        kept = Setting(self.store, pattern, initial, pattern.count("#"), lasting=lasting)
        self.setting(pattern, kind, kept, lambda suffixes, value: kept.put(value, suffixes))
        self.effects[pattern] = "stored"

    def nothing(self, pattern: str, *, least: int = 0, most: int = 0) -> None:
        """Add a command on which no reading and no output can depend, such as a beep."""

        def write(suffixes: Suffixes, arguments: list[str]) -> None:
            self.check_suffixes(suffixes)
            checked_count(arguments, least, most)

        self.command(pattern, write)
        self.effects[pattern] = "stored"

    def refused(self, pattern: str, code: int = -241, text: str | None = None) -> None:
        """Add a command of the real instrument that this one refuses; default: -241, hardware missing."""

        def write(_: Suffixes, __: list[str]) -> None:
            raise VirtualInstrumentError(code, text)

        def query(_: Suffixes, __: list[str]) -> str:
            raise VirtualInstrumentError(code, text)

        self.command(pattern, write, query)
        self.effects[pattern] = "refused"

    def check_suffixes(self, suffixes: Suffixes) -> None:
        """Reject numeric suffixes that the model does not have (-114)."""
        if any(number != 1 for number in suffixes):
            raise VirtualInstrumentError(-114)

    def error_text(self, text: str) -> str:
        """Return the text of an error in the format of this model."""
        return text

    def options(self) -> str:
        """Return the reply to ``*OPT?``."""
        return "0"

    def register_text(self, value: int) -> str:
        """Return the value of a status register in the format of replies."""
        return str(value)

    # --- messages -----------------------------------------------------------------------------------

    def give_event(self, event: str) -> None:
        """Let an event happen that is no message, such as a pulse on a trigger line.

        Replies to messages that waited for it are sent with the next one.
        """
        with self.lock:
            self.run.fire(event)

    def _execute(self, message: bytes) -> bytes:
        before = self._work_held() if self._held else b""
        reply = self._work(_Message(trimmed(message.decode("latin-1"))))
        if self._held:
            reply += self._work_held()
        if not self.run.waiting:
            self.status.completed()
        return before + reply if before else reply

    def _work_held(self) -> bytes:
        """Execute the messages that waited for the trigger model, if it does not wait any more."""
        reply = b""
        while self._held and not self.run.waiting:
            reply += self._work(self._held.popleft())
        return reply

    def _work(self, message: _Message) -> bytes:
        """Execute a message to its end, or until it has to wait for the trigger model."""
        while True:
            try:
                self._perform_units(message)
                break
            except PostponedError as postponed:
                message.next = postponed.unit
                self._held.append(message)
                return b""
            except VirtualInstrumentError as error:
                self._record_error(error)
                if -199 <= error.code <= -100:
                    break  # after a command error, the rest of the message is ignored
        replies = message.replies
        return (";".join(replies) + "\n").encode("latin-1") if replies else b""

    def _perform_units(self, message: _Message) -> None:
        unit, message.next = message.next, None
        if unit is not None:
            self._perform(unit, message)
        for text in message.units:
            if text.strip():
                unit, message.path = self.tree.parse(text, message.path)
                self._perform(unit, message)

    def _perform(self, unit: Unit, message: _Message) -> None:
        command = unit.command
        if self.run.waiting and not command.urgent and (self.queues_while_waiting or self._held):
            raise PostponedError(unit)
        self.replying = bool(message.replies)
        if unit.is_query:
            assert command.query is not None
            message.replies.append(command.query(unit.suffixes, unit.arguments))
        else:
            assert command.write is not None
            command.write(unit.suffixes, unit.arguments)

    def after_run(self, query: Query) -> str:
        """Return the answer of a query, after the present run of the trigger model if there is one."""
        if self.run.waiting:
            raise PostponedError(Unit(Command(None, query), (), True, []))
        return query((), [])

    def reset(self) -> None:
        """Restore the power-on settings; messages that wait are discarded."""
        self.run.abort()
        self._held.clear()
        self.store.clear()

    def _record_error(self, error: VirtualInstrumentError) -> None:
        super()._record_error(error)
        self.status.note_error(error.code)

    def next_error(self) -> str:
        """Remove the oldest error from the queue and return it in the format of a reply."""
        code, text = self.errors.next()
        return f'{code},"{self.error_text(text)}"' if code else self._no_error

    def _add_common(self) -> None:
        self.simple_query("*IDN", lambda: self.identity)
        self.simple_query("*TST", lambda: "0")
        self.simple_query("*OPT", self.options)
        self.simple_command("*RST", self.reset, urgent=True)
        self.simple_command("*WAI", self._wait)
        self.command(
            "*OPC",
            lambda _, arguments: self.status.complete(arguments),
            lambda _, __: self.after_run(lambda _, __: "1"),
        )
        self.simple_command("*TRG", lambda: self.run.fire("bus"), urgent=True)

        def every_error() -> str:
            entries = [self.next_error()]
            while len(self.errors):
                entries.append(self.next_error())
            return ",".join(entries)

        self.simple_query("SYSTem:ERRor[:NEXT]", self.next_error)
        self.simple_query("SYSTem:ERRor:ALL", every_error)
        self.simple_query("SYSTem:ERRor:COUNt", lambda: str(len(self.errors)))
        self.simple_query("SYSTem:ERRor:CODE[:NEXT]", lambda: str(self.errors.next()[0]))
        self.simple_query("SYSTem:ERRor:CODE:ALL", self._every_code)
        self.simple_query("SYSTem:VERSion", lambda: "1996.0")
        self.simple_command("SYSTem:CLEar", self.errors.clear)

    def _every_code(self) -> str:
        codes = [str(self.errors.next()[0])]
        while len(self.errors):
            codes.append(str(self.errors.next()[0]))
        return ",".join(codes)

    def _wait(self) -> None:
        if self.run.waiting:
            raise PostponedError(Unit(Command(lambda _, __: None, None), (), False, []))
