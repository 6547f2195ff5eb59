"""Status registers of a Keithley 2600 as objects of a script.

Source: Series 2600B Reference Manual, appendix "Status model". Each register set has a condition, an event
register that latches its changes, and masks. A summary of an inner set is a bit of the set around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from hwlearn_sim.instruments.tsp.script.objects import Namespace, Value, as_number, whole

_MASK: Final = 0xFFFF


class RegisterSet:
    """One register set.

    Parameters
    ----------
    name : str
        Name of the object.
    bits : mapping of str to int
        Named bits.
    condition : callable, optional
        Returns the bits that are set now, besides the summaries of inner sets.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    """

    def __init__(
        self, name: str, bits: Mapping[str, int] | None = None, condition: Callable[[], int] | None = None
    ) -> None:
        self._condition = condition or (lambda: 0)
        self._inner: list[tuple[int, RegisterSet]] = []
        self._event = self._seen = 0
        self._masks = {"enable": 0, "ptr": _MASK, "ntr": 0}
        self.root = Namespace(name, {key: float(bit) for key, bit in (bits or {}).items()})
        self.root.attribute("condition", lambda: float(self.condition()))
        self.root.attribute("event", self._take_event)
        for mask in self._masks:
            self._add_mask(mask)

    def inner(self, name: str, bit: int, part: RegisterSet) -> RegisterSet:
        """Add an inner set, whose summary is a bit of this one; return it."""
        self._inner.append((bit, part))
        self.root.add(**{name: part.root})
        return part

    def condition(self) -> int:
        """Return the bits that are set now; latch what has changed."""
        now = self._condition()
        for bit, part in self._inner:
            now |= bit if part.summary() else 0
        self._event |= (now & ~self._seen & self._masks["ptr"]) | (self._seen & ~now & self._masks["ntr"])
        self._seen = now
        return now

    def note(self, bits: int) -> None:
        """Latch bits that were set for a moment."""
        self._event |= bits & self._masks["ptr"]

    def summary(self) -> bool:
        """Return whether an enabled event has happened."""
        self.condition()
        return bool(self._event & self._masks["enable"])

    def reset(self) -> None:
        """Restore the masks and forget the events."""
        self._masks.update(enable=0, ptr=_MASK, ntr=0)
        self._event = 0
        for _, part in self._inner:
            part.reset()

    def _take_event(self) -> float:
        self.condition()
        event, self._event = self._event, 0
        return float(event)

    def _add_mask(self, mask: str) -> None:
        def write(value: Value) -> None:
            self._masks[mask] = whole(value, 0, _MASK)

        self.root.attribute(mask, lambda: float(self._masks[mask]), write)


class Status:
    """The object ``status``.

    Parameters
    ----------
    smus : mapping of str to callable
        The condition of each channel: voltage limit 1, current limit 2, reading overflow 128.
    sweeping : callable
        Returns the channels that sweep.
    overrun : mapping of str to callable
        The triggers that have overrun, of each channel and each kind of trigger object.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    """

    def __init__(
        self,
        smus: Mapping[str, Callable[[], float]],
        sweeping: Callable[[], list[str]],
        overrun: Mapping[str, Callable[[], int]],
    ) -> None:
        self.root = Namespace(
            "status", {"MSB": 1.0, "EAV": 4.0, "QSB": 8.0, "MAV": 16.0, "ESB": 32.0, "OSB": 128.0}
        )
        self.measurement = _measurement(smus)
        self.operation = _operation(sweeping, overrun)
        self.questionable = RegisterSet("status.questionable")
        reason = "is not modelled: the virtual instrument has no such condition"
        self.measurement.root.refuse(reason, "buffer_available", "protection")
        self.operation.root.refuse(reason, "calibrating", "prompts", "remote", "trigger_overrun", "user")
        self.questionable.root.refuse(reason, "calibration", "instrument", "over_temperature", "unstable_output")
        for part in (self.measurement, self.operation, self.questionable):
            self.root.add(**{part.root.name.removeprefix("status."): part.root})

    def summary(self) -> int:
        """Return the bits of the status byte that summarise the register sets."""
        bits = ((1, self.measurement), (8, self.questionable), (128, self.operation))
        return sum(bit for bit, part in bits if part.summary())

    def reset(self) -> None:
        """Restore all masks and forget the events."""
        for part in (self.measurement, self.operation, self.questionable):
            part.reset()


def _measurement(smus: Mapping[str, Callable[[], float]]) -> RegisterSet:
    def any_channel(bit: int) -> Callable[[], int]:
        return lambda: sum(2 << k for k, condition in enumerate(smus.values()) if int(condition()) & bit)

    names = {name: 2 << k for k, name in enumerate(smus)}
    sets = RegisterSet("status.measurement", {"VLMT": 1, "ILMT": 2, "ROF": 128, "BAV": 256, "INST": 8192})
    for name, bit in (("voltage_limit", 1), ("current_limit", 2), ("reading_overflow", 128)):
        sets.inner(name, bit, RegisterSet(f"status.measurement.{name}", _upper(names), any_channel(bit)))
    instrument = sets.inner("instrument", 8192, RegisterSet("status.measurement.instrument", _upper(names)))
    for name, condition in smus.items():
        bits = {"VLMT": 1, "ILMT": 2, "ROF": 128, "BAV": 256}
        path = f"status.measurement.instrument.{name}"
        instrument.inner(name, names[name], RegisterSet(path, bits, partial(_whole, condition)))
    return sets


def _operation(sweeping: Callable[[], list[str]], overrun: Mapping[str, Callable[[], int]]) -> RegisterSet:
    names = {name: 2 << k for k, name in enumerate(name for name in overrun if name.startswith("smu"))}
    bits = {"CAL": 1, "SWE": 8, "MEAS": 16, "TRGOVR": 1024, "REM": 2048, "USER": 4096, "INST": 8192, "PROG": 16384}
    sets = RegisterSet("status.operation", bits)
    sets.inner(
        "sweeping", 8,
        RegisterSet("status.operation.sweeping", _upper(names), lambda: sum(names[name] for name in sweeping())),
    )  # fmt: skip
    sets.inner("measuring", 16, RegisterSet("status.operation.measuring", _upper(names)))
    instrument = sets.inner("instrument", 8192, RegisterSet("status.operation.instrument"))
    for k, name in enumerate((*overrun, "lan", "tsplink")):
        part = instrument.inner(name, 2 << k, RegisterSet(f"status.operation.instrument.{name}"))
        found = overrun.get(name, int)
        path = f"status.operation.instrument.{name}.trigger_overrun"
        part.inner("trigger_overrun", 1024, RegisterSet(path, {}, found))
    return sets


def _whole(condition: Callable[[], float]) -> int:
    return int(condition())


def _upper(names: Mapping[str, int]) -> dict[str, int]:
    return {name.upper(): bit for name, bit in names.items()}


def masked_register(part: Namespace, name: str, read: Callable[[], int], write: Callable[[int], None]) -> None:
    """Add a mask of 8 bits to an object."""
    part.attribute(name, lambda: float(read()), lambda value: write(whole(as_number(value), 0, 255)))
