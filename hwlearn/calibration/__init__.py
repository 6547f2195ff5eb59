"""Calibration of converters, noise, lines, edges and devices from measurements."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.calibration.converters import ConverterSettings as ConverterSettings
    from hwlearn.calibration.converters import calibrate_converters as calibrate_converters
    from hwlearn.calibration.edges import CampaignSettings as CampaignSettings
    from hwlearn.calibration.edges import estimate_edges as estimate_edges
    from hwlearn.calibration.lines import LineFit as LineFit
    from hwlearn.calibration.lines import measure_lines as measure_lines
    from hwlearn.calibration.noise import NoiseFit as NoiseFit
    from hwlearn.calibration.noise import measure_noise as measure_noise
    from hwlearn.calibration.verify import Verification as Verification
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
