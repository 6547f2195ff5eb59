"""Gain and offset of every DAC and ADC channel, relative to each other, to ground and to known channels.

With all driven terminals at one voltage every output has that voltage too, for any conductances. A sweep of
such uniform inputs compares the ADCs with the DACs and shows offsets and nonlinearity. The DACs are distinguished
by programming, which changes their weights at each output. The conductances are fitted jointly, from patterns that
are not uniform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.averaging import average
from hwlearn.calibration.estimation.design import input_patterns, random_configuration
from hwlearn.calibration.estimation.excitation import Excitation, Phase, Readings
from hwlearn.calibration.estimation.fits.converters import ConverterFit
from hwlearn.calibration.estimation.posterior import estimate
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.terminals import TerminalSet
from hwlearn.calibration.estimation.unknowns import CONVERTER_BLOCKS, Prior, Spreads, Unknowns
from hwlearn.calibration.estimation.whitening import Noise
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import SetupError
from hwlearn.network.network import Network

__all__ = ["ConverterFit", "ConverterSettings", "calibrate_converters"]

Known = Mapping[str, tuple[ArrayLike, ArrayLike]]
"""Name of a field of `ConverterFit` -> values and standard uncertainties of its channels; NaN: not known."""


@dataclass(frozen=True, eq=False)
class ConverterSettings:
    """Settings of `calibrate_converters`.

    Attributes
    ----------
    configurations : int
        Number of random configurations to program.
    levels, repeats : int
        Steps of the sweep of uniform inputs, at least 3, and readings of each pattern.
    seed : int
        Seed of the configurations and patterns.
    read_sigma : float, optional
        Standard uncertainty of one reading in volts, where the readouts do not state it.
    spreads : Spreads
        Expected spreads; they are re-estimated from the data.
    known : mapping
        Channels measured with a reference instrument, as ``{"dac_gain": (values, sigmas)}``. Without one the
        common gain of all channels is a convention.
    nudge_siemens : array_like, scalar or shape (n_out,), optional
        Known conductances of resistor drives, to calibrate their DACs.
    dac_step_V : float, optional
        Step of the DACs in volts; patterns are then multiples of it, which avoids rounding.

    Raises
    ------
    SetupError
        If a number is too small.
    """

    configurations: int = 12
    levels: int = 9
    repeats: int = 4
    seed: int = 0
    read_sigma: float | None = None
    spreads: Spreads = field(default_factory=Spreads)
    known: Known = field(default_factory=dict)
    nudge_siemens: ArrayLike | None = None
    dac_step_V: float | None = None

    def __post_init__(self) -> None:
        if self.configurations < 1 or self.levels < 3 or self.repeats < 1:
            raise SetupError("converters need at least 1 configuration, 3 levels and 1 repeat")


def calibrate_converters(
    network: Network,
    model: Kirchhoff | None = None,
    settings: ConverterSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ConverterFit:
    """Measure and fit all converter channels; the network is left in the last configuration.

    Parameters
    ----------
    network : Network
        It is programmed and measured.
    model : Kirchhoff, optional
        Circuit of the network with the known wires. Default: the network's own topology.
    settings : ConverterSettings, optional
    progress : callable, optional
        Called with the configurations done and their number.

    Raises
    ------
    SetupError
        If a setting is wrong, or the read noise is unknown.
    LimitError, ComplianceError, NetworkError
        From the network.
    """
    chosen = ConverterSettings() if settings is None else settings
    top = network.topology
    circuit = Kirchhoff(top, np.full(top.n_edges, network.limits.conductance[1])) if model is None else model
    terminals = TerminalSet.of(network, circuit, chosen.nudge_siemens, chosen.dac_step_V)
    rng = np.random.default_rng(chosen.seed)
    readings = []
    for number in range(chosen.configurations):
        g = random_configuration(terminals.limits, top.n_edges, rng)
        phases = _phases(terminals, chosen, rng)
        allowed = _within_current(phases, circuit.with_conductances(g), terminals)
        readings.append(Excitation(g, allowed).measure(network))
        if progress is not None:
            progress(number + 1, chosen.configurations)
    return _fitted(terminals, readings, chosen)


def _phases(terminals: TerminalSet, settings: ConverterSettings, rng: np.random.Generator) -> tuple[Phase, ...]:
    """Return the uniform sweep, patterns of all signs, and the sweep with driven outputs at the same voltage."""
    top, levels, repeats = terminals.topology, settings.levels, settings.repeats
    signs = input_patterns(terminals, rng)
    reach = float(np.abs(signs).max())
    # scaled at random, so that the rounding errors of a DAC do not all have the same sign
    steps = (np.linspace(-reach, reach, levels) * rng.uniform(0.95, 1.0, (repeats, levels))).ravel()
    sweep = np.tile(steps[:, None], (1, top.n_inputs))

    def floating(x: FloatArray) -> FloatArray:
        return np.full((len(x), top.n_outputs), np.nan)

    signs = np.tile(signs, (repeats, 1))
    phases = [Phase("free", sweep, floating(sweep)), Phase("free", signs, floating(signs))]
    # with a grounded node a clamp moves the output away from its free voltage: stay within the nudge limit
    near = sweep if top.ground is None else sweep * min(1.0, 0.5 * terminals.limits.nudge / reach)
    held = np.tile(near[:, :1], (1, top.n_outputs))
    if "clamp" in terminals.kinds:
        phases.append(Phase("clamp", near, held))
    if "resistor" in terminals.kinds:
        phases.append(Phase("resistor", near, held, terminals.nudge_siemens))
    return tuple(phases)


def _within_current(phases: tuple[Phase, ...], circuit: Kirchhoff, terminals: TerminalSet) -> tuple[Phase, ...]:
    """Scale the patterns so that the predicted source currents stay below half of the current limit."""
    most = max(
        float(np.abs(circuit.source_currents(circuit.solve(p.inputs))).max())
        if p.kind == "free"
        else float(np.abs(circuit.node_currents(circuit.solve(p.inputs, clamped=p.values))).max())
        for p in phases
    )
    scale = min(1.0, 0.5 * terminals.limits.current / most) if most > 0 else 1.0
    return tuple(
        Phase(p.kind, terminals.settable(p.inputs * scale), terminals.on_grid(p.values * scale), p.siemens)
        for p in phases
    )


def _fitted(terminals: TerminalSet, readings: list[Readings], settings: ConverterSettings) -> ConverterFit:
    top, low_high = terminals.topology, np.log(terminals.limits.conductance)
    spreads = settings.spreads
    layout = Unknowns.of(top, spreads.edge_offset_S is not None)
    stuck = np.any([one.failed for one in readings], axis=0)
    middle = float(np.exp(low_high.mean()))
    models = [EdgeModel(top, layout, np.where(stuck, middle, one.reached)) for one in readings]
    prior = Prior.of(layout, spreads, stuck, float(np.diff(low_high)[0]) / math.sqrt(12))
    for block, (values, sigmas) in settings.known.items():
        if block not in CONVERTER_BLOCKS:
            raise SetupError(f"known converters: there is no {block!r}; there are: {', '.join(CONVERTER_BLOCKS)}")
        at = np.arange(layout.size)[layout.blocks[block]]
        value, sigma = np.broadcast_to(values, at.shape), np.broadcast_to(sigmas, at.shape)
        given = np.isfinite(value) & np.isfinite(sigma)
        if not (sigma[given] > 0).all():
            raise SetupError(f"known converters: every uncertainty of {block} must be positive")
        prior = prior.knowing(at[given], value[given], sigma[given])
    noise = Noise(settings.read_sigma, applied=terminals.applied_sigma)
    found, _ = average(estimate(models, readings, prior, noise))
    return ConverterFit.from_unknowns(
        layout,
        found.mean,
        found.covariance,
        (found.prior.spread("converter_gain"), found.prior.spread("converter_offset")),
        _linearity(readings, settings.levels) if top.ground is None else None,
    )


def _linearity(readings: list[Readings], levels: int) -> FloatArray:
    """Return the largest deviation (n_out,) in volts of the averaged sweep readings from straight lines."""
    departures = []
    for one in readings:
        x, volts = one.phases[0].inputs[:, 0], one.readouts[0].voltages
        line = np.polynomial.polynomial.polyfit(x, volts, 1)
        off = volts.T - np.polynomial.polynomial.polyval(x, line)
        departures.append(off.reshape(len(off), -1, levels))
    return np.asarray(np.abs(np.mean(departures, axis=(0, 2))).max(axis=1))
