"""Tables of a bench file for the elements on the edges: resistors, tunnelling cells, diodes, transistors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hwlearn.circuit.elements import Element, IdealDiode, Mosfet, Ohmic, Shockley, Sinh
from hwlearn.errors import CircuitError, SetupError
from hwlearn.quantities import (
    Amperes,
    NonNegative,
    NonNegativeOhms,
    NonNegativeVolts,
    PositiveSiemens,
    PositiveVolts,
    Section,
    Volts,
)


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


class MosfetTable(Section):
    """``{ kind = "mosfet", vto = "750 mV", kp = 6.2e-5, ... }``: see `hwlearn.circuit.elements.Mosfet`.

    ``lambda`` and ``is`` are ``lambda_`` and ``is_`` there; ``l`` and ``w`` are in metres.
    """

    kind: Literal["mosfet"]
    vto: Volts
    kp: NonNegative
    gamma: NonNegative = 0.0
    phi: PositiveVolts = 0.6
    lambda_: Annotated[NonNegative, Field(alias="lambda")] = 0.0
    l: NonNegative = 1e-4  # noqa: E741  # the name in SPICE
    w: NonNegative = 1e-4
    rsh: NonNegativeOhms = 0.0
    nrd: NonNegative = 1.0
    nrs: NonNegative = 1.0
    is_: Annotated[Amperes, Field(alias="is")] = 1e-14
    gmin: PositiveSiemens = 1e-12
    blocking: Literal["exponential", "constant"] = "exponential"
    body: Literal["ground", "drain", "source", "floating"] = "ground"
    gate: Literal["ground", "drain", "source"] = "ground"
    least_gate: Volts = 0.0
    most_gate: Volts = 10.0
    celsius: float = 27.0

    def build(self) -> Mosfet:
        """Return the element.

        Raises
        ------
        SetupError
            If a number cannot be right.
        """
        try:
            return Mosfet(**self.model_dump(exclude={"kind"}))
        except CircuitError as error:
            raise SetupError(f"an element of kind 'mosfet': {error}") from None


class _Conducting(Section):
    conductance: PositiveSiemens


class FixedShockley(ShockleyTable, _Conducting):
    """A junction diode of fixed conductance, in siemens at small drops."""


class FixedIdealDiode(IdealDiodeTable, _Conducting):
    """A piecewise-linear diode of fixed conductance, in siemens when it conducts."""


ElementTable = Annotated[
    OhmicTable | SinhTable | ShockleyTable | IdealDiodeTable | MosfetTable, Field(discriminator="kind")
]


class PlacedElement(Section):
    """An item of ``network.elements``: an element, and the numbers of the edges that have it."""

    edges: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    element: ElementTable


DiodeTable = Annotated[FixedShockley | FixedIdealDiode, Field(discriminator="kind")]
