"""Checks of a bench before training: programming, offsets, noise, laws of resistor networks, calibration.

One file because the checks run in one order and share their input patterns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibration.verify import verify
from hwlearn.circuit.terminal_conductance import terminal_conductances
from hwlearn.errors import HwlearnError, InUseError, NetworkError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench.recipes import make_targets
from hwlearn.lab.data.pairs import pair_name
from hwlearn.learning.health import HEALTH_SAMPLES, HealthWatch, alarm_text, health_text
from hwlearn.learning.nudge_bias import bias_text, nudge_bias
from hwlearn.learning.output_pairs import OutputPairs
from hwlearn.learning.rules import GradientRequest
from hwlearn.network.network import Network, Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.units import ROUNDING, format_quantity

REPEATS = 32
"""Number of readings of one state from which noise is estimated."""

_SIGMAS = 5.0
"""Deviation from a law, in standard errors, above which a check fails; one in a million fails by chance."""

_MAX_GAIN_DIFFERENCE = 2e-3
"""Relative difference of two terminals' gains that reciprocity allows; device errors are larger."""

_DRIFTED = 2.0
"""Ratio of prediction error now to that at calibration above which the bench has drifted."""

_BIAS_SAMPLES = 16
"""Number of training rows on which the bias of nudges is computed."""

