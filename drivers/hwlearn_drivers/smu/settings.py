"""`SmuSettings`: the ``[backend]`` table of a bench on source-measure units."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from hwlearn.quantities import (
    FROM_LIST,
    Count,
    FilePath,
    NonNegativeAmperes,
    NonNegativeSeconds,
    NonNegativeVolts,
    Positive,
    PositiveSeconds,
    PositiveSiemens,
    PositiveVolts,
    Section,
)
from hwlearn_drivers.address import spelled_once
from hwlearn_drivers.edges.settings import EdgeCardSettings
from hwlearn_drivers.smu.registry import AUTO, model_name
from hwlearn_drivers.transport.addresses import PURE_PYTHON

NodeNumber = Annotated[int, Field(ge=0)]


def _channel_number(value: Any) -> Any:
    return {"a": 1, "b": 2}.get(value.lower(), value) if isinstance(value, str) else value


class ChannelSettings(Section):
    """One SMU channel and the node that it is connected to.

    Attributes
    ----------
    address : str
        As `hwlearn_drivers.address.parse_address` reads it; the same for all channels of one instrument.
    node : int or str
        Number or name of an input or output node.
    model : str
        Model number, exactly; ``"2600 family"`` for any model of a family; or ``"auto"`` to use ``*IDN?``.
        Unless it is ``"auto"``, the outputs are off before any query.
    channel : int or "a" or "b"
    four_wire : bool
    baud : int, optional
        Baud rate of this instrument on a serial port, instead of the one of the table.
    """

    address: Annotated[str, AfterValidator(spelled_once)]
    node: NodeNumber | str
    model: Annotated[str, AfterValidator(model_name)] = AUTO
    channel: Annotated[int, BeforeValidator(_channel_number), Field(ge=1)] = 1
    four_wire: bool = False
    baud: Count | None = None


class SmuSettings(Section):
    """All keys of the table; quantities are text with a unit, or numbers in SI units.

    Attributes
    ----------
    channels : tuple of ChannelSettings
        One for each input and each output.
    edges : EdgeCardSettings, quantity or tuple of quantities
        An edge card, or the conductance of fixed resistors (one for all, or one per edge).
    nplc : float
        Integration time of every reading in power line cycles.
    voltage_range, current_range : quantity, "limits" or "auto"
        Ranges of all channels: a fixed value, the limit of the bench, or automatic.
    voltage_sigma : quantity, optional
        Standard uncertainty of one reading; 0: not stated. Default: that of the data sheet for range and ``nplc``,
        if the models at all outputs have one in `hwlearn_drivers.smu.tables`.
    slew_V_per_s, ramp_step, settle, current_sigma
        See `hwlearn_drivers.instrument.pace.Pace`.
    baud : int, optional
        Of all serial ports. Default: the rate that is set at the factory of each model, 115200 for an edge card.
    timeout, visa_library, acknowledgement
        See `hwlearn_drivers.transport.addresses.LinkOptions`.
    wire_log : path, optional
        File that records every message.
    dry_run : bool
        Print commands instead of sending them.
    """

    kind: Literal["smu"] = "smu"
    channels: Annotated[tuple[ChannelSettings, ...], FROM_LIST, Field(min_length=1)]
    edges: EdgeCardSettings | Annotated[tuple[PositiveSiemens, ...], FROM_LIST] | PositiveSiemens
    nplc: Positive = 1.0
    voltage_range: Literal["limits", "auto"] | NonNegativeVolts = "limits"
    current_range: Literal["limits", "auto"] | NonNegativeAmperes = "auto"
    slew_V_per_s: Positive = 10.0
    ramp_step: PositiveVolts = 0.05
    settle: NonNegativeSeconds = 0.01
    voltage_sigma: NonNegativeVolts | None = None
    current_sigma: NonNegativeAmperes = 0.0
    timeout: PositiveSeconds = 3.0
    baud: Count | None = None
    visa_library: str = PURE_PYTHON
    acknowledgement: str = ""
    wire_log: FilePath | None = None
    dry_run: bool = False
