"""The objects ``localnode``, ``format`` and ``errorqueue`` of a Keithley 2600, and its replies to queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from hwlearn_sim.instruments.capability import LINE_HZ
from hwlearn_sim.instruments.errors import ErrorQueue, VirtualInstrumentError
from hwlearn_sim.instruments.scpi.reply_format import as_binary
from hwlearn_sim.instruments.tsp.buffer import MOST_POINTS, Column, TspBuffer
from hwlearn_sim.instruments.tsp.script.objects import (
    Namespace,
    Value,
    as_number,
    as_text,
    function,
    runtime_error,
    whole,
)

FIRMWARE: Final = "3.4.2"
_ASCII, _SINGLE = 1, 2
_PRECISION: Final = 6
_SEVERITY: Final = 20.0
_PROMPTS: Final = {"prompts": 0.0, "prompts4882": 1.0, "showerrors": 0.0}


class LocalNode:
    """The object ``localnode``.

    Parameters
    ----------
    model, serial : str
        Model and serial number.
    reset : callable
        Resets the instrument.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    """

    def __init__(self, model: str, serial: str, reset: Callable[[], None]) -> None:
        self._prompts = dict(_PROMPTS)
        self._frequency = {"autolinefreq": 1.0}
        self._description = ""
        self.root = Namespace("localnode", {"model": model, "serialno": serial, "reset": function(reset)})
        self.root.add(revision=FIRMWARE, version=FIRMWARE, license="hwlearn virtual instrument")
        self.root.attribute("linefreq", lambda: LINE_HZ, _refuse_frequency, "refused")
        self.root.store(self._frequency, {"autolinefreq": (0, 1)})
        self.root.attribute("description", lambda: self._description, self._describe, "stored")
        self.root.keep(self._prompts, dict.fromkeys(_PROMPTS, (0, 1)))
        self.root.refuse("is not modelled: the virtual instrument has no password", "password", "passwordmode")

    def ends_message(self, errors: ErrorQueue, *, common: bool, loading: bool) -> str:
        """Return what follows the reply to a message: errors that are shown, and the prompt.

        Source: Series 2600B Reference Manual, ``localnode.prompts``, ``prompts4882`` and ``showerrors``.
        """
        found = ""
        if self._prompts["showerrors"]:
            while len(errors):
                code, text = errors.next()
                found += f"{code}\t{text}\t{_SEVERITY:.0f}\t1\n"
        if not self._prompts["prompts"] or (common and not self._prompts["prompts4882"]):
            return found
        return found + (">>>>" if loading else "TSP?" if len(errors) else "TSP>") + "\n"

    def _describe(self, value: Value) -> None:
        self._description = as_text(value)


def _refuse_frequency(value: Value) -> None:
    if as_number(value) != LINE_HZ:
        raise runtime_error(f"the virtual power line has {LINE_HZ:g} Hz; `localnode.linefreq' cannot be changed")


def error_object(errors: ErrorQueue) -> Namespace:
    """Return the object ``errorqueue``."""

    def next_error() -> Value:
        if not len(errors):
            return (0.0, "Queue Is Empty", 0.0, None)
        code, text = errors.next()
        return (float(code), text, _SEVERITY, 1.0)

    part = Namespace("errorqueue", {"next": function(next_error), "clear": function(errors.clear)})
    part.attribute("count", lambda: float(len(errors)))
    return part


class Replies:
    """Collects what a message prints, in the format that the object ``format`` selects.

    Parameters
    ----------
    most : int
        Maximum number of bytes.

    Attributes
    ----------
    root : Namespace
        The object ``format``.
    on_number_form : callable
        Called with the format of numbers when it has changed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.on_number_form: Callable[[str], None] = lambda form: None
        self._printed = bytearray()
        self._values: dict[str, float] = {}
        self.restore_defaults()
        part = Namespace("format", {"ASCII": 1.0, "REAL32": 2.0, "SREAL": 2.0, "REAL64": 3.0, "REAL": 3.0})
        part.add(DREAL=3.0, NORMAL=0.0, NETWORK=0.0, BIGENDIAN=0.0, SWAPPED=1.0, LITTLEENDIAN=1.0)
        part.keep(self._values, {"data": (1, 3), "byteorder": (0, 1)})
        precision = Namespace("format")
        precision.keep(self._values, {"asciiprecision": (0, 16)})
        change = precision.attributes["asciiprecision"]

        def set_precision(value: Value) -> None:
            assert change.write is not None
            change.write(value)
            self.on_number_form(self.number_form)

        part.attribute("asciiprecision", change.read, set_precision)
        self.root = part

    @property
    def number_form(self) -> str:
        """Format of a number: its digits."""
        return f"%.{(round(self._values['asciiprecision']) or _PRECISION) - 1}e"

    def restore_defaults(self) -> None:
        """Restore the defaults."""
        self._values.update(data=1.0, asciiprecision=float(_PRECISION), byteorder=1.0)
        self.on_number_form(self.number_form)

    def take(self) -> bytes:
        """Return what was printed, and begin again."""
        printed = bytes(self._printed)
        self._printed.clear()
        return printed

    def put_text(self, text: str) -> bool:
        """Append text; return whether there was space for it."""
        if len(self._printed) + len(text) > self._most:
            return False
        self._printed += text.encode("latin-1")
        return True

    def print_numbers(self, *values: Value) -> None:
        """Print numbers in the selected format."""
        self._send([as_number(value) for value in values])

    def print_buffer(self, first: Value, last: Value, *buffers: Value) -> None:
        """Print a part of reading buffers in the selected format."""
        start, end = (whole(bound, 1, MOST_POINTS) for bound in (first, last))
        columns = []
        for buffer in buffers:
            if not isinstance(buffer, TspBuffer | Column):
                raise runtime_error("printbuffer needs reading buffers")
            column = buffer.column() if isinstance(buffer, TspBuffer) else buffer.values()
            if not 1 <= start <= end <= len(column):
                raise VirtualInstrumentError(-222)
            columns.append(column[start - 1 : end])
        rows = [value for row in zip(*columns, strict=True) for value in row]
        if any(isinstance(value, str) for value in rows):
            self._print(", ".join(value if isinstance(value, str) else self.number_form % value for value in rows))
        else:
            self._send(rows)

    def _print(self, text: str) -> None:
        if not self.put_text(text + "\n"):
            raise runtime_error("not enough memory")

    def _send(self, values: Sequence[float]) -> None:
        if self._values["data"] == _ASCII:
            self._print(", ".join(self.number_form % value for value in values))
        else:
            width = 4 if self._values["data"] == _SINGLE else 8
            self._print(as_binary(values, width, self._values["byteorder"] == 1, definite=False))