_OHMIC_ONLY = "valid for resistors only, and this network has other elements"


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes
    ----------
    name : str
    result : "pass", "fail" or "not applicable"
    found : str
        The measured value, or why the check is not applicable.
    advice : str
        What to do about a failure; empty otherwise.
    """

    name: str
    result: Literal["pass", "fail", "not applicable"]
    found: str
    advice: str = ""


def check_bench(bench: Bench, seed: int = 0) -> Iterator[Check]:
    """Open, program and read a bench, and yield each check when it is done.

    Parameters
    ----------
    bench : Bench
        Its network is opened. All edges are programmed to the middle of their range and stay there.
    seed : int
        Seed of the random input patterns.

    Raises
    ------
    SetupError
        If the settings do not fit the limits or each other. Nothing was applied.

    Notes
    -----
    Input patterns stay within half of the voltage and drop limits. The inputs of the data are measured last.
    """
    try:
        network = bench.network
    except InUseError:
        raise
    except NetworkError as error:
        yield Check("open", "fail", str(error), "check cables, power, and the address in [backend]")
        return
    nudges = ", ".join(sorted(network.nudges)) or "none"
    yield Check("open", "pass", f"backend {bench.file.backend.kind!r}, {network.topology!r}, nudges: {nudges}")
    if network.instruments:
        yield Check("identity", "pass", "; ".join(network.instruments))
    largest, allowed = float(np.abs(bench.data.inputs).max()), bench.limits.voltage
    found = f"{len(bench.data.inputs)} samples reach {format_quantity(largest, 'V')}"
    # always a pass: a bench with data beyond the limits cannot be loaded
    yield Check("limits", "pass", f"{found} of {format_quantity(allowed, 'V')}")
    record = bench.calibration
    if record is not None:
        yield _age(record, bench.file.calibration.most_age_days)
    rng = np.random.default_rng(seed)
    steps: dict[str, Callable[[], Iterator[Check]]] = {
        "programming": lambda: _programming(network),
        "zero reading": lambda: _zero_and_noise(network, bench.data.pairs),
        "current noise": lambda: _current_noise(network),
        "settling": lambda: _settling(network, np.random.default_rng([seed, 1])),
        "superposition": lambda: _superposition(network, rng),
        "reciprocity": lambda: _reciprocity(network, rng),
        "bias of nudges": lambda: _bias(bench, network),
        "gradient health": lambda: _health(bench, network),
        "saturation": lambda: _saturation(network, bench.data.inputs[bench.data.train]),
        "calibration drift": lambda: _drift(network, record, seed),
    }
    for name, step in steps.items():
        try:
            yield from step()
        except HwlearnError as error:
            yield Check(name, "fail", str(error), "correct this first; later checks may depend on it")


def _programming(network: Network) -> Iterator[Check]:
    """Program every edge to the middle of its range."""
    if network.has_fixed_edges:
        yield Check("programming", "not applicable", "the edges of this bench are fixed resistors")
        return
    done = network.program(network.limits.ranges(network.topology).middle())
    failed = np.flatnonzero(done.failed)
    off = np.abs(done.reached / done.requested - 1)[~done.failed].max(initial=0.0)
    count = f"{len(failed)} of {len(done.requested)}"
    found = f"{count} edges failed; the rest are within {100 * off:.2f} % of their target"
    names = ", ".join(network.topology.edge_name(k) for k in failed[:4])
    advice = f"these edges cannot be programmed and are excluded from training: {names}"
    yield _judged("programming", not failed.size, found, advice)


def _zero_and_noise(network: Network, pairs: OutputPairs | None) -> Iterator[Check]:
    """Read repeatedly with all inputs at 0 V: the mean is the offset, the spread is the noise."""
    top = network.topology
    readout = network.measure(np.zeros((REPEATS, top.n_inputs)))
    offset, noise = readout.voltages.mean(axis=0), readout.voltages.std(axis=0, ddof=1)
    specified, measured = readout.voltage_sigma, float(noise.max())
    is_stated = specified > 0 or measured <= network.resolution
    # an offset does not cancel in the error of a cost, so even a few times the noise is worth a calibration
    allowed = max(2e-3, _SIGMAS * (specified if is_stated else measured) / np.sqrt(REPEATS))
    yield _zero("zero reading", offset, [top.names[node] for node in top.outputs], allowed)
    if pairs is not None:  # a common offset of both outputs cancels
        names = [pair_name(pairs, k, top) for k in range(len(pairs))]
        yield _zero("zero difference", pairs.differences(offset[None])[0], names, math.sqrt(2) * allowed)
    if not is_stated:
        found = (
            f"largest {format_quantity(measured, 'V', 3)} rms; not stated, so there is nothing to compare with: "
        )
        remedy = f'state it with backend.voltage_sigma = "{format_quantity(measured, "V", 2)}"'
        yield Check("noise floor", "not applicable", found + remedy)
        return
    where = " in the data sheet" if network.noise_is_from_data_sheet else ""
    yield _judged_noise("noise floor", measured, specified, network.resolution, "V", where)


def _current_noise(network: Network) -> Iterator[Check]:
    """Read repeatedly with all inputs and clamped outputs at 0 V: the spread of the currents is their noise."""
    if "clamp" not in network.nudges:
        yield Check("current noise", "not applicable", "needs outputs that can be clamped")
        return
    inputs, clamps = _zeros(network, REPEATS)
    readout = network.measure(inputs, OutputDrive.clamp(clamps))
    if readout.output_currents is None:
        yield Check("current noise", "not applicable", "this bench does not measure the currents of its outputs")
        return
    measured, stated = float(readout.output_currents.std(axis=0, ddof=1).max()), readout.current_sigma
    if not stated and measured > ROUNDING * network.limits.current:
        found = (
            f"largest {format_quantity(measured, 'A', 3)} rms; not stated, so there is nothing to compare with: "
        )
        remedy = f'state it with backend.current_sigma = "{format_quantity(measured, "A", 2)}"'
        yield Check("current noise", "not applicable", found + remedy)
        return
    yield _judged_noise("current noise", measured, stated, ROUNDING * network.limits.current, "A")


def _judged_noise(
    name: str, measured: float, stated: float, resolution: float, unit: str, where: str = ""
) -> Check:
    """Compare the standard deviation of REPEATS readings, which is uncertain itself, with the stated one."""
    passed = measured <= stated * (1 + _SIGMAS / np.sqrt(2 * (REPEATS - 1))) + resolution
    found = f"largest {format_quantity(measured, unit)} rms, {'as ' if passed else ''}stated{where}"
    advice = "noisier than stated: check cables and grounding, or average more readings"
    return _judged(name, passed, f"{found}: {format_quantity(stated, unit)}", advice)


def _settling(network: Network, rng: np.random.Generator) -> Iterator[Check]:
    """Compare the first reading after a step of all inputs with later readings of the same state."""
    x = _pattern(network, rng)
    readout = network.measure(np.concatenate([np.tile(-x, (4, 1)), np.tile(x, (REPEATS, 1))]))
    first, later = readout.voltages[4], readout.voltages[4 + REPEATS // 2 :]
    off = float(np.abs(first - later.mean(axis=0)).max())
    spread = max(readout.voltage_sigma, float(later.std(axis=0, ddof=1).max()))
    allowed = _SIGMAS * math.hypot(1.0, (2 / REPEATS) ** 0.5) * spread * 1.2 + network.resolution
    allowed += ROUNDING * network.limits.voltage
    settled, settle_s = off <= allowed, network.settle_s
    stated = "a settling time is not stated" if settle_s is None else f"settle = {format_quantity(settle_s, 's')}"
    end = " as stated" if settled and settle_s is not None else ""
    found = f"the first reading after a step is off by {format_quantity(off, 'V')}; {stated}{end}"
    advice = f"noise explains {format_quantity(allowed, 'V')}: wait longer before each reading (backend.settle)"
    yield _judged("settling", settled, found, advice)


def _zero(check: str, offset: FloatArray, names: Sequence[str], allowed: float) -> Check:
    """Compare the largest of some offsets, in volts, with what is allowed."""
    worst = int(np.abs(offset).argmax())
    found = f"largest {format_quantity(float(offset[worst]), 'V')}, at {names[worst]}"
    advice = f"more than {format_quantity(allowed, 'V')} with all inputs at 0 V: run hwlearn calibrate"
    return _judged(check, abs(offset[worst]) <= allowed, found, advice)


def _superposition(network: Network, rng: np.random.Generator) -> Iterator[Check]:
    """Compare the outputs for the sum of two input patterns, and for half of one, with those for each."""
    if network.topology.elements is not None:
        yield Check("superposition", "not applicable", _OHMIC_ONLY)
        return
    if network.direct_levels == 0:
        yield Check("superposition", "not applicable", "this bench gives all inputs one voltage")
        return
    a, b = _two_patterns(network, rng)
    read = network.measure(np.repeat([a, b, a + b, 0 * a, 0.5 * a], REPEATS, axis=0))
    V = read.voltages.reshape(5, REPEATS, -1)
    mean = V.mean(axis=1)
    sums, halves = mean[2] + mean[3] - mean[0] - mean[1], 2 * mean[4] - mean[0] - mean[3]
    error = float(np.abs([sums, halves]).max())
    # means contribute with squared weights 1 + 1 + 1 + 1 and 4 + 1 + 1; the steps of converters at inputs and
    # outputs add up to two of each
    spread = max(read.voltage_sigma, float(V.std(axis=1, ddof=1).max()))
    rounding = ROUNDING * network.limits.voltage
    steps = 2 * (network.resolution + (network.dac_step_V or 0.0))
    allowed = _SIGMAS * math.sqrt(6) * spread / math.sqrt(REPEATS) + steps + rounding
    found = f"error {format_quantity(error, 'V')}, noise explains {format_quantity(allowed, 'V')}"
    advice = "an element is not ohmic, or a source does not hold its voltage"
    network.keep_superposition(error <= allowed, found)
    yield _judged("superposition", error <= allowed, found, advice)


def _reciprocity(network: Network, rng: np.random.Generator) -> Iterator[Check]:
    """Compare the current at output o for a voltage at input i with the current at i for this voltage at o."""
    top = network.topology
    if top.elements is not None:
        yield Check("reciprocity", "not applicable", _OHMIC_ONLY)
        return
    if "clamp" not in network.nudges:
        yield Check("reciprocity", "not applicable", "needs outputs that can be clamped")
        return
    # four terminals of each kind find most swapped cables and are quick on slow instruments
    inputs = rng.permutation(top.n_inputs)[:4]
    outputs = rng.permutation(top.n_outputs)[:4]
    step = _clamp_step(network)
    forward, backward = _zeros(network, len(inputs)), _zeros(network, len(outputs))
    forward[0][np.arange(len(inputs)), inputs] = step
    backward[1][np.arange(len(outputs)), outputs] = step
    into_outputs = _currents(network, *forward, lambda readout: readout.output_currents)
    into_inputs = _currents(network, *backward, lambda readout: readout.source_currents)
    if into_outputs is None or into_inputs is None:
        yield Check("reciprocity", "not applicable", "this bench does not measure the currents of its sources")
        return
    there, back = into_outputs[:, :, outputs], into_inputs[:, :, inputs].swapaxes(1, 2)
    mean, other = there.mean(axis=0), back.mean(axis=0)
    noise = np.hypot(there.std(axis=0, ddof=1), back.std(axis=0, ddof=1)) / np.sqrt(REPEATS)
    error = np.abs(mean - other)
    allowed = _SIGMAS * noise + _MAX_GAIN_DIFFERENCE * np.abs(mean)
    i, o = (int(k) for k in np.unravel_index(np.argmax(error - allowed), error.shape))
    a, b = top.names[top.inputs[inputs[i]]], top.names[top.outputs[outputs[o]]]
    volts = format_quantity(step, "V")
    found = (
        f"{volts} at {a} draws {format_quantity(-mean[i, o], 'A', 5)} from {b}, "
        f"and at {b} {format_quantity(-other[i, o], 'A', 5)} from {a}"
    )
    advice = f"check the wiring of {a} and {b}, or run hwlearn calibrate"
    yield _judged("reciprocity", error[i, o] <= allowed[i, o], found, advice)


def _bias(bench: Bench, network: Network) -> Iterator[Check]:
    """Compare the contrasts of nudged phases with the exact gradient, in the model; resistors have no bias."""
    if network.topology.elements is None:
        return
    trainer, data = bench.trainer(), bench.data
    rows = data.train[:_BIAS_SAMPLES]
    targets = make_targets(bench.file, data, trainer.cost, network.topology.n_outputs)[rows]
    inputs, outputs = data.inputs[rows], network.topology.outputs
    error = trainer.cost.error(trainer.model.solve(inputs)[:, outputs], targets)
    if not error.any():
        yield Check("bias of nudges", "not applicable", "no sample has an error at the initial values")
        return
    moves = [share * network.limits.nudge for share in (0.01, 0.1, 1.0)]
    found = nudge_bias(trainer.model, inputs, error, moves, symmetric=bench.file.train.symmetric)
    uphill = bench.file.train.rule == "gep" and min(one.cosine for one in found) <= 0
    advice = "nudged phases do not descend here: use rule = 'analytic', or a smaller nudge"
    yield _judged("bias of nudges", not uphill, bias_text(found), advice)


def _health(bench: Bench, network: Network) -> Iterator[Check]:
    """Measure one gradient as ``[train]`` describes it, and judge its health."""
    train, trainer = bench.file.train, bench.trainer()
    if train.rule == "spsa":
        yield Check("gradient health", "not applicable", "rule = 'spsa' compares costs, and nudges nothing")
        return
    model = trainer.model
    if not network.has_fixed_edges:
        middle = network.limits.ranges(network.topology).middle()
        model = model.with_values(network.program(middle).reached)
    rows = bench.data.train[:HEALTH_SAMPLES]
    targets = make_targets(bench.file, bench.data, trainer.cost, network.topology.n_outputs)[rows]
    request = GradientRequest(network, model, bench.data.inputs[rows], targets, trainer.cost)
    watch = HealthWatch(trainer.rule, replace(trainer.health, action="warn"))
    watch.add(request, trainer.rule.gradient(request), rows, 0, is_first=True)
    record = watch.record()
    advice = alarm_text(0, record).partition(": ")[2] if record["alarms"] else ""
    yield _judged("gradient health", not record["alarms"], health_text(record), advice)


def _saturation(network: Network, inputs: FloatArray) -> Iterator[Check]:
    """Measure the training inputs and count samples with readings at the end of the converter's range."""
    readout = network.measure(inputs)
    if readout.saturated is None:
        yield Check("saturation", "not applicable", "this bench does not report saturation")
        return
    lost = int(readout.saturated.any(axis=1).sum())
    largest = format_quantity(float(np.abs(readout.voltages).max()), "V")
    found = f"{lost} of {len(inputs)} training samples saturate; largest reading {largest}"
    advice = "reduce data.amplitude, or use a larger range of the converter"
    yield _judged("saturation", not lost, found, advice)


