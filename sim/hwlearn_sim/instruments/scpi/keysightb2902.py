"""A virtual Keysight B2902A with two channels.

Commands and defaults: Agilent B2900 SCPI Command Reference, edition 2. The resolutions are those of the data
sheet. The noise is an assumption of this project: 1 ppm of range at one power-line cycle. Two points have no
second source: the functions that are measured after a reset (here: both), and the current limit in the normal
output-off state (here: 100 uA).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import LINE_HZ, ChannelCapability, ChannelReading, OffState
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.ranges import Quantity, Range, Ranges
from hwlearn_sim.instruments.scpi.language import channel_list
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu
from hwlearn_sim.instruments.scpi.source_levels import ramp, stepped

_VOLTS: Final = (0.2, 2.0, 20.0, 200.0)
_AMPS: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_LONGEST_LIST: Final = 2500
_MOST_POINTS: Final = 100_000
_ELEMENTS: Final = ("VOLT", "CURR", "RES", "TIME", "STAT", "SOUR")
_ELEMENT_NAMES: Final = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus", "SOURce")

CAPABILITY: Final = ChannelCapability(
    measures={
        "voltage": Ranges.decades(_VOLTS, 2_000_000, 1e-6),
        "current": Ranges(
            (*Ranges.decades(_AMPS, 1_000_000, 1e-6).each, Range(1.5, 1e-6, 1.5e-6), Range(3.0, 1e-5, 3e-6)),
            over=1.01,
        ),
    },
    sources={
        "voltage": Ranges.decades(_VOLTS, 200_000),
        "current": Ranges((*Ranges.decades(_AMPS, 100_000).each, Range(1.5, 1e-5), Range(3.0, 1e-5)), over=1.01),
    },
    default_limits={"current": 1e-4, "voltage": 2.0},
    least_limits={"current": 1e-9, "voltage": 2e-4},
    nplc=(4e-4, 100.0),
    off_limit_A=1e-4,
)


class VirtualKeysightB2902(ScpiSmu):
    """A Keysight B2902A connected to two nodes of the plane.

    Parameters
    ----------
    channels : sequence of VirtualChannel
        Two channels with this model's `CAPABILITY`.
    clock : Clock
        The instrument's clock.
    serial : str
        Serial number.
    """

    form = "%+.6E"
    definite_blocks = True

    def __init__(self, channels: Sequence[VirtualChannel], clock: Clock, serial: str = "MY51140001") -> None:
        identity = f"Keysight Technologies,B2902A,{serial},3.4.2011.5100"
        super().__init__(identity, channels, clock, error_capacity=100, no_error='+0,"No error"')
        self._set_defaults()
        self.add_source("[SOURce#:]", "[SOURce#:]FUNCtion:MODE")
        self.add_meter("SENSe#:", one_nplc=False)
        for quantity, name in MNEMONIC.items():
            self.add_limit(f"SENSe#:{name}[:DC]:PROTection", quantity, "[:LEVel][:BOTH]")
        self.add_output("OUTPut#[:STATe]")
        self.add_format()
        self._add_sense()
        self._add_sweeps()
        self._add_output_extras()
        self._add_triggers()
        self._add_readings()

    def _set_defaults(self) -> None:
        count = len(self.channels)
        self._functions: list[set[str]] = [{"VOLT", "CURR"} for _ in range(count)]
        self._elements = list(_ELEMENTS)
        self._latest: list[list[ChannelReading]] = [[] for _ in range(count)]
        self._lists: list[dict[Quantity, list[float]]] = [
            {"voltage": [0.0], "current": [0.0]} for _ in range(count)
        ]

    def reset(self) -> None:
        """Restore the power-on settings; the outputs are switched off first."""
        super().reset()
        self._set_defaults()

    # --- commands -----------------------------------------------------------------------------------

    def _add_sense(self) -> None:
        names = Choice(("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC"))

        def named(arguments: list[str]) -> set[str]:
            return {name.removesuffix(":DC") for name in items(names, arguments, 3)}

        def functions(suffixes: tuple[int, ...]) -> set[str]:
            return self._functions[self.channels.index(self.at(suffixes))]

        def query(suffixes: tuple[int, ...], arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return ",".join(f'"{name}"' for name in _ELEMENTS if name in functions(suffixes))

        def choose(suffixes: tuple[int, ...], arguments: list[str]) -> None:
            functions(suffixes).update(named(arguments))

        def drop(suffixes: tuple[int, ...], arguments: list[str]) -> None:
            functions(suffixes).difference_update(named(arguments))

        def choose_all(suffixes: tuple[int, ...], _: list[str]) -> None:
            functions(suffixes).update(_ELEMENTS[:3])

        def drop_all(suffixes: tuple[int, ...], _: list[str]) -> None:
            functions(suffixes).clear()

        def show(_: tuple[int, ...], arguments: list[str]) -> None:
            chosen = items(Choice(_ELEMENT_NAMES), arguments, len(_ELEMENTS))
            self._elements = [name for name in _ELEMENTS if name in chosen]

        self.command("SENSe#:FUNCtion[:ON]", choose, query)
        self.command("SENSe#:FUNCtion[:ON]:ALL", choose_all)
        self.command("SENSe#:FUNCtion:OFF", drop)
        self.command("SENSe#:FUNCtion:OFF:ALL", drop_all)
        self.command("FORMat:ELEMents:SENSe", show, lambda _, __: ",".join(self._elements))
        self.channel_setting(
            "SENSe#:REMote",
            Flag(),
            lambda channel: channel.settings.four_wire,
            VirtualChannel.set_four_wire,
        )
        for quantity, name in MNEMONIC.items():
            self._add_aperture(f"SENSe#:{name}[:DC]", quantity)
        self.stored_setting("SENSe#:WAIT[:STATe]", Flag(), True)
        self.stored_setting("SOURce#:WAIT[:STATe]", Flag(), True)

    def _add_aperture(self, base: str, quantity: Quantity) -> None:
        low, high = (cycles / LINE_HZ for cycles in CAPABILITY.nplc)
        self.channel_setting(
            f"{base}:APERture",
            self.number(low, high, 0.1 / LINE_HZ, "S"),
            lambda channel: channel.integration_s(quantity),
            lambda channel, seconds: channel.set_nplc(seconds * LINE_HZ, quantity),
        )
        for what in ("APERture", "NPLCycles"):
            self.stored_setting(f"{base}:{what}:AUTO", Flag(), False)
        self.stored_setting(f"{base}:RANGe:AUTO:LLIMit", self.number(0.0, 200.0, 0.0, UNIT[quantity]), 0.0)
        self.stored_setting(f"{base}:RANGe:AUTO:MODE", Choice(("NORMal", "RESolution", "SPEed")), "NORM")

    def _add_sweeps(self) -> None:
        self._modes, self._ends = {}, {}
        for quantity, name in MNEMONIC.items():
            ranges = CAPABILITY.sources[quantity]
            level = self.number(-ranges.most, ranges.most, 0.0, UNIT[quantity])
            mode = Choice(("FIXed", "LIST", "SWEep"))
            self._modes[quantity] = self.stored_setting(f"[SOURce#:]{name}:MODE", mode, "FIX")
            self._ends[quantity] = (
                self.stored_setting(f"[SOURce#:]{name}:STARt", level, 0.0),
                self.stored_setting(f"[SOURce#:]{name}:STOP", level, 0.0),
                self.stored_setting(f"[SOURce#:]{name}:POINts", Whole(1, _LONGEST_LIST), 1),
            )
            self.add_source_list(
                f"[SOURce#:]LIST:{name}",
                level,
                lambda suffixes: self._lists[self.channels.index(self.at(suffixes))],
                quantity,
                _LONGEST_LIST,
                _LONGEST_LIST,
            )
        self._spacing = self.stored_setting("[SOURce#:]SWEep:SPACing", Choice(("LINear", "LOGarithmic")), "LIN")
        self.stored_setting("[SOURce#:]SWEep:RANGing", Choice(("BEST", "AUTO", "FIXed")), "BEST")
        self.stored_setting("[SOURce#:]SWEep:STAir", Choice(("SINGle", "DOUBle")), "SING")
        self.stored_setting("[SOURce#:]FUNCtion[:SHAPe]", Choice(("DC", "PULSe")), "DC")

    def _add_output_extras(self) -> None:
        states: dict[str, OffState] = {"NORM": "NORM", "HIZ": "HIMP", "ZERO": "ZERO"}
        names = {state: name for name, state in states.items()}
        self.channel_setting(
            "OUTPut#:OFF:MODE",
            Choice(("NORMal", "HIZ", "ZERO")),
            lambda channel: names[channel.settings.off_states["voltage"]],
            lambda channel, name: channel.set_off_state(states[name]),
        )
        self._auto_on = self.stored_setting("OUTPut#:ON:AUTO", Flag(), True)
        self._auto_off = self.stored_setting("OUTPut#:OFF:AUTO", Flag(), False)
        self.stored_setting("OUTPut#:PROTection[:STATe]", Flag(), False)
        self.stored_setting("OUTPut#:LOW", Choice(("GROund", "FLOat")), "GRO")
        self.stored_setting("OUTPut#:HCAPacitance[:STATe]", Flag(), False)
        self.stored_setting("SYSTem:LFRequency", Whole(50, 60, 50), 50)
        self.command("SYSTem:BEEPer[:IMMediate]", lambda _, arguments: None)
        self.stored_setting("SYSTem:BEEPer:STATe", Flag(), True)
        self.stored_setting("DISPlay:ENABle", Flag(), True)
        self.stored_setting("DISPlay:VIEW", Choice(("SINGle1", "SINGle2", "DUAL", "GRAPh", "ROLL")), "SINGle1")

    def _add_triggers(self) -> None:
        counts = Whole(1, _MOST_POINTS)
        sources = Choice(("AINT", "BUS", "TIMer", "INT1", "INT2", "LAN"))
        self._counts: dict[str, Callable[..., int]] = {}
        for layer in ("ARM", "TRIGger"):
            for action in ("ACQuire", "TRANsient"):
                self._counts[layer + action] = self.stored_setting(f"{layer}#:{action}:COUNt", counts, 1)
                self.stored_setting(f"{layer}#:{action}:DELay", self.number(0, 1e5, 0.0, "S"), 0.0)
                self.stored_setting(f"{layer}#:{action}:SOURce[:SIGNal]", sources, "AINT")
                self.stored_setting(f"{layer}#:{action}:TIMer", self.number(1e-5, 1e5, 1e-5, "S"), 1e-5)
            self._add_all(layer, "COUNt", counts)
            self._add_all(layer, "DELay", self.number(0, 1e5, 0.0, "S"))
            self._add_all(layer, "SOURce[:SIGNal]", sources)
            self._add_all(layer, "TIMer", self.number(1e-5, 1e5, 1e-5, "S"))

    def _add_all(self, layer: str, what: str, kind: Whole | Number | Choice) -> None:
        """Add the command ALL, which sets both actions of a layer."""

        def write(suffixes: tuple[int, ...], arguments: list[str]) -> None:
            value = kind.read(checked_count(arguments, 1)[0])
            self.check_suffixes(suffixes)
            for action in ("ACQuire", "TRANsient"):
                self._settings[f"{layer}#:{action}:{what}", suffixes] = value

        self.command(f"{layer}#[:ALL]:{what}", write)

    # --- readings -----------------------------------------------------------------------------------

    def _add_readings(self) -> None:
        for action in ("[:ALL]", ":ACQuire", ":TRANsient"):
            self.command(
                f"INITiate[:IMMediate]{action}", lambda _, a: self._run(self._channel_indices(a), turn_on=True)
            )
        for pattern in ("ABORt[:ALL]", "IDLE", "*TRG"):
            self.command(pattern, lambda _, a: None)
        verbs: dict[str, Callable[[list[int]], None]] = {
            "FETCh": lambda chosen: None,
            "READ": lambda chosen: self._run(chosen, turn_on=True),
        }
        for (verb, start), array in itertools.product(verbs.items(), (False, True)):
            head = f"{verb}:ARRay" if array else f"{verb}[:SCALar]"
            self._add_queries(head, start, array)
        self._add_queries("MEASure", lambda chosen: self._run(chosen, turn_on=False, once=True), False)

    def _add_queries(self, head: str, start: Callable[[list[int]], None], array: bool) -> None:
        def query(elements: Sequence[str] | None, _: tuple[int, ...], arguments: list[str]) -> str:
            chosen = self._channel_indices(arguments)
            start(chosen)
            return self._formatted(chosen, self._elements if elements is None else elements, array)

        self.command(head, query=partial(query, None))
        for name, short in zip(_ELEMENT_NAMES, _ELEMENTS, strict=True):
            pattern = f"{name}[:DC]" if short in ("VOLT", "CURR") and head == "MEASure" else name
            self.command(f"{head}:{pattern}", query=partial(query, [short]))

    def _channel_indices(self, arguments: list[str]) -> list[int]:
        numbers = channel_list(arguments[0]) if checked_count(arguments, 0, 1) else [1]
        if len(set(numbers)) != len(numbers) or not all(1 <= n <= len(self.channels) for n in numbers):
            raise VirtualInstrumentError(-224)
        return sorted(n - 1 for n in numbers)

    def _run(self, chosen: list[int], *, turn_on: bool, once: bool = False) -> None:
        """Run the trigger model of the channels once, with synchronised steps."""
        counts = {k: 1 if once else self._count(k) for k in chosen}
        if sum(counts.values()) > _MOST_POINTS:
            raise VirtualInstrumentError(-221)
        with ExitStack() as stack:
            steps = {}
            for k in chosen:
                levels = [] if once else self._levels(k)
                steps[k] = stack.enter_context(stepped(self.channels[k], levels))
                self._latest[k] = []
            for k in chosen:
                if turn_on and self._auto_on((k + 1,)):
                    self.channels[k].set_output(True)
            for point in range(max(counts.values())):
                active = [k for k in chosen if point < counts[k]]
                for k in active:
                    next(steps[k])
                for k in active:
                    self._latest[k].append(self.channels[k].measure(*self._measured_quantities(k)))
            for k in chosen:
                if self._auto_off((k + 1,)):
                    self.channels[k].set_output(False)

    def _count(self, k: int) -> int:
        return self._counts["ARMACQuire"]((k + 1,)) * self._counts["TRIGgerACQuire"]((k + 1,))

    def _levels(self, k: int) -> list[float]:
        quantity, suffixes = self.channels[k].settings.function, (k + 1,)
        mode = self._modes[quantity](suffixes)
        if mode == "LIST":
            return self._lists[k][quantity]
        if mode == "SWE":
            start, stop, points = (end(suffixes) for end in self._ends[quantity])
            return ramp(start, stop, int(points), logarithmic=self._spacing(suffixes) == "LOG")
        return []

    def _measured_quantities(self, k: int) -> list[Quantity]:
        functions = self._functions[k]
        both: list[tuple[Quantity, str]] = [("voltage", "VOLT"), ("current", "CURR")]
        return [quantity for quantity, name in both if functions & {name, "RES"}]

    def _formatted(self, chosen: list[int], elements: Sequence[str], array: bool) -> str:
        rows: dict[int, Sequence[ChannelReading | None]] = {k: self._latest[k] or [None] for k in chosen}
        longest = max(len(each) for each in rows.values()) if array else 1
        values = []
        for point in range(longest):
            for k in chosen:
                at = point if array else len(rows[k]) - 1
                reading = rows[k][at] if at < len(rows[k]) else None
                values += [self._element(k, reading, element) for element in elements]
        return self.readings(values)

    def _element(self, k: int, reading: ChannelReading | None, element: str) -> float:
        if reading is None:
            return math.nan
        if element == "SOUR":
            return reading.level
        if element == "TIME":
            return reading.seconds
        if element == "STAT":
            function = reading.function == "current"
            return float(function + 2 * reading.limited + 8192 * reading.over_range)
        if element not in self._functions[k]:
            return math.nan
        if element == "RES":
            return reading.resistance
        return reading.values.get("voltage" if element == "VOLT" else "current", math.nan)
