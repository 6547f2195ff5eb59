"""`PulseLimits`: hard limits of pulses and readings of single devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from hwlearn.errors import LimitError, UnitError
from hwlearn.units import ROUNDING, format_quantity, parse_quantity


@dataclass(frozen=True, slots=True, init=False)
class PulseLimits:
    """Hard limits of pulses and readings of single devices.

    Parameters
    ----------
    voltage : float or str
        Maximum magnitude of a pulse, in volts or as text such as ``"1.5 V"``.
    current : float or str
        Maximum expected current of a pulse, in amperes.
    width : (float or str, float or str)
        Minimum and maximum pulse width, in seconds.
    pulses : int
        Maximum number of pulses applied to any one device through one access.
    read_voltage : float or str
        Maximum magnitude of a read voltage, in volts.

    Raises
    ------
    LimitError
        If a limit is not positive and finite, or the range of widths is empty.
    """

    voltage: float
    current: float
    width: tuple[float, float]
    pulses: int
    read_voltage: float

    def __init__(
        self,
        voltage: float | str,
        current: float | str,
        width: Sequence[float | str],
        pulses: int,
        read_voltage: float | str,
    ) -> None:
        given: object = pulses
        if isinstance(given, bool) or not isinstance(given, Integral) or pulses < 1:
            raise LimitError(f"pulse limit pulses is {pulses!r}; it must be a whole number of at least 1")
        checked = {
            "voltage": limit_value("pulse limit voltage", voltage, "V"),
            "current": limit_value("pulse limit current", current, "A"),
            "width": limit_range("pulse limit width", width, "s", empty=True),
            "pulses": int(pulses),
            "read_voltage": limit_value("pulse limit read_voltage", read_voltage, "V"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def check_pulse(self, name: str, amplitude: float, width: float, current: float, given: int) -> None:
        """Refuse a pulse outside the limits.

        Parameters
        ----------
        name : str
            Name of the device for the error message.
        amplitude, width : float
            Volts, with the polarity as sign, and seconds.
        current : float
            Expected current through the device in amperes.
        given : int
            Number of pulses applied to the device before.

        Raises
        ------
        LimitError
            If a value is NaN or exceeds its limit; nothing was applied.
        """
        _refuse(name, "pulse", amplitude, self.voltage, "V", "voltage")
        low, high = self.width
        if not low * (1 - ROUNDING) <= width <= high * (1 + ROUNDING):
            raise LimitError(
                f"pulse of {format_quantity(width, 's')} at {name} is outside the pulse limit width = "
                f"{format_quantity(low, 's')} to {format_quantity(high, 's')}; nothing was applied"
            )
        _refuse(name, "expected current", current, self.current, "A", "current")
        if given >= self.pulses:
            raise LimitError(
                f"{name} has had {given} pulses, the maximum allowed by the pulse limit pulses = {self.pulses}; "
                "nothing was applied"
            )

    def check_read(self, name: str, voltage: float) -> None:
        """Refuse a read voltage that is zero, NaN or above ``read_voltage``.

        Raises
        ------
        LimitError
            If the voltage is refused; nothing was applied.
        """
        _refuse(name, "read voltage", voltage, self.read_voltage, "V", "read_voltage")
        if voltage == 0:
            raise LimitError(f"read voltage at {name} is 0 V; a conductance can only be measured with a voltage")


def limit_value(name: str, value: Any, unit: str) -> float:
    """Return a limit in SI base units from a number or text such as ``"500 mV"``.

    Parameters
    ----------
    name : str
        Name of the limit for the error message.
    value : float or str
        The limit as the user wrote it.
    unit : str
        Unit of the limit, as in `parse_quantity`.

    Raises
    ------
    LimitError
        If the value is not a quantity in this unit, or not positive and finite.
    """
    try:
        number = parse_quantity(value, unit)
    except UnitError as error:
        raise LimitError(f"{name}: {error}; it must be positive and finite") from None
    if number <= 0:
        raise LimitError(f"{name} is {format_quantity(number, unit)}; it must be positive and finite")
    return number


def limit_range(name: str, values: Any, unit: str, *, empty: bool = False) -> tuple[float, float]:
    """Return the lower and upper end of a range of limits; raises as `limit_value`.

    ``empty`` allows both ends to be equal.
    """
    if isinstance(values, str | bytes) or not hasattr(values, "__len__") or len(values) != 2:
        raise LimitError(f"{name} is {values!r}; it must be two values in {unit}, the smaller first")
    low, high = (limit_value(name, value, unit) for value in values)
    if low > high or (low == high and not empty):
        raise LimitError(
            f"{name} is {format_quantity(low, unit)} to {format_quantity(high, unit)}; "
            "it must be two values, the smaller first"
        )
    return low, high


def _refuse(name: str, what: str, value: float, limit: float, unit: str, limit_name: str) -> None:
    # written so that NaN is refused
    if not abs(value) <= limit * (1 + ROUNDING):
        raise LimitError(
            f"{what} {format_quantity(value, unit)} at {name} exceeds the pulse limit {limit_name} = "
            f"{format_quantity(limit, unit)}; nothing was applied"
        )
