"""Figures of a calibration, one for each step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.fits.converters import ConverterFit
from hwlearn.calibration.estimation.fits.edges import EdgeFit
from hwlearn.calibration.estimation.fits.wires import WireFit
from hwlearn.calibration.lines import LineFit
from hwlearn.calibration.noise import NoiseFit
from hwlearn.calibration.pulses import PulseFit
from hwlearn.calibration.verify import Verification
from hwlearn.circuit.topology import Topology
from hwlearn.lab.figure_style import FAINT, INK, SECOND, THIRD, drawn, set_log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NAMES: Final = 12
"""Number of inputs that are named at an axis; more would overlap."""


def draw_noise(path: Path, topology: Topology, fit: NoiseFit) -> Path:
    """Draw noise against averaging, and the missing fraction after a step."""

    def draw(left: Axes, right: Axes) -> None:
        for k, node in enumerate(topology.outputs):
            left.plot(fit.averages, 1e6 * fit.of_mean_V[:, k], "o-", label=topology.names[node], markersize=4)
        white = 1e6 * float(np.sqrt(np.mean(fit.of_mean_V[0] ** 2)))
        left.plot(fit.averages, white / np.sqrt(fit.averages), "--", color=FAINT, label="white noise")
        set_log_scale(left, "x")
        left.set_xticks(fit.averages, [str(count) for count in fit.averages])
        if fit.of_mean_V.all():  # a twin without noise has zeros
            set_log_scale(left, "y")
        left.axvline(fit.recommended, color=SECOND, linewidth=1, label=f"recommended: {fit.recommended}")
        left.set_xlabel("readings averaged")
        left.set_ylabel("Allan deviation of the mean (µV)")
        left.legend(frameon=False, fontsize=8)
        after = np.arange(1, len(fit.response) + 1)
        right.errorbar(after, 100 * fit.response, 200 * fit.response_sigma, fmt="o", color=INK, capsize=3)
        right.axhline(0, color=FAINT, linewidth=1)
        right.set_xlabel("reading after a step")
        right.set_ylabel("missing part of the step (%)")

    return drawn(path, draw)


def draw_lines(path: Path, topology: Topology, fit: LineFit) -> Path:
    """Draw impedances against the inverse conductance level, and their extrapolation to zero."""

    def draw(left: Axes, right: Axes) -> None:
        for k in range(fit.impedance.shape[1]):
            left.plot(fit.inverse_level, fit.impedance[:, k], "o-", markersize=4)
        left.set_xlim(left=0)
        left.set_xlabel("highest conductance level / level")
        left.set_ylabel("impedance between the inputs (ohm)")
        at = np.arange(topology.n_inputs)
        right.errorbar(at, fit.ohm, 2 * fit.sigma_ohm, fmt="o", color=INK, capsize=3)
        right.set_xticks(at, [topology.names[node] for node in topology.inputs])
        right.axhline(0, color=FAINT, linewidth=1)
        right.set_ylabel("source and line (ohm)")

    return drawn(path, draw)


def draw_wires(path: Path, topology: Topology, wires: WireFit) -> Path:
    """Draw the resistance of a segment of each kind of line, found and declared, and those of the sources."""

    def draw(left: Axes, right: Axes) -> None:
        at = np.arange(len(wires.lines))
        left.errorbar(at, wires.ohm, 2 * wires.sigma_ohm, fmt="o", color=INK, capsize=3, label="found, 95 %")
        left.plot(at, wires.declared_ohm, "_", color=SECOND, markersize=16, label="declared")
        left.set_xticks(at, [f"{line} segment" for line in wires.lines])
        left.set_xlim(-0.5, len(at) - 0.5)
        left.set_ylim(bottom=0)
        left.set_ylabel("resistance (ohm)")
        left.legend(frameon=False, fontsize=8)
        inputs = np.arange(len(wires.source_ohm))
        right.errorbar(inputs, wires.source_ohm, 2 * wires.source_sigma_ohm, fmt="o", color=INK, capsize=3)
        right.axhline(0, color=FAINT, linewidth=1)
        if len(inputs) <= _MOST_NAMES:
            right.set_xticks(inputs, [topology.names[node] for node in topology.inputs[: len(inputs)]])
        right.set_ylabel("source, without wire (ohm), 95 %")

    return drawn(path, draw)


def draw_converters(path: Path, topology: Topology, fit: ConverterFit, gain_sigma: FloatArray) -> Path:
    """Draw gain errors and offsets of all channels, inputs first."""

    def draw(left: Axes, right: Axes) -> None:
        n_in, n_out = topology.n_inputs, topology.n_outputs
        at = 0
        for name, label, count, colour in (
            ("dac", "input DAC", n_in, INK),
            ("drive", "drive DAC", n_out, SECOND),
            ("adc", "ADC", n_out, THIRD),
        ):
            channels = np.arange(at, at + count)
            gain, offset = getattr(fit, f"{name}_gain"), getattr(fit, f"{name}_offset")
            left.errorbar(
                channels, 100 * gain, 200 * gain_sigma[channels], fmt="o", color=colour, capsize=3, label=label
            )
            sigma = fit.sigma(f"{name}_offset")
            right.errorbar(channels, 1e3 * offset, 2e3 * sigma, fmt="o", color=colour, capsize=3)
            at += count
        left.set_ylabel("gain error (%), 95 %")
        right.set_ylabel("offset (mV), 95 %")
        for axes in (left, right):
            axes.axhline(0, color=FAINT, linewidth=1)
            axes.set_xlabel("channel")
        left.legend(frameon=False, fontsize=8)

    return drawn(path, draw)


def draw_edges(path: Path, topology: Topology, fit: EdgeFit, sigma: FloatArray) -> Path:
    """Draw the gains of the edges, and the distribution of their uncertainties."""

    def draw(left: Axes, right: Axes) -> None:
        at = np.arange(topology.n_edges)
        left.errorbar(at, fit.gains, 2 * fit.gains * sigma, fmt="o", color=INK, markersize=3, linewidth=1)
        if fit.stuck.any():
            left.plot(at[fit.stuck], fit.gains[fit.stuck], "x", color=SECOND, label="stuck")
            left.legend(frameon=False, fontsize=8)
        set_log_scale(left, "y")
        left.set_xlabel("edge")
        left.set_ylabel("gain, 95 %")
        once = np.hypot(sigma, np.sqrt(fit.programming_variance))
        right.plot(np.sort(100 * sigma), (at + 1) / len(at), color=INK, label="mean gain")
        right.plot(np.sort(100 * once), (at + 1) / len(at), "--", color=SECOND, label="one programming")
        noise = fit.programming
        label = f"programming noise ({100 * noise.sigma:.2g} ± {100 * noise.sigma_error:.1g}) %"
        right.axvline(100 * noise.sigma, color=FAINT, linewidth=1, label=label)
        right.legend(frameon=False, fontsize=8)
        set_log_scale(right, "x")
        right.set_xlabel("relative uncertainty (%)")
        right.set_ylabel("fraction of the edges")

    return drawn(path, draw)


def draw_verification(path: Path, topology: Topology, fit: Verification) -> Path:
    """Draw measured minus predicted volts, and their distribution in units of the uncertainty."""

    def draw(left: Axes, right: Axes) -> None:
        left.plot(1e3 * fit.nominal_V, 1e3 * (fit.measured_V - fit.nominal_V), ".", color=FAINT, label="nominal")
        left.plot(
            1e3 * fit.predicted_V, 1e3 * (fit.measured_V - fit.predicted_V), ".", color=INK, label="calibrated"
        )
        left.set_xlabel("predicted (mV)")
        left.set_ylabel("measured - predicted (mV)")
        left.legend(frameon=False, fontsize=8)
        z = (fit.measured_V - fit.predicted_V) / fit.sigma_V
        edges = np.linspace(-5, 5, 31).tolist()
        right.hist(np.clip(z, -5, 5), edges, density=True, color=THIRD, alpha=0.6)
        right.plot(edges, np.exp(-(np.array(edges) ** 2) / 2) / np.sqrt(2 * np.pi), color=INK)
        right.set_xlabel("(measured - predicted) / stated uncertainty")
        right.set_ylabel("probability density")

    return drawn(path, draw)


def draw_pulses(path: Path, fit: PulseFit) -> Path:
    """Draw the response curves of the first device, and the thresholds of all."""
    from matplotlib.ticker import MaxNLocator

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
            set_log_scale(left, "y")
            left.set_title(f"device {fit.devices[0].device}", fontsize=9)
            left.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
        left.set_xlabel("equal pulses")
        left.set_ylabel("conductance (µS), 95 %")
        at = np.array([d.device for d in fit.devices])
        for name, sign, colour in (("set", 1, INK), ("reset", -1, SECOND)):
            volts = np.array([getattr(d, name).volts for d in fit.devices])
            sigma = np.array([getattr(d, name).sigma_V for d in fit.devices])
            right.errorbar(at, sign * volts, 2 * sigma, fmt="o", color=colour, capsize=3, label=name.upper())
        right.set_xlabel("device")
        right.xaxis.set_major_locator(MaxNLocator(integer=True))
        right.set_ylabel(f"threshold (V), {1e6 * fit.width_s:g} µs, 95 %")
        right.legend(frameon=False, fontsize=8)

    return drawn(path, draw)
