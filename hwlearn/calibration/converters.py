"""Gain and offset of every DAC and ADC channel, against each other, against ground, and against known channels.

With every driven terminal at one voltage every output has that voltage too, whatever the conductances: a sweep of
uniform inputs shows ADCs against DACs, offsets, and straightness. One DAC is told from another by programming,
which changes how much each of them weighs at each output; patterns that are not uniform pin the conductances down,
which are fitted jointly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.campaign import bench_of
from hwlearn.calibration.estimation.converter_fit import ConverterFit
from hwlearn.calibration.estimation.design import Bench, input_patterns, random_configuration
from hwlearn.calibration.estimation.excitation import Excitation, Phase, Readings
from hwlearn.calibration.estimation.posterior import Noise, estimate
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.unknowns import CONVERTER_BLOCKS, Layout, Prior, Spreads
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import SetupError
from hwlearn.network.network import Network

__all__ = ["ConverterFit", "calibrate_converters"]

Known = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Name of a field of `ConverterFit` -> values and standard uncertainties of its channels; NaN: not known."""


def calibrate_converters(
    network: Network,
    model: Kirchhoff | None = None,
    *,
    configurations: int = 12,
    levels: int = 9,
    repeats: int = 4,
    seed: int = 0,
    read_sigma: float | None = None,
    spreads: Spreads | None = None,
    known: Known | None = None,
    nudge_siemens: float | None = None,
    dac_step_V: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ConverterFit:
    """Measure and fit all converter channels; the network is left in the last configuration.

    Parameters
    ----------
    network : Network
        It is programmed and measured.
    model : Kirchhoff, optional
        Its circuit with the wires that are known; the network's own topology unless given.
    configurations : int
        How many random configurations to program.
    levels, repeats : int
        Steps of the sweep of uniform inputs, at least 3, and readings of each pattern.
    seed : int
        Of the configurations.
    read_sigma : float, optional
        Standard uncertainty of one reading in volts, where the readouts do not state it.
    spreads : Spreads, optional
        What to expect; re-estimated from the data.
    known : mapping, optional
        Channels measured with a reference instrument, as ``{"dac_gain": (values, sigmas)}``. Without one the
        common gain of all channels is a convention.
    nudge_siemens : float, optional
        The known conductance of resistor drives, to calibrate their DACs.
    dac_step_V : float, optional
        Step of the DACs, where it is known: patterns are then made of whole steps, and nothing is rounded.
    progress : callable, optional
        Called with configurations done and their number.

    Raises
    ------
    SetupError
        If a setting is wrong, or the read noise is unknown.
    LimitError, ComplianceError, NetworkError
        From the network.
    """
    if configurations < 1 or levels < 3 or repeats < 1:
        raise SetupError("converters need at least 1 configuration, 3 levels and 1 repeat")
    top = network.topology
    circuit = Kirchhoff(top, np.full(top.n_edges, network.limits.conductance[1])) if model is None else model
    bench = bench_of(network, circuit, nudge_siemens, dac_step_V)
    rng = np.random.default_rng(seed)
    readings = []
    for number in range(configurations):
        g = random_configuration(bench.limits, top.n_edges, rng)
        fitting = _within_current(_phases(bench, levels, repeats, rng), circuit.with_conductances(g), bench)
        readings.append(Excitation(g, fitting).measure(network))
        if progress is not None:
            progress(number + 1, configurations)
    return _fitted(
        bench, readings, Noise(read_sigma, applied=bench.applied_sigma), spreads or Spreads(), known or {}, levels
    )


def _phases(bench: Bench, levels: int, repeats: int, rng: np.random.Generator) -> tuple[Phase, ...]:
    """Return the uniform sweep, patterns of all signs, and the sweep with driven outputs at the same voltage."""
    top = bench.topology
    signs = input_patterns(bench, rng)
    reach = float(np.abs(signs).max())
    # a little off each time, so that steps of a DAC do not always err to the same side
    steps = (np.linspace(-reach, reach, levels) * rng.uniform(0.95, 1.0, (repeats, levels))).ravel()
    sweep = np.tile(steps[:, None], (1, top.n_inputs))

    def floating(x: FloatArray) -> FloatArray:
        return np.full((len(x), top.n_outputs), np.nan)

    signs = np.tile(signs, (repeats, 1))
    phases = [Phase("free", sweep, floating(sweep)), Phase("free", signs, floating(signs))]
    # a grounded node would let a clamp move an output away from where it is: the sweep stays within the nudge
    near = sweep if top.ground is None else sweep * min(1.0, 0.5 * bench.limits.nudge / reach)
    held = np.tile(near[:, :1], (1, top.n_outputs))
    if "clamp" in bench.kinds:
        phases.append(Phase("clamp", near, held))
    if "resistor" in bench.kinds:
        phases.append(Phase("resistor", near, held, bench.nudge_siemens))
    return tuple(phases)


def _within_current(phases: tuple[Phase, ...], circuit: Kirchhoff, bench: Bench) -> tuple[Phase, ...]:
    """Scale the patterns so that the sources stay at half of their current limit as the model sees them."""
    most = max(
        float(np.abs(circuit.source_currents(circuit.solve(p.inputs))).max())
        if p.kind == "free"
        else float(np.abs(circuit.node_currents(circuit.solve(p.inputs, clamped=p.values))).max())
        for p in phases
    )
    scale = min(1.0, 0.5 * bench.limits.current / most) if most > 0 else 1.0
    return tuple(
        Phase(p.kind, bench.on_grid(p.inputs * scale), bench.on_grid(p.values * scale), p.siemens) for p in phases
    )


def _fitted(
    bench: Bench, readings: list[Readings], noise: Noise, spreads: Spreads, known: Known, levels: int
) -> ConverterFit:
    top, low_high = bench.topology, np.log(bench.limits.conductance)
    layout = Layout.of(top, spreads.edge_offset_S is not None)
    stuck = np.any([one.failed for one in readings], axis=0)
    middle = float(np.exp(low_high.mean()))
    models = [EdgeModel(top, layout, np.where(stuck, middle, one.reached)) for one in readings]
    prior = Prior.of(layout, spreads, stuck, float(np.diff(low_high)[0]) / math.sqrt(12))
    for block, (values, sigmas) in known.items():
        if block not in CONVERTER_BLOCKS:
            raise SetupError(f"known converters: there is no {block!r}; there are: {', '.join(CONVERTER_BLOCKS)}")
        at = np.arange(layout.size)[layout.blocks[block]]
        value, sigma = np.broadcast_to(values, at.shape), np.broadcast_to(sigmas, at.shape)
        told = np.isfinite(value) & np.isfinite(sigma)
        if not (sigma[told] > 0).all():
            raise SetupError(f"known converters: every uncertainty of {block} must be positive")
        prior = prior.knowing(at[told], value[told], sigma[told])
    found = estimate(models, readings, prior, noise)
    return ConverterFit.from_unknowns(
        layout,
        found.mean,
        found.covariance,
        (found.prior.spread("converter_gain"), found.prior.spread("converter_offset")),
        _linearity(readings, levels) if top.ground is None else None,
    )


def _linearity(readings: list[Readings], levels: int) -> FloatArray:
    """Return how far (n_out,) the uniform sweep's readings, averaged, depart from straight lines, in volts."""
    departures = []
    for one in readings:
        x, volts = one.phases[0].inputs[:, 0], one.readouts[0].voltages
        line = np.polynomial.polynomial.polyfit(x, volts, 1)
        off = volts.T - np.polynomial.polynomial.polyval(x, line)
        departures.append(off.reshape(len(off), -1, levels))
    return np.asarray(np.abs(np.mean(departures, axis=(0, 2))).max(axis=1))