def _age(record: CalibrationRecord, most_days: float) -> Check:
    """Compare the age of the calibration record with the age that the bench file allows."""
    days = record.age().total_seconds() / 86400
    done = ", ".join(record.made) or "no step"
    found = f"{days:.1f} days old ({done})"
    advice = f"older than calibration.most_age_days = {most_days:g}: run hwlearn calibrate"
    return _judged("calibration age", not record.is_older_than(most_days), found, advice)


def _drift(network: Network, record: CalibrationRecord | None, seed: int) -> Iterator[Check]:
    """Compare the prediction error now with that at the verification of the calibration."""
    if record is None:
        return
    if record.verify is None:
        yield Check("calibration drift", "not applicable", "the calibration was not verified")
        return
    gain = np.ones(network.topology.n_edges) if record.edges is None else record.edges.gain
    now = verify(network, gain, configurations=1, patterns=REPEATS, seed=seed)
    was = max(record.verify.rms_V, now.noise_V)
    found = f"prediction error {format_quantity(now.rms_V, 'V')} rms, {format_quantity(was, 'V')} when calibrated"
    advice = "the bench has drifted: run hwlearn calibrate"
    yield _judged("calibration drift", now.rms_V <= _DRIFTED * was, found, advice)


def _judged(name: str, passed: bool, found: str, advice: str) -> Check:
    """Return a check that passed or failed; only a failure has the advice."""
    return Check(name, "pass", found) if passed else Check(name, "fail", found, advice)


