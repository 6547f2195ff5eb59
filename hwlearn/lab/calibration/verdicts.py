"""Tables and verdicts of the steps ``edges`` and ``verify``, and of ``lines`` on a crossbar with wires."""

from __future__ import annotations

import math

import numpy as np

from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import EdgeRecord
from hwlearn.calibration.edges import EdgeFit
from hwlearn.calibration.estimation.fits.wires import WireFit
from hwlearn.calibration.misfit import Misfit
from hwlearn.calibration.verify import Verification
from hwlearn.circuit.topology import Topology
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
    rows += [] if fit.wires is None else wire_rows(fit.wires, fit.model.topology)
    return (*rows, *misfit_rows(fit))


def misfit_rows(fit: EdgeFit) -> tuple[Row, ...]:
    """Return the rows of a table that say how well the model explains the readings, and how many there are."""
    rows = [
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
    if fit.wires is not None and not fit.wires.is_possible:
        return False, (
            "FAILED: the readings are explained only by a negative resistance of a wire; check the wiring, and "
            "network.wire_resistance"
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
        f"{100 * median_sigma:.2f} %; the common scale {scale}; {_programming(fit)}{_wires(fit)}"
    )


def wire_rows(wires: WireFit, topology: Topology) -> list[Row]:
    """Return the table of a crossbar's wires: segments, their spread, and the sources of the rows."""
    rows = [
        Row(f"{line} segment (declared {_ohms(declared)})", _ohms(ohm), _ohms(sigma))
        for line, declared, ohm, sigma in zip(
            wires.lines, wires.declared_ohm, wires.ohm, wires.sigma_ohm, strict=True
        )
    ]
    shown = f"{100 * wires.spread:.1f} %" if wires.has_spread else "none shown"
    if math.isnan(wires.spread):
        shown = "not estimated (too many segments)"
    rows.append(Row("spread from segment to segment", shown))
    names = [topology.names[node] for node in topology.inputs]
    return rows + [
        Row(f"source of {name}, without wire", _ohms(ohm), _ohms(sigma))
        for name, ohm, sigma in zip(
            names[: len(wires.source_ohm)], wires.source_ohm, wires.source_sigma_ohm, strict=True
        )
    ]


def wire_verdict(fit: EdgeFit, wires: WireFit) -> tuple[bool | None, str]:
    """Return whether the estimated wires can be relied on (None: they are not measurable), and why."""
    trusted, why = edge_verdict(fit, 0.0)
    if not trusted:
        return False, why
    found = " and ".join(
        f"{line} segments have {_ohms(ohm)} within {100 * sigma / ohm:.2g} % (declared {_ohms(declared)})"
        for line, ohm, sigma, declared in zip(
            wires.lines, wires.ohm, wires.sigma_ohm, wires.declared_ohm, strict=True
        )
    )
    if not wires.determined:
        advice = "" if fit.scale_known else "read source currents, "
        return None, (
            f"NOT MEASURABLE on this bench: {found}{_uncertain_sources(wires)}; {advice}lower the noise, "
            "measure more patterns, or allow larger conductances"
        )
    scale = (
        "" if fit.scale_known else ", if the edges conduct on average what they report (no current was measured)"
    )
    return True, f"PASSED: {found}{scale}; the record's wires replace the declared ones{_sources(wires)}"


def _uncertain_sources(wires: WireFit) -> str:
    if not len(wires.source_sigma_ohm):
        return ""
    return f", sources within {_ohms(float(np.max(wires.source_sigma_ohm)))}"


def _sources(wires: WireFit) -> str:
    return "; the sources have resistances, which the first row segments include" if wires.has_sources else ""


def _wires(fit: EdgeFit) -> str:
    """Return what an estimate found about the wires, to end a verdict."""
    if fit.wires is None:
        return ""
    if not fit.wires.determined:
        return "; the wires are not measurable on this bench and count in the uncertainties"
    off = max(abs(float(o / d) - 1) for o, d in zip(fit.wires.ohm, fit.wires.declared_ohm, strict=True))
    return f"; wires differ from the declared ones by up to {100 * off:.2g} %, and the record's replace them"


def _ohms(value: float) -> str:
    return format_quantity(float(value), "ohm", 4)


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
