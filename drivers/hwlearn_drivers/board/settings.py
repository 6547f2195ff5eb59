"""Settings of the backend ``board``: the ``[backend]`` table of a bench on the reference board."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hwlearn.quantities import (
    FROM_LIST,
    Count,
    FilePath,
    NonNegativeSeconds,
    NonNegativeVolts,
    PositiveSeconds,
    Seconds,
    Section,
)
from hwlearn_drivers.address import spelled_once
from hwlearn_drivers.transport.addresses import PURE_PYTHON


def _power_of_two(count: int) -> int:
    if count not in (1, 2, 4, 8, 16, 32, 64):
        raise ValueError("the board averages 1, 2, 4, 8, 16, 32 or 64 readings")
    return count


class BoardSettings(Section):
    """Keys of the table. Quantities are text with a unit, or numbers in SI units.

    Attributes
    ----------
    address : str
        As `hwlearn_drivers.address.parse_address` reads it.
    settle : quantity
        Wait between a change and a reading, 0 to 50 ms. The ADC alone needs 170 us to settle to its last bit,
        because each of its channels has a filter of 15 kHz (ADS8688, data sheet SBAS582C, 8.3.5).
    averages : int
        Number of readings averaged into one: 1, 2, 4, ... 64.
    inputs, outputs, edges : tuple of int, optional
        Channel of each input (0-7) and output (0-3), place of each edge (0-31), in the network's order.
    watchdog : quantity
        Time without an executed command after which the board switches its outputs off, 50 ms to 60 s.
    voltage_sigma : quantity, optional
        Specified standard uncertainty of a reading; by default that of the converter's step.
    timeout, baud, visa_library, acknowledgement
        See `hwlearn_drivers.transport.addresses.LinkOptions`.
    wire_log : path, optional
        File in which every byte is logged.
    dry_run : bool
        Print commands instead of sending them.
    """

    kind: Literal["board"] = "board"
    address: Annotated[str, AfterValidator(spelled_once)]
    settle: Annotated[NonNegativeSeconds, Field(le=0.05)] = 200e-6
    averages: Annotated[int, AfterValidator(_power_of_two)] = 1
    inputs: Annotated[tuple[int, ...], FROM_LIST] | None = None
    outputs: Annotated[tuple[int, ...], FROM_LIST] | None = None
    edges: Annotated[tuple[int, ...], FROM_LIST] | None = None
    watchdog: Annotated[Seconds, Field(ge=0.05, le=60.0)] = 2.0
    voltage_sigma: NonNegativeVolts | None = None
    timeout: PositiveSeconds = 3.0
    baud: Count = 1_000_000
    visa_library: str = PURE_PYTHON
    acknowledgement: str = ""
    wire_log: FilePath | None = None
    dry_run: bool = False