def _currents(
    network: Network,
    inputs: FloatArray,
    clamps: FloatArray,
    currents_of: Callable[[Readout], FloatArray | None],
) -> FloatArray | None:
    """Return repeated currents (REPEATS, patterns, terminals) in amperes for inputs and clamps, without offsets.

    Both signs are measured: half their difference is free of offsets. None if they are not measured.
    """
    read = []
    for sign in (1, -1):
        x, drive = np.tile(sign * inputs, (REPEATS, 1)), OutputDrive.clamp(np.tile(sign * clamps, (REPEATS, 1)))
        currents = currents_of(network.measure(x, drive))
        if currents is None:
            return None
        read.append(currents.reshape(REPEATS, len(inputs), -1))
    return np.asarray(0.5 * (read[0] - read[1]))


def _clamp_step(network: Network) -> float:
    """Return a voltage at one terminal, with all others at 0 V, that is well within every limit."""
    limits, top = network.limits, network.topology
    most = limits.current / float(terminal_conductances(top, limits.conductance[1]).max())
    return 0.5 * min(limits.voltage, 0.5 * limits.drop, limits.nudge, most)


def _zeros(network: Network, patterns: int) -> tuple[FloatArray, FloatArray]:
    """Return input volts (patterns, n_in) and clamp volts (patterns, n_out), all zero."""
    top = network.topology
    return np.zeros((patterns, top.n_inputs)), np.zeros((patterns, top.n_outputs))


