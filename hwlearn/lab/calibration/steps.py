"""Steps of a calibration: each measures and reports its result and whether it passed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.sections import (
    EdgeRecord,
    LineRecord,
    NoiseRecord,
    RecordSection,
    VerifyRecord,
)
from hwlearn.calibration.converters import ConverterSettings, calibrate_converters
from hwlearn.calibration.edges import CampaignProgress, CampaignSettings, estimate_edges
from hwlearn.calibration.estimation.fits.converters import ConverterFit
from hwlearn.calibration.lines import LEVELS, LineFit, NotMeasurableError, measure_lines
from hwlearn.calibration.noise import SHARE_OF_NUDGE, NoiseFit, measure_noise
from hwlearn.calibration.verify import verify
from hwlearn.calibration.wires import CONFIGURATIONS, measure_wires
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.lab.calibration import figures
from hwlearn.lab.calibration.context import StepContext
from hwlearn.lab.calibration.pulses import find_pulses
from hwlearn.lab.calibration.records import (
    converter_fit,
    converter_record,
    gain_sigmas,
    prediction_uncertainty,
    relative_sigmas,
    save_covariance,
    wire_record,
    without_converter_sigmas,
)
from hwlearn.lab.calibration.result import Row, StepResult
from hwlearn.lab.calibration.verdicts import (
    edge_rows,
    edge_verdict,
    misfit_rows,
    verify_rows,
    verify_verdict,
    wire_rows,
    wire_verdict,
)
from hwlearn.units import format_quantity


def find_noise(context: StepContext) -> StepResult:
    """Measure noise against averaging, and settling after a step."""
    network = context.network
    fit = measure_noise(network, seed=context.options.seed)
    settle = None if context.settle_s is None else fit.settle_s(context.settle_s, 2 * network.limits.voltage)
    section = NoiseRecord(
        reading_sigma_V=fit.sigma_V,
        stated_sigma_V=fit.stated_sigma_V,
        floor_V=float(np.sqrt(np.mean(fit.of_mean_V[-1] ** 2))),
        averages=fit.recommended,
        lag=fit.lag,
        lag_sigma=fit.lag_sigma,
        settle_s=settle,
    )
    names = [network.topology.names[node] for node in network.topology.outputs]
    relative = 1 / math.sqrt(2 * 8 * int(fit.averages[-1]))
    rows = [
        Row(f"noise at {name}, one reading", _volts(s), f"{100 * relative:.0f} %")
        for name, s in zip(names, fit.sigma_V, strict=True)
    ]
    rows += [
        Row("specified noise", _volts(fit.stated_sigma_V) if fit.is_stated else "not stated"),
        Row(f"noise, mean of {fit.averages[-1]} readings", _volts(section.floor_V), "30 %"),
        Row(
            "recommended averages",
            f"{fit.recommended} x present",
            f"for {100 * SHARE_OF_NUDGE:.1f} % of limits.nudge",
        ),
        Row("lag of the first reading", f"{100 * fit.lag:.3f} %", f"{100 * fit.lag_sigma:.3f} %"),
    ]
    if settle is not None:
        rows.append(
            Row(
                "recommended settle time",
                format_quantity(settle, "s", 2),
                "lag below the noise",
            )
        )
    passed = fit.within_specification and not fit.lags
    picture = figures.draw_noise(context.beside("noise.png"), network.topology, fit)
    verdict = _noise_verdict(fit, names, settle)
    return StepResult("noise", passed, verdict, tuple(rows), {"noise": section}, picture)


def _noise_verdict(fit: NoiseFit, names: list[str], settle_s: float | None) -> str:
    if not fit.within_specification:
        worst = names[int(np.argmax(fit.sigma_V))]
        return f"FAILED: {worst} is noisier than specified; check its cable and ground"
    if fit.lags:
        change = "" if settle_s is None else f" to {format_quantity(settle_s, 's', 2)}"
        return (
            f"FAILED: readings lag by {100 * fit.lag:.2f} % of a step; increase the settle time{change}, "
            "calibrate again"
        )
    if not fit.is_stated:
        measured = format_quantity(float(fit.sigma_V.max()), "V", 2)
        return (
            f'PASSED: no reading lags; the noise is not stated, state it with backend.voltage_sigma = "{measured}"'
        )
    return "PASSED: no output is noisier than specified, and no reading lags"


def find_lines(context: StepContext) -> StepResult:
    """Measure the resistance of sources and wires: of all segments of a crossbar, else from source currents."""
    top = context.network.topology
    if top.wires is not None:
        return _find_wires(context)
    try:
        fit = measure_lines(context.network)
    except NotMeasurableError as error:
        return StepResult("lines", None, f"NOT MEASURABLE on this bench: {error}", (), {}, None)
    section = LineRecord(source_ohm=fit.ohm, source_sigma_ohm=fit.sigma_ohm, chi=fit.chi)
    rows = tuple(
        Row(f"source and line of {top.names[node]}", format_quantity(r, "ohm"), format_quantity(s, "ohm", 3))
        for node, r, s in zip(top.inputs, fit.ohm, fit.sigma_ohm, strict=True)
    )
    passed, verdict = _line_verdict(fit, context.network.limits.conductance[1])
    picture = figures.draw_lines(context.beside("lines.png"), top, fit)
    return StepResult("lines", passed, verdict, rows, {"lines": section}, picture)


def _find_wires(context: StepContext) -> StepResult:
    """Measure the wire segments of a crossbar and its sources, jointly with the devices."""
    top = context.network.topology
    count = max(CONFIGURATIONS, context.options.configurations // 2)
    try:
        fit = measure_wires(context.network, _campaign(context), count, _reporter(context))
    except NotMeasurableError as error:
        return StepResult("lines", None, f"NOT MEASURABLE on this bench: {error}", (), {}, None)
    wires = fit.wires
    assert wires is not None  # the topology has wires
    passed, verdict = wire_verdict(fit, wires)
    sections: dict[str, RecordSection] = {} if passed is None else {"lines": wire_record(fit, wires)}
    picture = figures.draw_wires(context.beside("lines.png"), top, wires)
    return StepResult("lines", passed, verdict, (*wire_rows(wires, top), *misfit_rows(fit)), sections, picture)


def _campaign(context: StepContext, converters: ConverterFit | None = None) -> CampaignSettings:
    """Return the settings of a joint estimate of edges, wires and converters."""
    network = context.network
    return CampaignSettings(
        patterns=context.options.patterns,
        seed=context.options.seed,
        converters=converters,
        read_sigma=context.read_sigma(),
        noise_readings=context.noise_readings(network.topology.n_outputs),
        nudge_siemens=context.nudge_siemens,
        dac_step_V=network.dac_step_V,
    )


def _reporter(context: StepContext) -> Callable[[CampaignProgress], None]:
    def report(progress: CampaignProgress) -> None:
        context.progress(progress.configuration, progress.configurations)

    return report


def _line_verdict(fit: LineFit, most_siemens: float) -> tuple[bool | None, str]:
    if fit.is_straight:
        share = float(np.max(np.abs(fit.ohm))) * most_siemens
        return True, (
            f"PASSED: impedances follow straight lines (chi {fit.chi:.2f}); lines have at most "
            f"{100 * share:.2f} % of the smallest edge resistance"
        )
    if fit.failed:
        return None, (
            f"NOT MEASURABLE on this bench: {fit.failed} edges failed to reach their target, which hides the lines"
        )
    if (fit.ohm > -4 * fit.sigma_ohm).all():
        hidden = format_quantity(2 * float(fit.sigma_ohm.max()), "ohm", 2)
        return None, (
            f"NOT MEASURABLE on this bench: edges do not scale with their targets (chi {fit.chi:.3g}); this hides "
            f"line resistances below {hidden}"
        )
    return False, f"FAILED: impedances do not scale with the conductances (chi {fit.chi:.3g}); check the wiring"


def find_converters(context: StepContext) -> StepResult:
    """Measure gain and offset of every DAC and ADC channel."""
    network, top = context.network, context.network.topology
    sigma = context.read_sigma()
    settings = ConverterSettings(
        configurations=min(12, max(4, context.options.configurations)),
        seed=context.options.seed,
        read_sigma=sigma,
        nudge_siemens=context.nudge_siemens,
        dac_step_V=network.dac_step_V,
    )
    fit = calibrate_converters(network, settings=settings, progress=context.progress)
    section, worst = converter_record(fit, top, context.drives_outputs, network.limits.voltage)
    rows = [
        Row(f"{name} of {top.names[node]}", f"{100 * g:+.3f} %, {_volts(o)}", f"{100 * gs:.3f} %, {_volts(os)}")
        for name, nodes, gain, gain_sigma, offset, offset_sigma in (
            ("input DAC", top.inputs, section.input_gain, section.input_gain_sigma,
             section.input_offset_V, section.input_offset_sigma_V),
            ("ADC", top.outputs, section.reading_gain, section.reading_gain_sigma,
             section.reading_offset_V, section.reading_offset_sigma_V),
        )
        for node, g, gs, o, os in zip(nodes, gain - 1, gain_sigma, offset, offset_sigma, strict=True)
    ]  # fmt: skip
    if fit.linearity is not None:
        rows.append(Row("largest deviation from straight lines", _volts(float(fit.linearity.max()))))
    allowed = max(network.resolution, sigma)
    passed = worst <= allowed
    if passed:
        verdict = f"PASSED: every channel within {_volts(worst)} at full scale, below one ADC step or the noise"
    else:
        verdict = (
            f"FAILED: the worst channel is known within {_volts(worst)} at full scale, more than one ADC step or "
            f"the noise ({_volts(allowed)}); measure more configurations"
        )
    verdict += ". The common gain of all channels is a convention: no reference measured it"
    gain_sigma = np.concatenate(relative_sigmas(fit, top, context.drives_outputs)[0])
    picture = figures.draw_converters(context.beside("converters.png"), top, fit, gain_sigma)
    return StepResult("converters", passed, verdict, tuple(rows), {"converters": section}, picture)


def find_edges(context: StepContext) -> StepResult:
    """Estimate the gains of all edges, the wires of a crossbar, and the converters again, jointly."""
    network, top = context.network, context.network.topology
    known = context.record.converters

    settings = _campaign(context, None if known is None else converter_fit(known))
    model = Kirchhoff(top, np.full(top.n_edges, network.limits.conductance[1]))
    fit = estimate_edges(network, model, settings, context.options.configurations, _reporter(context))
    converters, _ = converter_record(fit.converters, top, context.drives_outputs, network.limits.voltage)
    sigma, scale_sigma = gain_sigmas(fit)
    section = EdgeRecord(
        gain=fit.gains,
        gain_sigma=sigma,
        scale_sigma=scale_sigma,
        scale_known=fit.scale_known,
        chi=fit.chi,
        configurations=fit.configurations,
        stuck=tuple(np.flatnonzero(fit.stuck).tolist()),
        programming_sigma=fit.programming.sigma,
        programming_sigma_error=fit.programming.sigma_error,
    )
    save_covariance(context.beside("covariance.npz"), fit)
    passed, verdict = edge_verdict(fit, float(np.median(sigma)))
    picture = figures.draw_edges(context.beside("edges.png"), top, fit, sigma)
    sections: dict[str, RecordSection] = {"edges": section, "converters": converters}
    if fit.wires is not None:
        sections["lines"] = wire_record(fit, fit.wires)
    return StepResult("edges", passed, verdict, edge_rows(fit, section), sections, picture)


def find_verification(context: StepContext) -> StepResult:
    """Compare predictions with measurements in new configurations."""
    top, record = context.network.topology, context.record
    gain = np.ones(top.n_edges) if record.edges is None else record.edges.gain
    uncertainty = None
    if record.edges is not None:
        network = CalibratedNetwork(context.network, record)
        uncertainty = prediction_uncertainty(context.beside("covariance.npz"), network, gain)
    # the covariance includes the converters' uncertainty, which must not be counted again in the readings
    applied = record if uncertainty is None else without_converter_sigmas(record)
    fit = verify(
        CalibratedNetwork(context.network, applied),
        gain,
        uncertainty,
        configurations=max(2, min(4, context.options.configurations)),
        seed=context.options.seed,
        noise_readings=context.noise_readings(1),
    )
    section = VerifyRecord(
        chi=fit.chi,
        most_chi=fit.most_chi,
        rms_V=fit.rms_V,
        nominal_rms_V=fit.nominal_rms_V,
        noise_V=fit.noise_V,
        configurations=fit.configurations,
        readings=len(fit.measured_V),
    )
    passed, verdict = verify_verdict(fit, record)
    picture = figures.draw_verification(context.beside("verify.png"), top, fit)
    return StepResult("verify", passed, verdict, verify_rows(fit), {"verify": section}, picture)


STEPS: Final[dict[str, Callable[[StepContext], StepResult]]] = {
    "noise": find_noise,
    "lines": find_lines,
    "pulses": find_pulses,
    "converters": find_converters,
    "edges": find_edges,
    "verify": find_verification,
}
"""The steps in the order in which they depend on each other."""

ON_REQUEST: Final = frozenset({"pulses"})
"""Steps that run only if they are named: pulses wear devices."""

REQUESTS: Final = {"noise": 3, "lines": 1 + 2 * LEVELS}
"""Number of requests that a step sends to the network, where it is fixed."""


def _volts(value: float) -> str:
    return format_quantity(float(value), "V", 3)
