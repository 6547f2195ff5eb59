"""Trigger model of a Keithley 2450: its blocks and templates, and their run (2450 Reference Manual, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.keithley2450 import blocks
from hwlearn_sim.instruments.scpi.keithley2450.blocks import Actions, Do, Measure, RunState, TriggerBlock, Wait
from hwlearn_sim.instruments.scpi.keithley2450.buffers import Buffers
from hwlearn_sim.instruments.scpi.language import spelled, unquoted
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu
from hwlearn_sim.instruments.scpi.trigger_run import Steps

_MOST_BLOCKS: Final = 63
_MOST_STEPS: Final = 5000
"""An endless loop stops here and waits until it is aborted."""

_NUMBER: Final = Number(-1e12, 1e12)
_SECONDS: Final = Number(0, 1e4, 0.0, "S")
_BLOCK: Final = Whole(1, _MOST_BLOCKS)
_COUNT: Final = Whole(1, 2**31 - 1)
_LIMIT_KINDS: Final = Choice(("ABOVe", "BELow", "INside", "OUTside"))
_DELAYS: Final = Choice(tuple(f"{side}{n}" for side in ("SOURce", "MEASure") for n in range(1, 6)))
_NEVER: Final = frozenset({"nothing"})

Maker = Callable[[list[str]], TriggerBlock]


class TriggerModel2450:
    """The TRIGger:BLOCk, TRIGger:LOAD and INITiate commands.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    actions : Actions
        What the blocks do.
    buffers : Buffers
        The reading buffers.
    """

    def __init__(self, smu: ScpiSmu, actions: Actions, buffers: Buffers) -> None:
        self._smu, self._actions, self._buffers = smu, actions, buffers
        self._blocks: dict[int, TriggerBlock] = {}
        self._plan: tuple[str, Callable[[], Steps]] | None = None
        self._last = 0
        self._add_blocks()
        for name, make in self._makers().items():
            smu.command(f"TRIGger:BLOCk:{name}", partial(self._define, make))
        self._add_loads()
        smu.simple_command("INITiate[:IMMediate]", self._initiate)
        smu.simple_command("ABORt", smu.run.abort, urgent=True)
        smu.simple_query("TRIGger:STATe", self._state)
        for pattern in ("TRIGger:PAUSe", "TRIGger:RESume"):
            smu.refused(pattern, -113)

    def clear(self) -> None:
        """Remove all blocks."""
        self._blocks, self._plan, self._last = {}, None, 0

    def load_plan(self, text: str, plan: Callable[[], Steps]) -> None:
        """Replace the trigger model by a sweep."""
        self.clear()
        self._plan = (text, plan)

    # --- run ----------------------------------------------------------------------------------------

    def _initiate(self) -> None:
        if self._smu.run.waiting:
            raise VirtualInstrumentError(-213)
        if self._plan is None and not self._blocks:
            raise VirtualInstrumentError(-200)
        self._smu.run.start(self._plan[1]() if self._plan is not None else self._run())

    def _run(self) -> Steps:
        events = self._smu.run.seen
        state = RunState(self._actions, events, lambda: self._smu.clock.seconds)
        state.began_s = self._smu.clock.seconds
        place = 1
        for _ in range(_MOST_STEPS):
            block = self._blocks.get(place)
            if block is None:
                return
            self._last = place
            if isinstance(block, Wait):
                yield from _waits(block, events)
            target = block.act(place, state)
            place = place + 1 if target is None else target
        yield _NEVER

    def _state(self) -> str:
        waiting = self._smu.run.waiting
        name = "EMPTY" if not self._blocks and self._plan is None else "WAITING" if waiting else "IDLE"
        return f"{name};{name};{self._last}"

    # --- blocks -------------------------------------------------------------------------------------

    def _define(self, make: Maker, _: Suffixes, arguments: list[str]) -> None:
        if not arguments:
            raise VirtualInstrumentError(-109)
        number, *rest = arguments
        place = _BLOCK.read(number)
        block = make(rest)
        if self._plan is not None:
            self.clear()
        self._blocks[place] = block

    def _add_blocks(self) -> None:
        def listed() -> str:
            if self._plan is not None:
                return f'"1) {self._plan[0]}"'
            return '"' + "\\n".join(f"{n}) {self._blocks[n].text}" for n in sorted(self._blocks)) + '"'

        self._smu.simple_query("TRIGger:BLOCk:LIST", listed)
        for name in ("DIGital:IO", "LOG:EVENt", "BRANch:LIMit:DYNamic"):
            self._smu.refused(f"TRIGger:BLOCk:{name}")

    def _makers(self) -> dict[str, Maker]:
        return {
            "BUFFer:CLEar": self._clear_block,
            "MEASure": self._measure_block,
            "MDIGitize": self._measure_block,
            "SOURce:STATe": self._switch_block,
            "DELay:CONStant": lambda a: self._delay_block(_SECONDS.read(checked_count(a, 1)[0])),
            "DELay:DYNamic": self._user_delay_block,
            "BRANch:ALWays": lambda a: blocks.always(_BLOCK.read(checked_count(a, 1)[0])),
            "BRANch:COUNter": lambda a: blocks.counter(*_reversed(a)),
            "BRANch:ONCE": lambda a: blocks.once(_BLOCK.read(checked_count(a, 1)[0]), excluded=False),
            "BRANch:ONCE:EXCLuded": lambda a: blocks.once(_BLOCK.read(checked_count(a, 1)[0]), excluded=True),
            "BRANch:DELTa": _delta_block,
            "BRANch:LIMit:CONStant": _limit_block,
            "BRANch:EVENt": lambda a: blocks.on_event(_BLOCK.read(checked_count(a, 2)[1]), _event(a[0])),
            "CONFig:NEXT": partial(self._list_block, 1),
            "CONFig:PREVious": partial(self._list_block, -1),
            "CONFig:RECall": partial(self._list_block, 0),
            "NOP": lambda a: Do(f"NOP{''.join(checked_count(a, 0))}", lambda _: None),
            "NOTify": _notify_block,
            "WAIT": _wait_block,
        }

    def _buffer(self, arguments: list[str]) -> str:
        return self._buffers.checked_name(arguments[0]) if arguments else "defbuffer1"

    def _clear_block(self, arguments: list[str]) -> TriggerBlock:
        name = self._buffer(list(checked_count(arguments, 0, 1)))
        return Do(f"BUFFER_CLEAR BUFFER: {name}", lambda state: state.actions.clear(name))

    def _measure_block(self, arguments: list[str]) -> TriggerBlock:
        given = list(checked_count(arguments, 0, 2))
        return Measure(self._buffer(given), Whole(1, 1_000_000).read(given[1]) if given[1:] else 1)

    def _switch_block(self, arguments: list[str]) -> TriggerBlock:
        on = Flag().read(checked_count(arguments, 1)[0])
        return Do(f"SOURCE_OUTPUT STATE: {'ON' if on else 'OFF'}", lambda state: state.actions.switch(on))

    def _delay_block(self, seconds: float) -> TriggerBlock:
        return Do(f"DELAY_CONSTANT DELAY: {seconds:g}", lambda state: state.actions.wait(seconds))

    def _user_delay_block(self, arguments: list[str]) -> TriggerBlock:
        name = _DELAYS.read(checked_count(arguments, 1)[0])

        def act(state: RunState) -> None:
            state.actions.wait(state.actions.user_delay_s(name))

        return Do(f"DELAY_DYNAMIC USER DELAY: {name}", act)

    def _list_block(self, step: int, arguments: list[str]) -> TriggerBlock:
        """Make a block that recalls settings of a configuration list; its name starts with the side it is of."""
        given = checked_count(arguments, 1, 2)
        name = unquoted(given[0])
        index = Whole(1, 300_000).read(given[1]) if given[1:] else 1

        def act(state: RunState) -> None:
            present = index if not step else state.indices.get(name, 0 if step > 0 else 2) + step
            size = state.actions.recall_list(name, present) if present >= 1 else 0
            state.indices[name] = 0 if step > 0 and present >= size else present

        kinds = {1: "CONFIG_NEXT", -1: "CONFIG_PREV", 0: "CONFIG_RECALL"}
        return Do(f"{kinds[step]} CONFIG_LIST: {name}", act)

    # --- templates ----------------------------------------------------------------------------------

    def _add_loads(self) -> None:
        templates: dict[str, Callable[[list[str]], list[TriggerBlock]]] = {
            "Empty": _no_blocks,
            "SimpleLoop": self._simple_loop,
            "DurationLoop": self._duration_loop,
            "ConfigList": self._config_list,
            "LogicTrigger": self._logic_trigger,
            "LoopUntilEvent": self._until_event,
        }

        def load(_: Suffixes, arguments: list[str]) -> None:
            if not arguments:
                raise VirtualInstrumentError(-109)
            name, *rest = arguments
            wanted = unquoted(name).upper()
            if wanted in ("GRADEBINNING", "SORTBINNING"):
                raise VirtualInstrumentError(-241)  # a component handler
            make = next((one for key, one in templates.items() if key.upper() == wanted), None)
            if make is None:
                raise VirtualInstrumentError(-224)
            made = make(rest)
            self.clear()
            self._blocks = dict(enumerate(made, 1))

        self._smu.command("TRIGger:LOAD", load)

    def _loop(self, buffer: str, delay: float, again: TriggerBlock) -> list[TriggerBlock]:
        """Return: clear the buffer, switch on, then delay and measure until ``again`` goes on, switch off."""
        return [
            self._clear_block([f'"{buffer}"']),
            self._switch_block(["ON"]),
            self._delay_block(delay),
            Measure(buffer),
            again,
            self._switch_block(["OFF"]),
        ]

    def _simple_loop(self, arguments: list[str]) -> list[TriggerBlock]:
        count, *more = checked_count(arguments, 1, 3)
        delay = _SECONDS.read(more[0]) if more else 0.0
        return self._loop(self._buffer(list(more[1:])), delay, blocks.counter(3, _COUNT.read(count)))

    def _duration_loop(self, arguments: list[str]) -> list[TriggerBlock]:
        duration, *more = checked_count(arguments, 1, 3)
        delay = _SECONDS.read(more[0]) if more else 0.0
        seconds = Number(500e-9, 1e5, 0.0, "S").read(duration)
        return self._loop(self._buffer(list(more[1:])), delay, blocks.for_duration(3, seconds))

    def _config_list(self, arguments: list[str]) -> list[TriggerBlock]:
        measure, source, *more = checked_count(arguments, 2, 4)
        delay = _SECONDS.read(more[0]) if more else 0.0
        count = self._actions.recall_list(unquoted(source), 1)
        buffer = self._buffer(list(more[1:]))
        return [
            self._clear_block([f'"{buffer}"']),
            self._switch_block(["ON"]),
            self._list_block(1, [measure]),
            self._list_block(1, [source]),
            self._delay_block(delay),
            Measure(buffer),
            blocks.counter(3, count),
            self._switch_block(["OFF"]),
        ]

    def _logic_trigger(self, arguments: list[str]) -> list[TriggerBlock]:
        """Wait for a digital line, to which nothing is connected, before every reading."""
        line, _, count, *more = checked_count(arguments, 3, 6)
        if more and (spelled(more[0], "ENTer") or spelled(more[0], "NEVer")):
            more = more[1:]
        delay = _SECONDS.read(more[0]) if more else 0.0
        buffer = self._buffer(list(more[1:]))
        wait = Wait(frozenset({f"digital line {Whole(1, 6).read(line)}"}))
        return [wait, self._delay_block(delay), Measure(buffer), blocks.counter(1, _COUNT.read(count))]

    def _until_event(self, arguments: list[str]) -> list[TriggerBlock]:
        """Measure until an event, then the readings that remain after the trigger position in percent."""
        event, position, *more = checked_count(arguments, 2, 5)
        if more and (spelled(more[0], "ENTer") or spelled(more[0], "NEVer")):
            more = more[1:]
        delay = _SECONDS.read(more[0]) if more else 0.0
        buffer = self._buffer(list(more[1:]))
        after = round(self._buffers.capacity(buffer) * (1 - Number(0, 100).read(position) / 100))
        return [
            self._clear_block([f'"{buffer}"']),
            Measure(buffer),
            Wait(frozenset({_event(event)})),
            self._delay_block(delay),
            Measure(buffer),
            blocks.counter(4, max(after, 1)),
        ]


def _no_blocks(arguments: list[str]) -> list[TriggerBlock]:
    checked_count(arguments, 0)
    return []


def _waits(block: Wait, events: set[str]) -> Steps:
    """Wait for the events of a block, unless they have happened already; use them up."""
    missing = block.events - events
    while missing if block.every else missing == block.events:
        yield missing
        missing = block.events - events
    events -= block.events


def _reversed(arguments: list[str]) -> tuple[int, int]:
    count, target = checked_count(arguments, 2)
    return _BLOCK.read(target), _COUNT.read(count)


def _delta_block(arguments: list[str]) -> TriggerBlock:
    difference, target, *measured = checked_count(arguments, 2, 3)
    block = Whole(0, _MOST_BLOCKS).read(measured[0]) if measured else 0
    return blocks.delta(_BLOCK.read(target), _NUMBER.read(difference), block)


def _limit_block(arguments: list[str]) -> TriggerBlock:
    kind, low, high, target, *measured = checked_count(arguments, 4, 5)
    block = Whole(0, _MOST_BLOCKS).read(measured[0]) if measured else 0
    bounds = _NUMBER.read(low), _NUMBER.read(high)
    return blocks.limits(_BLOCK.read(target), _LIMIT_KINDS.read(kind), *bounds, block)


def _notify_block(arguments: list[str]) -> TriggerBlock:
    number = Whole(1, 8).read(checked_count(arguments, 1)[0])
    return Do(f"NOTIFY ID: {number}", lambda state: state.events.add(f"notify {number}"))


def _wait_block(arguments: list[str]) -> TriggerBlock:
    """Make a wait block: event, or event, AND or OR, further events."""
    if len(arguments) < 1 or len(arguments) == 2:
        raise VirtualInstrumentError(-109)
    first, *more = arguments
    if spelled(more[0], "ENTer") or spelled(more[0], "NEVer") if more else False:
        more = more[1:]
    every = bool(more) and Choice(("AND", "OR")).read(more[0]) == "AND"
    return Wait(frozenset(_event(text) for text in (first, *more[1:])), every)


def _event(text: str) -> str:
    """Return the name of an event. Those of inputs to which nothing is connected never happen."""
    if spelled(text, "COMMand"):
        return "bus"
    for name, long, most in (("notify", "NOTify", 8), ("digital line", "DIGio", 6), ("link line", "TSPLink", 3)):
        for number in range(1, most + 1):
            if spelled(text, f"{long}{number}"):
                return f"{name} {number}"
    if any(spelled(text, name) for name in ("DISPlay", "SLIMit")):
        return text.upper()[:4]
    raise VirtualInstrumentError(-224)
