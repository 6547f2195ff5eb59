"""A virtual Keithley 2612B SourceMeter with two channels and its script language (TSP).

Attributes, constants and defaults: Series 2600B Reference Manual, sections 2 and 7. The resolutions are those of
the data sheet. The noise is an assumption of this project: 1.5 ppm of range at one power-line cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

import numpy as np

from hwlearn_sim.instruments.capability import LINE_HZ, ChannelCapability
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.ranges import Range, Ranges
from hwlearn_sim.instruments.scpi.instrument import ScpiInstrument
from hwlearn_sim.instruments.scpi.reply_format import as_binary
from hwlearn_sim.instruments.tsp.buffer import Column, TspBuffer
from hwlearn_sim.instruments.tsp.language import MAX_CHUNK_TEXT, Interpreter
from hwlearn_sim.instruments.tsp.library import libraries
from hwlearn_sim.instruments.tsp.smu import TspSmu
from hwlearn_sim.instruments.tsp.values import (
    Namespace,
    Value,
    as_number,
    check_memory,
    function,
    kind_of,
    runtime_error,
)

_VOLTS: Final = (0.2, 2.0, 20.0, 200.0)
_AMPS: Final = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)

CAPABILITY: Final = ChannelCapability(
    measures={
        "voltage": Ranges.decades(_VOLTS, 2_000_000, 1.5e-6, over=1.01),
        "current": Ranges((*Ranges.decades(_AMPS, 1_000_000, 1.5e-6).each, Range(1.5, 1e-6, 2.25e-6)), over=1.01),
    },
    sources={
        "voltage": Ranges.decades(_VOLTS, 40_000, over=1.01),
        "current": Ranges((*Ranges.decades(_AMPS, 50_000).each, Range(1.5, 5e-5)), over=1.01),
    },
    default_limits={"current": 0.1, "voltage": 20.0},
    least_limits={"current": 1e-8, "voltage": 0.02},
    nplc=(0.001, 25.0),
    off_limit_A=1e-3,
)


class VirtualKeithley2612B(ScpiInstrument):
    """A Keithley 2612B connected to two nodes of the plane.

    Each line is a chunk of script and is executed on arrival. The lines between ``loadandrunscript`` and
    ``endscript`` form one chunk, and ``loadscript name`` stores it. IEEE 488.2 common commands also work.

    Parameters
    ----------
    channels : sequence of VirtualChannel
        Two channels with this model's `CAPABILITY`: ``smua`` and ``smub``.
    clock : Clock
        The instrument's clock.
    serial : str
        Serial number.
    """

    takes_blocks = False

    def __init__(self, channels: Sequence[VirtualChannel], clock: Clock, serial: str = "4000001") -> None:
        identity = f"Keithley Instruments Inc., Model 2612B, {serial}, 3.4.2"
        super().__init__(identity, 100, clock)
        self.channels = list(channels)
        self._printed = bytearray()
        self._script: tuple[str, list[str]] | None = None
        names = ("smua", "smub")
        self.smus = [TspSmu(name, channel) for name, channel in zip(names, self.channels, strict=True)]
        self._format: dict[str, float] = {}
        self._set_defaults()
        self._interpreter = Interpreter(self._variables(serial))

    @property
    def generators(self) -> list[np.random.Generator]:
        """Sources of the noise of its channels."""
        return [channel.generator for channel in self.channels]

    def reset(self) -> None:
        """Restore the power-on settings; the outputs are switched off first. Script variables are kept."""
        for channel in self.channels:
            channel.reset()
        for smu in self.smus:
            smu.restore_defaults()
        self._set_defaults()

    def _set_defaults(self) -> None:
        self._format.update(data=1.0, asciiprecision=6.0, byteorder=1.0)

    # --- messages -----------------------------------------------------------------------------------

    def _execute(self, message: bytes) -> bytes:
        text = message.decode("latin-1").strip("\r\n\0 \t")
        self._printed = bytearray()
        try:
            if self._script is not None:
                self._collect(text)
            elif text.startswith("*"):
                return super()._execute(message)
            elif text.split(" ")[0] in ("loadscript", "loadandrunscript"):
                self._script = (text, [])
            elif text:
                self._run(text)
        except VirtualInstrumentError as error:
            self._record_error(error)
        return bytes(self._printed)

    def _collect(self, line: str) -> None:
        assert self._script is not None
        opening, lines = self._script
        if line != "endscript":
            lines.append(line)
            return
        self._script = None
        command, _, name = opening.partition(" ")
        source = "\n".join(lines)
        if name.strip():
            script = Namespace(name.strip(), {"run": function(lambda: self._interpreter.run(source))})
            self._interpreter.variables[name.strip()] = script
        if command == "loadandrunscript":
            self._run(source)

    def _run(self, source: str) -> None:
        try:
            self._interpreter.run(source)
        finally:
            self._finish()

    def _finish(self) -> None:
        """Run the initiated sweeps, with synchronised steps."""
        running = [smu.trigger for smu in self.smus if smu.trigger.initiated]
        try:
            for _ in zip_longest(*(trigger.steps() for trigger in running)):
                pass
        finally:
            for trigger in running:
                trigger.end()

    # --- variables of scripts -----------------------------------------------------------------------

    def _variables(self, serial: str) -> dict[str, Value]:
        node = Namespace("localnode", {"model": "2612B", "serialno": serial, "linefreq": LINE_HZ})
        node.add(revision="3.4.2", version="3.4.2")
        node.add(reset=function(self.reset))
        node.keep({"prompts": 0.0, "showerrors": 0.0}, {"prompts": (0, 1), "showerrors": (0, 1)})
        status = Namespace("status", {"reset": function(self._clear_status)})
        status.add(measurement=Namespace("status.measurement", {"instrument": self._smu_status()}))
        status.attribute("condition", lambda: float(self._status_byte()))
        display = Namespace("display", {"SMUA_SMUB": 2.0, "SMUA": 0.0, "SMUB": 1.0, "USER": 3.0})
        display.add(clear=function(lambda: None), settext=function(lambda text: None, 1))
        display.add(sendkey=function(lambda key: None, 1), setcursor=function(lambda *at: None, 2, 3))
        display.keep({"screen": 2.0}, {"screen": (0, 4)})
        beeper = Namespace("beeper", {"ON": 1.0, "OFF": 0.0, "beep": function(lambda *sound: None, 2)})
        beeper.keep({"enable": 1.0}, {"enable": (0, 1)})
        variables: dict[str, Value] = libraries() | {
            "localnode": node,
            "status": status,
            "display": display,
            "beeper": beeper,
            "format": self._format_object(),
            "errorqueue": self._error_object(),
            "print": self._print,
            "printnumber": function(self._print_numbers, 1, 100),
            "printbuffer": function(self._print_buffer, 3, 20),
            "reset": function(self.reset, 0, 1),
            "delay": function(self._delay, 1),
            "waitcomplete": function(self._finish, 0, 1),
            "opc": function(lambda: self._complete([])),
            "tostring": function(self._text, 1),
        }
        variables |= {smu.name: smu.root for smu in self.smus}
        return variables

    def _smu_status(self) -> Namespace:
        instrument = Namespace("status.measurement.instrument")
        for smu in self.smus:
            bits = {"VLMT": 1.0, "ILMT": 2.0, "ROF": 128.0}
            part = Namespace(f"status.measurement.instrument.{smu.name}", bits)
            part.attribute("condition", smu.condition)
            instrument.add(**{smu.name: part})
        return instrument

    def _format_object(self) -> Namespace:
        part = Namespace("format", {"ASCII": 1.0, "REAL32": 2.0, "SREAL": 2.0, "REAL64": 3.0, "REAL": 3.0})
        part.add(DREAL=3.0, NORMAL=0.0, NETWORK=0.0, BIGENDIAN=0.0, SWAPPED=1.0, LITTLEENDIAN=1.0)
        part.keep(self._format, {"data": (1, 3), "asciiprecision": (0, 16), "byteorder": (0, 1)})
        return part

    def _error_object(self) -> Namespace:
        def next_error() -> Value:
            if not len(self.errors):
                return (0.0, "Queue Is Empty", 0.0, None)
            code, text = self.errors.next()
            return (float(code), text, 20.0, 1.0)

        part = Namespace("errorqueue", {"next": function(next_error), "clear": function(self.errors.clear)})
        part.attribute("count", lambda: float(len(self.errors)))
        return part

    # --- functions ----------------------------------------------------------------------------------

    def _delay(self, seconds: Value) -> None:
        if not 0 <= as_number(seconds) <= 1e5:
            raise VirtualInstrumentError(-222)
        self.clock.advance(as_number(seconds))

    def _print(self, *values: Value) -> None:
        text = "\t".join(self._text(value) for value in values)
        self._put(text.encode("latin-1", "replace") + b"\n")

    def _print_numbers(self, *values: Value) -> None:
        self._send([as_number(value) for value in values])

    def _print_buffer(self, first: Value, last: Value, *buffers: Value) -> None:
        start, end = (round(as_number(bound)) for bound in (first, last))
        columns = []
        for buffer in buffers:
            if not isinstance(buffer, TspBuffer | Column):
                raise runtime_error("printbuffer needs reading buffers")
            column = buffer.column() if isinstance(buffer, TspBuffer) else buffer.values()
            if not 1 <= start <= end <= len(column):
                raise VirtualInstrumentError(-222)
            columns.append(column[start - 1 : end])
        self._send([value for row in zip(*columns, strict=True) for value in row])

    def _put(self, data: bytes) -> None:
        """Append data to the output queue."""
        check_memory(len(self._printed) + len(data), MAX_CHUNK_TEXT)
        self._printed += data

    def _send(self, values: Sequence[float]) -> None:
        if self._format["data"] == 1:
            self._put((", ".join(self._text(value) for value in values) + "\n").encode("latin-1"))
        else:
            self._put(self._binary(values))

    def _binary(self, values: Sequence[float]) -> bytes:
        width = 4 if self._format["data"] == 2 else 8
        text = as_binary(values, width, self._format["byteorder"] == 1, definite=False)
        return text.encode("latin-1") + b"\n"

    def _text(self, value: Value) -> str:
        if value is None:
            return "nil"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            digits = round(self._format["asciiprecision"]) or 6
            return f"{value:.{digits - 1}e}"
        return value if isinstance(value, str) else f"{kind_of(value)}: {id(value):08x}"
