"""Tables and verdicts of the steps ``edges`` and ``verify``: both follow from tests of known level and power."""

from __future__ import annotations

import math

import numpy as np

from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import EdgeRecord
from hwlearn.calibration.edges import EdgeFit
from hwlearn.calibration.misfit import Misfit
from hwlearn.calibration.verify import Verification
from hwlearn.lab.calibration.result import Row
from hwlearn.units import format_quantity

_CHECK = "check gains of current meters, wires missing in the topology, drift, and nonlinear elements"


def edge_rows(fit: EdgeFit, section: EdgeRecord) -> tuple[Row, ...]:
    """Return the table of the step ``edges``."""
    sigma, scale, note = section.gain_sigma, f"{100 * section.scale_sigma:.2f} %", ""
    if not fit.scale_known:
        scale, note = f"unknown ({100 * section.scale_sigma:.0f} %)", "without the common scale"
    noise, repeats = fit.programming, fit.repeats
    once = np.hypot(sigma, np.sqrt(fit.programming_variance))
    rows = [
        Row("edges", f"{len(sigma)}", f"{fit.stuck.sum()} stuck, {fit.undetermined.sum()} undetermined"),
        Row("spread of the gains", f"{100 * fit.spread:.1f} %", f"{100 * fit.spread_sigma:.1f} %"),
        Row("median uncertainty of a mean gain", f"{100 * np.median(sigma):.2f} %", note),
        Row("the same for one programming", f"{100 * np.median(once):.2f} %", note),
        Row("edges known within 1 %", f"{(sigma < 0.01).sum()}"),
        Row("common scale", f"{float(np.exp(fit.log_gains.mean())):.4f}", scale),
        Row("programming noise of an edge", f"{100 * noise.sigma:.2g} %", f"{100 * noise.sigma_error:.1g} %"),
    ]
    if repeats is not None:
        rows.append(
            Row(
                "the same from repeated programming",
                f"{100 * repeats.sigma:.2g} %",
                "agrees" if repeats.agrees else "disagrees",
            )
        )
    rows += [
        Row(f"misfit of the {name}", f"chi {misfit.chi:.3f}", f"at most {misfit.most_chi(readings):.3f}")
        for name, misfit, readings in _misfits(fit)
    ]
    return (*rows, Row("measured", f"{fit.rows} readings", f"{fit.configurations} configurations"))


def edge_verdict(fit: EdgeFit, median_sigma: float) -> tuple[bool, str]:
    """Return whether the estimated edges can be relied on, and why."""
    for name, misfit, readings in _misfits(fit):
        if misfit.exceeds(readings):
            return False, (
                f"FAILED: the {name} deviate from the best model by {misfit.chi:.3g} times their noise, at most "
                f"{misfit.most_chi(readings):.3f} is chance; {_CHECK}"
            )
    noise, repeats = fit.programming, fit.repeats
    if noise.is_significant and (repeats is None or not math.isfinite(repeats.found_error)):
        return False, (
            f"FAILED: the readings do not tell programming noise of {100 * noise.sigma:.2g} % from an error of "
            "the model; measure more configurations"
        )
    if repeats is not None and not repeats.agrees:
        return False, (
            f"FAILED: the model is off as if each programming changed an edge by {100 * noise.sigma:.2g} %, but "
            f"the same configuration programmed twice differs by {100 * repeats.sigma:.2g} %; {_CHECK}"
        )
    scale = "is known" if fit.scale_known else "is not measurable from voltages alone"
    return True, (
        f"PASSED: the model explains the readings (chi {fit.chi:.2f}); half of the edges are known within "
        f"{100 * median_sigma:.2f} %; the common scale {scale}; {_programming(fit)}"
    )


def _programming(fit: EdgeFit) -> str:
    noise = fit.programming
    if noise.is_significant:
        return f"one programming of an edge deviates by {100 * noise.sigma:.2g} % from these means"
    return f"programming repeats within {100 * (noise.sigma + 2 * noise.sigma_error):.2g} %"


def _misfits(fit: EdgeFit) -> list[tuple[str, Misfit, float | None]]:
    """Return name, misfit, and number of readings that the noise was estimated from, where there are any."""
    both = [("voltages", fit.misfit, fit.noise_readings), ("currents", fit.current_misfit, None)]
    return [one for one in both if one[1].dof >= 1]


def verify_rows(fit: Verification) -> tuple[Row, ...]:
    """Return the table of the step ``verify``."""
    rows = [
        Row("rms error of predictions", _volts(fit.rms_V), f"noise of a reading {_volts(fit.noise_V)}"),
        Row("the same with nominal edges", _volts(fit.nominal_rms_V)),
        Row("in units of the uncertainty", f"chi {fit.chi:.3f}", f"expected 1, at most {fit.most_chi:.3f}"),
    ]
    if fit.predictions.dof >= 1:
        limit = f"expected 1, at most {fit.most_prediction_chi:.3f}"
        rows.append(Row("the same without read noise", f"chi {fit.predictions.chi:.3f}", limit))
    return (*rows, Row("compared", f"{len(fit.measured_V)} readings", f"{fit.configurations} configurations"))


def verify_verdict(fit: Verification, record: CalibrationRecord) -> tuple[bool, str]:
    """Return whether predictions can be relied on, and why."""
    if fit.passed:
        return True, (
            f"PASSED: predictions are correct within their stated uncertainty (chi {fit.chi:.2f}); errors "
            f"{fit.found_factor:.2f} times as large would be found"
        )
    if record.edges is None:
        return False, (
            f"FAILED: predictions are off by {_volts(fit.rms_V)}; the edges are not calibrated: run step edges"
        )
    chi = max(fit.chi, fit.predictions.chi)
    return False, (
        f"FAILED: predictions are off by {chi:.3g} times their stated uncertainty, which includes the programming "
        "noise; the bench drifted, or the calibration is wrong: calibrate again"
    )


def _volts(value: float) -> str:
    return format_quantity(float(value), "V", 3)
