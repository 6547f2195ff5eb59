"""The ``[backend]`` table of a bench on an ArC TWO."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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

PulseWidth = Annotated[Seconds, Field(ge=SHORTEST_S, lt=LONGEST_S)]


class Arc2PulseSettings(Section):
    """The table ``[backend.pulses]``: what pulses devices may be given. Without it none ever go out.

    Attributes
    ----------
    voltage : quantity
        Most volts of a pulse across its device, either sign, up to 20 V; each of its two lines takes half.
    current : quantity
        Most amperes that a pulse may be foreseen to drive through its device.
    width : two quantities
        Shortest and longest pulse, 40 ns to less than 500 ms.
    most : int
        Most pulses that any one device is given while the bench is open.
    positive : "rows" or "columns"
        The lines that are the positive side of a pulse that raises the conductance.
    headroom : float
        How many times its last known conductance a device is foreseen to have while it is pulsed.
    tolerance : float
        Relative; how near to its target a device counts as programmed.
    """

    voltage: Annotated[PositiveVolts, Field(le=20.0)]
    current: PositiveAmperes
    width: Annotated[tuple[PulseWidth, PulseWidth], FROM_LIST]
    most: Count = 10_000
    positive: Literal["rows", "columns"] = "rows"
    headroom: Annotated[float, Field(ge=1.0)] = 2.0
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.01


class Arc2Settings(Section):
    """All keys of the table; quantities are text with a unit, or numbers in SI units.

    Attributes
    ----------
    firmware : path
        The firmware (.bin) that came with the instrument; it is loaded at every opening.
    id : int
        Number of the instrument on USB.
    rows, columns : tuple of int, optional
        Channel (0-63) of each row and column, in the network's order.
    control : "internal" or "header"
        Whether the channels lead to the package on the daughterboard or to its headers.
    read_voltage : quantity
        Volts at which single devices are read.
    unknown_conductance : quantity, optional
        Conductance foreseen of a device that was never read; the upper end of ``limits.conductance`` unless
        given.
    pulses : Arc2PulseSettings, optional
    current_sign : 1 or -1
        Sign of what the instrument reads at a device of positive conductance.
    settle, averaging, voltage_sigma, current_sigma
        See `hwlearn_drivers.arc2.pace.Arc2Pace`.
    timeout : quantity
        Longest wait until a queue is worked off.
    wire_log : path, optional
        Every call of the vendor's library is written down there.
    dry_run : bool
        Print the calls instead of making them.
    """

    kind: Literal["arc2"] = "arc2"
    firmware: FilePath
    id: Annotated[int, Field(ge=0)] = 0
    rows: Annotated[tuple[int, ...], FROM_LIST] | None = None
    columns: Annotated[tuple[int, ...], FROM_LIST] | None = None
    control: Literal["internal", "header"] = "internal"
    read_voltage: Annotated[PositiveVolts, Field(le=10.0)] = 0.1
    unknown_conductance: PositiveSiemens | None = None
    pulses: Arc2PulseSettings | None = None
    current_sign: Literal[1, -1] = 1
    settle: Annotated[NonNegativeSeconds, Field(le=1.0)] = 1e-3
    averaging: bool = True
    voltage_sigma: NonNegativeVolts = VOLTAGE_SIGMA
    current_sigma: NonNegativeAmperes = CURRENT_SIGMA
    timeout: PositiveSeconds = 3.0
    wire_log: FilePath | None = None
    dry_run: bool = False
