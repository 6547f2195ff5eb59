"""The tables of a bench file that say what the edges of a network are: resistors, tunnelling cells, diodes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from hwlearn.circuit.elements.kinds import Element, IdealDiode, Ohmic, Shockley, Sinh
from hwlearn.units import parse_quantity


def _in(unit: str) -> Any:
    return BeforeValidator(lambda value: parse_quantity(value, unit))


_Volts = Annotated[float, _in("V"), Field(gt=0)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class OhmicTable(_Table):
    """``{ kind = "ohmic" }``: resistors."""

    kind: Literal["ohmic"]

    def build(self) -> Element:
        """Return the element."""
        return Ohmic()


class SinhTable(_Table):
    """``{ kind = "sinh", V0 = "200 mV" }``: see `hwlearn.circuit.elements.Sinh`."""

    kind: Literal["sinh"]
    V0: _Volts

    def build(self) -> Element:
        """Return the element."""
        return Sinh(self.V0)


class ShockleyTable(_Table):
    """``{ kind = "shockley", nVt = "25.85 mV" }``: see `hwlearn.circuit.elements.Shockley`."""

    kind: Literal["shockley"]
    nVt: _Volts = 0.02585

    def build(self) -> Element:
        """Return the element."""
        return Shockley(self.nVt)


class IdealDiodeTable(_Table):
    """``{ kind = "ideal", threshold = "0 V", leak = 1e-6 }``: see `hwlearn.circuit.elements.IdealDiode`."""

    kind: Literal["ideal"]
    threshold: Annotated[float, _in("V"), Field(ge=0)] = 0.0
    leak: Annotated[float, Field(gt=0, le=1)] = 1e-6

    def build(self) -> Element:
        """Return the element."""
        return IdealDiode(self.threshold, self.leak)


class _Conducting(_Table):
    conductance: Annotated[float, _in("S"), Field(gt=0)]


class FixedShockley(ShockleyTable, _Conducting):
    """A junction diode with its conductance at small drops."""


class FixedIdealDiode(IdealDiodeTable, _Conducting):
    """A diode of two straight pieces with its conductance when on."""


ElementTable = Annotated[OhmicTable | SinhTable | ShockleyTable | IdealDiodeTable, Field(discriminator="kind")]
DiodeTable = Annotated[FixedShockley | FixedIdealDiode, Field(discriminator="kind")]
