"""The ``[backend]`` table of a bench on source-measure units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from hwlearn.units import parse_quantity
from hwlearn_drivers.smu.registry import AUTO, family_of
from hwlearn_drivers.transport.addresses import PURE_PYTHON


def _in(unit: str) -> BeforeValidator:
    def read(value: Any) -> Any:
        return parse_quantity(value, unit) if isinstance(value, str | int | float) else value

    return BeforeValidator(read)


Volts = Annotated[float, _in("V"), Field(ge=0)]
Amperes = Annotated[float, _in("A"), Field(ge=0)]
Seconds = Annotated[float, _in("s"), Field(ge=0)]
Ohms = Annotated[float, _in("ohm"), Field(gt=0)]
Siemens = Annotated[float, _in("S"), Field(gt=0)]


def _channel_number(value: Any) -> Any:
    return {"a": 1, "b": 2}.get(value.lower(), value) if isinstance(value, str) else value


def _known_model(model: str) -> str:
    if model != AUTO:
        family_of(model)
    return model


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChannelSettings(_Table):
    """One SMU channel and the node that it is wired to.

    Attributes
    ----------
    address : str
        As `hwlearn_drivers.transport.addresses.open_link` takes it; channels of one instrument share it.
    node : int or str
        Number or name of an input or output node.
    model : str
        Model number, or ``"auto"`` to ask; named, the outputs are off before anything is asked.
    channel : int or "a" or "b"
    four_wire : bool
    """

    address: str
    node: int | str
    model: Annotated[str, AfterValidator(_known_model)] = AUTO
    channel: Annotated[int, BeforeValidator(_channel_number), Field(ge=1)] = 1
    four_wire: bool = False


class EdgeCardSettings(_Table):
    """The edge card that sets the conductances.

    Attributes
    ----------
    address : str
    full, wiper : quantity
        Resistance of a potentiometer end to end, and of its wiper.
    linear : two quantities, optional
        Conductances at the first and the last code of a card whose conductance rises in equal steps.
    positions : int
    places : tuple of int, optional
        Place on the card of each edge, in edge order.
    """

    address: str
    full: Ohms = 100e3
    wiper: Ohms = 100.0
    linear: tuple[Siemens, Siemens] | None = None
    positions: int = 256
    places: tuple[int, ...] | None = None


class SmuSettings(_Table):
    """All keys of the table; quantities are text with a unit, or numbers in SI units.

    Attributes
    ----------
    channels : tuple of ChannelSettings
        One for every input and output.
    edges : EdgeCardSettings, quantity or tuple of quantities
        An edge card, or the conductance of fixed resistors (one for all, or one an edge).
    nplc : float
        Integration time of every reading in power line cycles.
    voltage_range, current_range : quantity, "limits" or "auto"
        Ranges of all channels: fixed, fixed at the bench's limit, or chosen by the instruments.
    slew_V_per_s, ramp_step, settle, voltage_sigma, current_sigma
        See `hwlearn_drivers.smu.pace.Pace`.
    timeout, baud, visa_library
        See `hwlearn_drivers.transport.addresses.LinkOptions`.
    wire_log : path, optional
        Every byte is written down there.
    dry_run : bool
        Print commands instead of sending them.
    """

    kind: Literal["smu"] = "smu"
    channels: Annotated[tuple[ChannelSettings, ...], Field(min_length=1)]
    edges: EdgeCardSettings | tuple[Siemens, ...] | Siemens
    nplc: Annotated[float, Field(gt=0)] = 1.0
    voltage_range: Literal["limits", "auto"] | Volts = "limits"
    current_range: Literal["limits", "auto"] | Amperes = "auto"
    slew_V_per_s: Annotated[float, Field(gt=0)] = 10.0
    ramp_step: Annotated[Volts, Field(gt=0)] = 0.05
    settle: Seconds = 0.01
    voltage_sigma: Volts = 0.0
    current_sigma: Amperes = 0.0
    timeout: Annotated[Seconds, Field(gt=0)] = 3.0
    baud: Annotated[int, Field(gt=0)] = 115200
    visa_library: str = PURE_PYTHON
    wire_log: Path | None = None
    dry_run: bool = False
