"""Edge elements: how the current through an edge follows from the voltage across it.

See docs/elements.md.
"""

from hwlearn.circuit.elements.custom import Custom
from hwlearn.circuit.elements.element import Element, Proportional
from hwlearn.circuit.elements.kinds import OHMIC, ElementTable, IdealDiode, Ohmic, Shockley, Sinh

__all__ = ["OHMIC", "Custom", "Element", "ElementTable", "IdealDiode", "Ohmic", "Proportional", "Shockley", "Sinh"]
