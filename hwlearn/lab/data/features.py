"""Values between a file and the encoding: features and targets, and what of a file becomes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import DataError
from hwlearn.tables import Stated


@dataclass(frozen=True, eq=False)
class Features:
    """Features and targets of a data set, before encoding.

    Attributes
    ----------
    values : ndarray, shape (S, F)
        Features.
    targets : ndarray
        Class numbers (S,) or targets (S, n_out), in volts unless they are to be scaled.
    classes : tuple of str
        Names of the classes; empty for targets that are numbers.
    ranges : sequence of [low, high], optional
        Known range of each feature, or one for all.
    lines : ndarray of int, shape (S,), optional
        Line of each row in its file.
    target_unit : str
        Unit in the titles of the targets; empty if they have none.
    understood : tuple of str
        How the file was read, in a few lines for a person: dialect, columns, classes.
    """

    values: FloatArray
    targets: FloatArray | IntArray
    classes: tuple[str, ...] = ()
    ranges: Sequence[Sequence[float]] | None = None
    lines: IntArray | None = None
    target_unit: str = ""
    understood: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """What is used of a file, and how its numbers are meant.

    Attributes
    ----------
    columns : sequence of str or int, optional
        Columns of features, in this order; all that are neither label nor target unless given.
    drop : sequence of str or int
        Columns that are ignored.
    stated : Stated
        What is known about the dialect of a text file.
    volts : bool
        Whether features are volts, so that a unit in their titles must be one of volts.
    scaled : bool
        Whether targets are scaled to volts later, so that they may have any unit.
    """

    columns: Sequence[str | int] | None = None
    drop: Sequence[str | int] = ()
    stated: Stated = field(default_factory=lambda: Stated(keys="data."))
    volts: bool = True
    scaled: bool = False

    def __post_init__(self) -> None:
        if self.columns is not None and self.drop:
            raise DataError("give either data.columns (the features) or data.drop (what is ignored), not both")
