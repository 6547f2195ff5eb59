"""The steps of a calibration: each measures, says what it found and whether to trust it."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.sections import (
    EdgeRecord,
    LineRecord,
    NoiseRecord,
    VerifyRecord,
)
from hwlearn.calibration.converters import calibrate_converters
from hwlearn.calibration.edges import CampaignProgress, estimate_edges
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.unknowns import Layout
from hwlearn.calibration.lines import LEVELS, NotSeenError, measure_lines
from hwlearn.calibration.noise import SHARE_OF_NUDGE, measure_noise
from hwlearn.calibration.verify import verify
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import SetupError
from hwlearn.lab.calibration import figures
from hwlearn.lab.calibration.pulses import pulses_of
from hwlearn.lab.calibration.records import (
    converter_fit,
    converter_record,
    gain_sigmas,
    relative_sigmas,
    save_covariance,
    without_converter_sigmas,
)
from hwlearn.lab.calibration.stage import Found, Row, Stage
from hwlearn.network.network import Network
from hwlearn.units import format_quantity

_EXPLAINED: Final = 1.5  # by what noise may be raised until the readings count as not explained


def find_noise(stage: Stage) -> Found:
    """Noise against averaging, and settling after a step."""
    network = stage.network
    fit = measure_noise(network, seed=stage.seed)
    settle = None if stage.settle_s is None else fit.settle_s(stage.settle_s, 2 * network.limits.voltage)
    section = NoiseRecord(
        reading_sigma_V=fit.sigma_V,
        stated_sigma_V=fit.stated_sigma_V,
        floor_V=float(np.sqrt(np.mean(fit.of_mean_V[-1] ** 2))),
        averages=fit.recommended,
        lag=fit.lag,
        lag_sigma=fit.lag_sigma,
        settle_s=settle,
    )
    shares = 1 / math.sqrt(2 * 8 * int(fit.averages[-1]))
    rows = [
        Row(f"noise of one reading at {network.topology.names[node]}", _volts(s), f"{shares:.0%}")
        for node, s in zip(network.topology.outputs, fit.sigma_V, strict=True)
    ]
    rows += [
        Row("stated by the bench", _volts(fit.stated_sigma_V)),
        Row(f"mean of {fit.averages[-1]} readings", _volts(section.floor_V), "30 %"),
        Row(
            "averages to use",
            f"{fit.recommended} times what it averages now",
            f"leaves {SHARE_OF_NUDGE:.1%} of limits.nudge, or what more averaging does not lower",
        ),
        Row("missing of a step at the first reading", f"{fit.lag:.3%}", f"{fit.lag_sigma:.3%}"),
    ]
    if settle is not None:
        rows.append(
            Row("settle to use", format_quantity(settle, "s", 2), "until a full step is lost in the noise")
        )
    if not fit.as_stated:
        worst = int(np.argmax(fit.sigma_V))
        name = network.topology.names[network.topology.outputs[worst]]
        verdict = f"do not trust it: {name} is noisier than stated; check its cable and its ground"
    elif fit.lags:
        now = "longer" if settle is None else f"{format_quantity(settle, 's', 2)}"
        verdict = f"readings lag by {fit.lag:.2%} of a step: set the bench's settle to {now} and calibrate again"
    else:
        verdict = "trust it: no output is noisier than stated, and no reading is seen to lag"
    trusted = fit.as_stated and not fit.lags
    picture = figures.draw_noise(stage.beside("noise.png"), network.topology, fit)
    return Found("noise", trusted, verdict, tuple(rows), {"noise": section}, picture)


def find_lines(stage: Stage) -> Found:
    """Resistance of sources and wires, where source currents are measured."""
    top = stage.network.topology
    try:
        fit = measure_lines(stage.network)
    except NotSeenError as error:
        return Found("lines", None, f"not seen: {error}", (), {}, None)
    section = LineRecord(source_ohm=fit.ohm, source_sigma_ohm=fit.sigma_ohm, chi=fit.chi)
    rows = tuple(
        Row(f"source and line of {top.names[node]}", format_quantity(r, "ohm"), format_quantity(s, "ohm", 3))
        for node, r, s in zip(top.inputs, fit.ohm, fit.sigma_ohm, strict=True)
    )
    largest = float(np.max(np.abs(fit.ohm)))
    share = largest * stage.network.limits.conductance[1]
    trusted: bool | None = fit.chi < 2
    if trusted:
        verdict = f"trust it: straight lines (chi {fit.chi:.2f}); at most {share:.2%} of the least edge resistance"
    elif fit.failed:
        trusted = None
        verdict = f"not seen: {fit.failed} edges are not what they were programmed to, which hides the lines"
    elif (fit.ohm > -4 * fit.sigma_ohm).all():
        trusted = None
        hidden = format_quantity(2 * float(fit.sigma_ohm.max()), "ohm", 2)
        verdict = (
            f"not seen: edges do not scale as they are programmed to (chi {fit.chi:.3g}), which hides lines of "
            f"less than {hidden}"
        )
    else:
        verdict = f"do not trust it: impedances do not scale with the conductances (chi {fit.chi:.3g})"
    return Found(
        "lines",
        trusted,
        verdict,
        rows,
        {"lines": section},
        figures.draw_lines(stage.beside("lines.png"), top, fit),
    )


def find_converters(stage: Stage) -> Found:
    """Gain and offset of every DAC and ADC channel."""
    network, top = stage.network, stage.network.topology
    sigma = stage.read_sigma()
    fit = calibrate_converters(
        network,
        configurations=min(12, max(4, stage.configurations)),
        seed=stage.seed,
        read_sigma=sigma,
        nudge_siemens=stage.nudge_siemens,
        dac_step_V=stage.dac_step_V,
        progress=stage.progress,
    )
    section, worst = converter_record(fit, top, _drives(stage), network.limits.voltage)
    rows = [
        Row(f"{name} of {top.names[node]}", f"{100 * g:+.3f} %, {_volts(o)}", f"{100 * gs:.3f} %, {_volts(os)}")
        for name, nodes, gain, gain_sigma, offset, offset_sigma in (
            ("input DAC", top.inputs, section.input_gain, section.input_gain_sigma,
             section.input_offset_V, section.input_offset_sigma_V),
            ("reader", top.outputs, section.reading_gain, section.reading_gain_sigma,
             section.reading_offset_V, section.reading_offset_sigma_V),
        )
        for node, g, gs, o, os in zip(nodes, gain - 1, gain_sigma, offset, offset_sigma, strict=True)
    ]  # fmt: skip
    if fit.linearity is not None:
        rows.append(Row("largest departure from straight lines", _volts(float(fit.linearity.max()))))
    allowed = max(network.resolution, sigma)
    trusted = worst <= allowed
    common = "the common gain of all channels is a convention: no reference measured it"
    if trusted:
        verdict = (
            f"trust it: every channel within {_volts(worst)} at full scale, under a step or the noise; {common}"
        )
    else:
        verdict = (
            f"the worst channel is known to {_volts(worst)} at full scale only, more than a step or the noise "
            f"({_volts(allowed)}): measure more configurations; {common}"
        )
    gain_sigma = np.concatenate(relative_sigmas(fit, top, _drives(stage))[0])
    picture = figures.draw_converters(stage.beside("converters.png"), top, fit, gain_sigma)
    return Found("converters", trusted, verdict, tuple(rows), {"converters": section}, picture)


def find_edges(stage: Stage) -> Found:
    """Gains of all edges, and once more the converters, fitted jointly."""
    network, top = stage.network, stage.network.topology
    known = stage.record.converters

    def told(progress: CampaignProgress) -> None:
        stage.progress(progress.configuration, progress.configurations)

    fit = estimate_edges(
        network,
        _circuit(network),
        configurations=stage.configurations,
        patterns=stage.patterns,
        seed=stage.seed,
        converters=None if known is None else converter_fit(known),
        read_sigma=stage.read_sigma(),
        nudge_siemens=stage.nudge_siemens,
        dac_step_V=stage.dac_step_V,
        progress=told,
    )
    converters, _ = converter_record(fit.converters, top, _drives(stage), network.limits.voltage)
    sigma, scale_sigma = gain_sigmas(fit)
    chi = math.sqrt(fit.chi2_per_dof) if math.isfinite(fit.chi2_per_dof) else 0.0
    section = EdgeRecord(
        gain=fit.gains,
        gain_sigma=sigma,
        scale_sigma=scale_sigma,
        scale_known=fit.scale_known,
        chi=chi,
        configurations=fit.configurations,
        stuck=tuple(np.flatnonzero(fit.stuck).tolist()),
    )
    save_covariance(stage.beside("covariance.npz"), fit)
    median, under = float(np.median(sigma)), int((sigma < 0.01).sum())
    spread = f"{fit.spread:.1%}"
    scale = f"{scale_sigma:.2%}" if fit.scale_known else f"unknown: no current was measured ({scale_sigma:.0%})"
    rows = (
        Row("edges", f"{top.n_edges}, of which stuck {int(fit.stuck.sum())}"),
        Row("spread of the gains", spread, f"{fit.spread_sigma:.1%}"),
        Row(
            "median uncertainty of a gain", f"{median:.2%}", "" if fit.scale_known else "without the common scale"
        ),
        Row("edges known to 1 %", f"{under}"),
        Row("common scale", f"{float(np.exp(fit.log_gains.mean())):.4f}", scale),
        Row(
            "misfit of the readings", f"chi {chi:.2f}", f"{fit.rows} readings, {fit.configurations} configurations"
        ),
    )
    trusted = fit.noise_factor < _EXPLAINED
    seen = "the common scale is known" if fit.scale_known else "the common scale cannot be seen from voltages"
    if trusted:
        verdict = (
            f"trust it: the readings are explained (chi {chi:.2f}), half of the edges to {median:.2%}; {seen}"
        )
    else:
        verdict = (
            f"do not trust it: the readings depart {fit.noise_factor:.1f} times more than their noise from any "
            "set of gains; look for wires that the topology does not have, drift, or elements that are not ohmic"
        )
    picture = figures.draw_edges(stage.beside("edges.png"), top, fit, sigma)
    return Found("edges", trusted, verdict, rows, {"edges": section, "converters": converters}, picture)


def find_verification(stage: Stage) -> Found:
    """Predicted against measured on fresh configurations."""
    top, record = stage.network.topology, stage.record
    gain = np.ones(top.n_edges) if record.edges is None else record.edges.gain
    uncertainty = None if record.edges is None else _saved_uncertainty(stage, gain)
    # what the fit leaves uncertain of the converters is in the prediction then, not in the reading
    applied = record if uncertainty is None else without_converter_sigmas(record)
    network = CalibratedNetwork(stage.network, applied)

    def of_prediction(reached: FloatArray, x: FloatArray) -> FloatArray:
        assert uncertainty is not None
        return uncertainty(reached, network.setpoints(x))

    fit = verify(
        network,
        gain,
        None if uncertainty is None else of_prediction,
        configurations=max(2, min(4, stage.configurations)),
        seed=stage.seed,
    )
    section = VerifyRecord(
        chi=fit.chi,
        rms_V=fit.rms_V,
        nominal_rms_V=fit.nominal_rms_V,
        noise_V=fit.noise_V,
        configurations=fit.configurations,
        readings=len(fit.measured_V),
    )
    rows = (
        Row("measured - predicted, rms", _volts(fit.rms_V), f"noise of a reading {_volts(fit.noise_V)}"),
        Row("the same with nominal edges", _volts(fit.nominal_rms_V)),
        Row("in units of the stated uncertainty", f"chi {fit.chi:.2f}", f"expected 1, at most {fit.most_chi:.2f}"),
        Row("compared", f"{len(fit.measured_V)} readings of {fit.configurations} configurations"),
    )
    trusted = fit.chi <= fit.most_chi
    if trusted:
        verdict = f"trust it: predictions hold within their stated uncertainty (chi {fit.chi:.2f})"
    elif record.edges is None:
        verdict = f"the edges were not calibrated, and predictions miss by {_volts(fit.rms_V)}: run the step edges"
    else:
        verdict = (
            f"do not trust it: predictions miss by {fit.chi:.1f} times their stated uncertainty; the bench has "
            "drifted, or edges do not repeat what they are programmed to: calibrate again"
        )
    picture = figures.draw_verification(stage.beside("verify.png"), top, fit)
    return Found("verify", trusted, verdict, rows, {"verify": section}, picture)


FINDERS: Final[dict[str, Callable[[Stage], Found]]] = {
    "noise": find_noise,
    "lines": find_lines,
    "pulses": pulses_of,
    "converters": find_converters,
    "edges": find_edges,
    "verify": find_verification,
}
"""The steps in the order in which they build on each other."""

ON_REQUEST: Final = {
    "pulses": "left out: it pulses devices more than programming does; to have it: hwlearn calibrate BENCH pulses"
}
"""Steps that wait to be named where the hardware can take them, and what is said instead."""

ANSWERS: Final = {"noise": 3, "lines": 1 + 2 * LEVELS}
"""How many requests a step makes of the network, where that is fixed."""


def _volts(value: float) -> str:
    return format_quantity(float(value), "V", 3)


def _circuit(network: Network) -> Kirchhoff:
    top = network.topology
    return Kirchhoff(top, np.full(top.n_edges, network.limits.conductance[1]))


def _drives(stage: Stage) -> bool:
    """Tell whether the outputs' DACs are excited."""
    nudges = stage.network.nudges
    return "clamp" in nudges or ("resistor" in nudges and stage.nudge_siemens is not None)


def _saved_uncertainty(stage: Stage, gain: FloatArray) -> Callable[[FloatArray, FloatArray], FloatArray] | None:
    """Return what the kept covariance says of a prediction; None if it is not that of the record."""
    path = stage.beside("covariance.npz")
    if not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in ("unknowns", "covariance", "stuck", "gains")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SetupError(f"{path} is damaged ({error}); run the step edges again") from None
    if not np.array_equal(arrays["gains"], gain):
        return None
    top = stage.network.topology
    layout = Layout.of(top)
    middle = math.sqrt(math.prod(stage.network.limits.conductance))

    def uncertainty(reached: FloatArray, told: FloatArray) -> FloatArray:
        model = EdgeModel(top, layout, np.where(arrays["stuck"], middle, reached))
        phase = Phase("free", told, np.full((len(told), top.n_outputs), np.nan))
        slope = model.respond(arrays["unknowns"], phase, currents=False).d_volts
        variance = np.einsum("sop,pq,soq->so", slope, arrays["covariance"], slope, optimize=True)
        return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

    return uncertainty
