"""Edge elements: how the currents of an edge follow from the voltages at its ends.

See docs/elements.md.
"""

from hwlearn.circuit.elements.custom import Custom
from hwlearn.circuit.elements.element import Element, Proportional
from hwlearn.circuit.elements.kinds import OHMIC, AnyElement, ElementTable, IdealDiode, Ohmic, Shockley, Sinh
from hwlearn.circuit.elements.law import Law
from hwlearn.circuit.elements.mosfet import Mosfet
from hwlearn.circuit.elements.three_terminal import Parameter, ThreeTerminal

__all__ = [
    "OHMIC",
    "AnyElement",
    "Custom",
    "Element",
    "ElementTable",
    "IdealDiode",
    "Law",
    "Mosfet",
    "Ohmic",
    "Parameter",
    "Proportional",
    "Shockley",
    "Sinh",
    "ThreeTerminal",
]
