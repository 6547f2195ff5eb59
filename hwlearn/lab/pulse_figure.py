"""Figure of the step ``pulses``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hwlearn.calibration.pulses import PulseFit
from hwlearn.lab.calibration.figures import drawn
from hwlearn.lab.runs.report import INK, SECOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_pulses(path: Path, fit: PulseFit) -> Path:
    """Draw the response curves of the first device, and the thresholds of all."""

    def draw(left: Axes, right: Axes) -> None:
        if fit.devices:
            for curve in fit.devices[0].curves:
                left.errorbar(
                    np.arange(len(curve.conductance)),
                    1e6 * curve.conductance,
                    2e6 * curve.sigma,
                    fmt="o-",
                    markersize=3,
                    linewidth=1,
                    label=f"{curve.amplitude:+.2f} V, {1e6 * curve.width:g} µs",
                )
            left.set_yscale("log")
            left.set_title(f"device {fit.devices[0].device}", fontsize=9)
            left.legend(frameon=False, fontsize=7)
        left.set_xlabel("equal pulses")
        left.set_ylabel("conductance (µS), 95 %")
        at = np.array([d.device for d in fit.devices])
        for name, sign, colour in (("set", 1, INK), ("reset", -1, SECOND)):
            volts = np.array([getattr(d, name).volts for d in fit.devices])
            sigma = np.array([getattr(d, name).sigma_V for d in fit.devices])
            right.errorbar(at, sign * volts, 2 * sigma, fmt="o", color=colour, capsize=3, label=name.upper())
        right.set_xlabel("device")
        right.set_ylabel(f"threshold (V), {1e6 * fit.width_s:g} µs, 95 %")
        right.legend(frameon=False, fontsize=8)

    return drawn(path, draw)
