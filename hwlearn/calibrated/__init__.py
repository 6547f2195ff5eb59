"""Calibration records, and the network that is corrected by one."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.calibrated.network import CalibratedNetwork as CalibratedNetwork
    from hwlearn.calibrated.record import CalibrationRecord as CalibrationRecord
    from hwlearn.calibrated.sections import ConverterRecord as ConverterRecord
    from hwlearn.calibrated.sections import EdgeRecord as EdgeRecord
    from hwlearn.calibrated.sections import LineRecord as LineRecord
    from hwlearn.calibrated.sections import NoiseRecord as NoiseRecord
    from hwlearn.calibrated.sections import PulseRecord as PulseRecord
    from hwlearn.calibrated.sections import VerifyRecord as VerifyRecord
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
