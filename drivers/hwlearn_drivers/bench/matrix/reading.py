"""`MatrixReading`: how a matrix bench measures."""

from __future__ import annotations

from dataclasses import dataclass

from hwlearn_drivers.bench.matrix.superposition_record import SuperpositionRecord


@dataclass(frozen=True, slots=True)
class MatrixReading:
    """How a matrix bench measures.

    Attributes
    ----------
    read_inputs : bool
        Whether inputs on columns are read back through the matrix in every sample.
    superposition : SuperpositionRecord or None
        Says whether samples with more voltages than source rows may be composed; None: they are refused.
    input_tolerance : float or None
        Largest deviation in volts of a source or an input that is read back; None: see `Tolerances`.
    """

    read_inputs: bool = False
    superposition: SuperpositionRecord | None = None
    input_tolerance: float | None = None
