"""Results of one step of a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwlearn.calibrated.sections import RecordSection


@dataclass(frozen=True)
class Row:
    """One line of a result table."""

    what: str
    value: str
    uncertainty: str = ""


@dataclass(frozen=True)
class StepResult:
    """Result of one step.

    Attributes
    ----------
    step : str
    passed : bool or None
        None: not measurable on this bench, or skipped.
    verdict : str
        Conclusion in one line.
    rows : tuple of Row
    sections : mapping of str to RecordSection
        Sections of the record.
    figure : Path or None
    """

    step: str
    passed: bool | None
    verdict: str
    rows: tuple[Row, ...]
    sections: dict[str, RecordSection]
    figure: Path | None


@dataclass(frozen=True)
class StepDone:
    """A completed step.

    Attributes
    ----------
    result : StepResult
    measured : int
        Samples that the hardware measured in this call.
    kept : int
        Answers reused from an interrupted calibration.
    before : bool
        Whether the whole step was completed before the interruption.
    """

    result: StepResult
    measured: int = 0
    kept: int = 0
    before: bool = False