def _pattern(network: Network, rng: np.random.Generator) -> FloatArray:
    """Return random input volts (n_in,); the sum of two such patterns stays within the limits.

    They are round numbers, which sources with decimal steps set exactly. Rounding by a source would look like an
    error of the network. On a bench that has few voltages at a time, each input has the largest one or 0 V.
    """
    step, steps = _round_steps(network)
    n_in = network.topology.n_inputs
    if network.direct_levels is None:
        return np.asarray(step * rng.integers(-steps, steps + 1, n_in))
    return step * steps * np.asarray(rng.permutation(n_in) % 2 == 0, dtype=np.float64)


def _two_patterns(network: Network, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return two random input patterns; with few voltages at a time, on different inputs."""
    if network.direct_levels is None:
        return _pattern(network, rng), _pattern(network, rng)
    step, steps = _round_steps(network)
    third = rng.permutation(network.topology.n_inputs) % 3
    a, b = (np.asarray(third == k, dtype=np.float64) for k in range(2))
    return step * steps * a, step * steps * b


def _round_steps(network: Network) -> tuple[float, int]:
    """Return a round voltage, and how many of them half of the limits allow."""
    size = 0.5 * min(network.limits.voltage, 0.5 * network.limits.drop)
    step = float(10.0 ** np.floor(np.log10(size / 10)))
    return step, int(size / step)
