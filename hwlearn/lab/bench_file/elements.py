"""Tables of a bench file for the elements on the edges: resistors, tunnelling cells, diodes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hwlearn.circuit.elements import Element, IdealDiode, Ohmic, Shockley, Sinh
from hwlearn.quantities import NonNegativeVolts, PositiveSiemens, PositiveVolts, Section


class OhmicTable(Section):
    """``{ kind = "ohmic" }``: a resistor."""

    kind: Literal["ohmic"]

    def build(self) -> Element:
        """Return the element."""
        return Ohmic()


class SinhTable(Section):
    """``{ kind = "sinh", V0 = "200 mV" }``: see `hwlearn.circuit.elements.Sinh`."""

    kind: Literal["sinh"]
    V0: PositiveVolts

    def build(self) -> Element:
        """Return the element."""
        return Sinh(self.V0)


class ShockleyTable(Section):
    """``{ kind = "shockley", nVt = "25.85 mV" }``: see `hwlearn.circuit.elements.Shockley`."""

    kind: Literal["shockley"]
    nVt: PositiveVolts = 0.02585

    def build(self) -> Element:
        """Return the element."""
        return Shockley(self.nVt)


class IdealDiodeTable(Section):
    """``{ kind = "ideal", threshold = "0 V", leak = 1e-6 }``: see `hwlearn.circuit.elements.IdealDiode`."""

    kind: Literal["ideal"]
    threshold: NonNegativeVolts = 0.0
    leak: Annotated[float, Field(gt=0, le=1)] = 1e-6

    def build(self) -> Element:
        """Return the element."""
        return IdealDiode(self.threshold, self.leak)


class _Conducting(Section):
    conductance: PositiveSiemens


class FixedShockley(ShockleyTable, _Conducting):
    """A junction diode of fixed conductance, in siemens at small drops."""


class FixedIdealDiode(IdealDiodeTable, _Conducting):
    """A piecewise-linear diode of fixed conductance, in siemens when it conducts."""


ElementTable = Annotated[OhmicTable | SinhTable | ShockleyTable | IdealDiodeTable, Field(discriminator="kind")]
DiodeTable = Annotated[FixedShockley | FixedIdealDiode, Field(discriminator="kind")]
