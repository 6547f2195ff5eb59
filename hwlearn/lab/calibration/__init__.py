"""Calibration sessions of a bench: steps, journal, figures."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.calibration.job import CalibrationJob as CalibrationJob
    from hwlearn.lab.calibration.job import CalibrationOptions as CalibrationOptions
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
