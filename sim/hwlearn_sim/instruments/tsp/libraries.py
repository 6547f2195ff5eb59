"""Libraries of a Keithley 2600 for scripts: bits, timer, files; and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.tsp.script.objects import (
    Namespace,
    Value,
    as_number,
    as_text,
    function,
    runtime_error,
    whole,
)

_BITS: Final = 32
_ALL: Final = (1 << _BITS) - 1

REFUSED: Final = {
    "tsplink": "is not modelled: the virtual instrument has no TSP-Link",
    "tspnet": "is not modelled: the virtual instrument reaches no other instrument",
    "lan": "is not modelled: the connection is set up outside of the instrument",
    "gpib": "is not modelled: the virtual instrument has no GPIB",
    "serial": "is not modelled: the virtual instrument has no serial port of its own",
    "eventlog": "is not modelled: the virtual instrument has no LAN triggers",
    "io": "is not modelled: the virtual instrument has no USB drive",
}
"""Objects that the instrument has and the virtual instrument has not, and why."""

REFUSED_FUNCTIONS: Final = {
    "savebuffer": "is not modelled: the virtual instrument has no USB drive",
    "settime": "is not modelled: the virtual instrument uses the time of the computer",
    "settimezone": "is not modelled: the virtual instrument uses the time of the computer",
    "gettimezone": "is not modelled: the virtual instrument uses the time of the computer",
    "gm_isweep": "is not modelled", "gm_vsweep": "is not modelled",
    "i_leakage_measure": "is not modelled", "i_leakage_threshold": "is not modelled",
}  # fmt: skip
"""Functions of the same kind."""


class RefusedPart(Namespace):
    """An object of which every use is refused.

    Parameters
    ----------
    name, reason : str
        Its name, and why it is refused.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name)
        self.reason = reason
        self.refuse(reason, "*")

    def unknown(self, key: str) -> None:
        """Reject every item."""
        raise runtime_error(f"`{self.name}.{key}' {self.reason}")


def refused_function(name: str, reason: str) -> Callable[..., Value]:
    """Return a function that is refused when it is called."""

    def refuse(*arguments: Value) -> Value:
        raise runtime_error(f"`{name}' {reason}")

    return refuse


def bit_library() -> Namespace:
    """Return the object ``bit``: operations on numbers of 32 bits, whose bits are counted from 1."""

    def number(value: Value) -> int:
        return whole(value, 0, _ALL)

    def mask(index: Value) -> int:
        return 1 << whole(index, 1, _BITS) - 1

    def field(index: Value, width: Value) -> tuple[int, int]:
        shift, bits = whole(index, 1, _BITS) - 1, whole(width, 1, _BITS)
        if shift + bits > _BITS:
            raise VirtualInstrumentError(-222)
        return shift, (1 << bits) - 1

    def get_field(value: Value, index: Value, width: Value) -> float:
        shift, bits = field(index, width)
        return float(number(value) >> shift & bits)

    def set_field(value: Value, index: Value, width: Value, content: Value) -> float:
        shift, bits = field(index, width)
        return float(number(value) & ~(bits << shift) | whole(content, 0, bits) << shift)

    return Namespace(
        "bit",
        {
            "bitand": function(lambda a, b: float(number(a) & number(b)), 2),
            "bitor": function(lambda a, b: float(number(a) | number(b)), 2),
            "bitxor": function(lambda a, b: float(number(a) ^ number(b)), 2),
            "clear": function(lambda a, index: float(number(a) & ~mask(index)), 2),
            "get": function(lambda a, index: float(number(a) & mask(index)), 2),
            "set": function(lambda a, index: float(number(a) | mask(index)), 2),
            "test": function(lambda a, index: bool(number(a) & mask(index)), 2),
            "toggle": function(lambda a, index: float(number(a) ^ mask(index)), 2),
            "getfield": function(get_field, 3),
            "setfield": function(set_field, 4),
        },
    )


def timer_library(clock: Clock) -> Namespace:
    """Return the object ``timer``: the instrument's time since the last reset of the timer."""
    start = [clock.seconds]

    def reset() -> None:
        start[0] = clock.seconds

    elapsed = Namespace("timer.measure", {"t": function(lambda: clock.seconds - start[0])})
    return Namespace("timer", {"reset": function(reset), "measure": elapsed})


def file_library() -> Namespace:
    """Return the object ``fs`` without a drive: nothing exists, and nothing can be written."""

    def exists(path: Value) -> bool:
        as_text(path)
        return False

    part = Namespace("fs", {"is_dir": function(exists, 1), "is_file": function(exists, 1)})
    part.refuse(
        "is not modelled: the virtual instrument has no USB drive", "chdir", "cwd", "mkdir", "readdir", "rmdir"
    )
    return part


def delay_function(wait: Callable[[float], None]) -> Callable[..., Value]:
    """Return ``delay``: waits for some seconds of the instrument's time."""

    def delay(seconds: Value) -> None:
        if not 0 <= as_number(seconds) <= 1e5:
            raise VirtualInstrumentError(-222)
        wait(as_number(seconds))

    return function(delay, 1)
