"""Settings of the backend ``arc2``: the ``[backend]`` table of a bench on an ArC TWO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from hwlearn.quantities import (
    FROM_LIST,
    Count,
    FilePath,
    NonNegativeAmperes,
    NonNegativeSeconds,
    NonNegativeVolts,
    PositiveAmperes,
    PositiveSeconds,
    PositiveSiemens,
    PositiveVolts,
    Seconds,
    Section,
)
from hwlearn_drivers.arc2.library import LONGEST_S, SHORTEST_S
from hwlearn_drivers.arc2.pace import CURRENT_SIGMA, VOLTAGE_SIGMA

Channel = Annotated[int, Field(ge=0, le=63)]
PulseWidth = Annotated[Seconds, Field(ge=SHORTEST_S, lt=LONGEST_S)]


def _no_flag(value: object) -> object:
    if isinstance(value, bool):  # a Literal of 1 accepts true
        raise ValueError("the sign is 1 or -1")
    return value


class Arc2PulseSettings(Section):
    """The table ``[backend.pulses]``: limits of pulses. Without it, no pulse is ever applied.

    Attributes
    ----------
    voltage : quantity
        Maximum magnitude of a pulse across its device, up to 20 V; each of its two lines gets half.
    current : quantity
        Maximum expected current of a pulse through its device.
    width : two quantities
        Shortest and longest pulse, 40 ns to less than 500 ms.
    most : int
        Maximum number of pulses for any one device while the bench is open.
    positive : "rows" or "columns"
        Lines that are positive in a pulse that raises the conductance.
    headroom : float
        Safety factor on the last known conductance for the expected current of a pulse.
    tolerance : float
        Largest relative error of a device that counts as programmed.
    """

    voltage: Annotated[PositiveVolts, Field(le=20.0)]
    current: PositiveAmperes
    width: Annotated[tuple[PulseWidth, PulseWidth], FROM_LIST]
    most: Count = 10_000
    positive: Literal["rows", "columns"] = "rows"
    headroom: Annotated[float, Field(ge=1.0)] = 2.0
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.01


class Arc2Settings(Section):
    """Keys of the table. Quantities are text with a unit, or numbers in SI units.

    Attributes
    ----------
    firmware : path
        Firmware (.bin) of the instrument; it is loaded each time the instrument is opened.
    id : int
        Number of the instrument on USB.
    rows, columns : tuple of int, optional
        Channel (0-63) of each row and column, in the network's order.
    control : "internal" or "header"
        Whether the channels are connected to the package on the daughterboard or to its headers.
    read_voltage : quantity
        Voltage at which single devices are read.
    unknown_conductance : quantity, optional
        Conductance assumed for a device that was never read; by default the upper end of
        ``limits.conductance``.
    pulses : Arc2PulseSettings, optional
    current_sign : 1 or -1
        Sign of the current reading at a device of positive conductance.
    settle, averaging, voltage_sigma, current_sigma
        See `hwlearn_drivers.arc2.pace.Arc2Pace`.
    timeout : quantity
        Maximum time to wait until a queue is executed.
    wire_log : path, optional
        File in which every call of the vendor's library is logged.
    dry_run : bool
        Print the calls instead of making them.
    """

    kind: Literal["arc2"] = "arc2"
    firmware: FilePath
    id: Annotated[int, Field(ge=0)] = 0
    rows: Annotated[tuple[Channel, ...], FROM_LIST] | None = None
    columns: Annotated[tuple[Channel, ...], FROM_LIST] | None = None
    control: Literal["internal", "header"] = "internal"
    read_voltage: Annotated[PositiveVolts, Field(le=10.0)] = 0.1
    unknown_conductance: PositiveSiemens | None = None
    pulses: Arc2PulseSettings | None = None
    current_sign: Annotated[Literal[1, -1], BeforeValidator(_no_flag)] = 1
    settle: Annotated[NonNegativeSeconds, Field(le=1.0)] = 1e-3
    averaging: bool = True
    voltage_sigma: NonNegativeVolts = VOLTAGE_SIGMA
    current_sigma: NonNegativeAmperes = CURRENT_SIGMA
    timeout: PositiveSeconds = 3.0
    wire_log: FilePath | None = None
    dry_run: bool = False
