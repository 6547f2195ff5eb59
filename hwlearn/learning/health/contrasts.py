"""Figures of health that come from contrasts: scale invariance, agreement with the model, and of both signs.

With drops D, conductances g and contrasts G: multiplying all conductances by one number moves no output of a
network whose inputs are voltage sources, so that ``sum_k g_k G_k = 0`` over all edges. The same holds for elements
whose current is ``theta f(D)``, with thetas in the place of conductances and the contrast of their co-content. An
error ``e_k`` of each device, independent and of standard deviation d, changes the sum by ``sum_k e_k g_k G_k``.
A reading that is off by ``dV`` changes it by ``w I dV``, where I is the current of the model into that node.
"""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements.element import Proportional
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.learning.health.figure import GAIN, NOT_APPLICABLE, NOT_MEASURED, OFFSET_V, SIGMAS, Figure, hypot
from hwlearn.learning.health.sample import HealthSample, both_sides
from hwlearn.learning.rules.gep import contrast_of_edges

AGREEMENT, CONTRAST_ERROR, SCALE = "contrast_agreement", "contrast_error", "scale_invariance"
ONE_SIDED, ONE_SIDED_ERROR = "one_sided_agreement", "one_sided_error"


def scale_figures(sample: HealthSample) -> list[Figure]:
    """Return ``|sum g G| / (|g| |G|)`` over all edges, fixed ones included."""
    if not has_scale_invariance(sample.top) or not sample.bench.has_model:
        return Figure.missing(SCALE)
    if sample.rule.readout == "edges":
        if len(sample.top.all_edges) > sample.top.n_edges:
            return Figure.missing(SCALE)
        G = sample.weights @ contrast_of_edges(sample.phases, sample.top.n_edges)
        return [Figure(SCALE, _share(sample.model.all_values, G))]
    high, low = sample.voltages
    g = sample.model.all_values
    G = _all_edges(sample.model).contrast(high, low, sample.weights)
    size = float(np.linalg.norm(g) * np.linalg.norm(G))
    if not size:
        return Figure.missing(SCALE, reason=NOT_MEASURED)
    whole = sample.rule.readout == "nodes"
    currents = [(sample.model.node_currents if whole else sample.model.output_currents)(V) for V in (high, low)]
    volts = [V if whole else V[:, sample.top.outputs] for V in (high, low)]
    w = sample.weights[:, None]
    explained = hypot(
        sample.bench.device_error * float(np.linalg.norm(g * G)),
        sample.sigma_V * float(np.sqrt((w**2 * (currents[0] ** 2 + currents[1] ** 2)).sum())),
        # the setpoints of both phases share the noise of one reading of the free phase
        sample.sigma_V * float(np.sqrt((w**2 * (currents[0] - currents[1]) ** 2).sum())),
    )
    # errors of converters are the same in all samples and add up
    offset = OFFSET_V * np.abs((w * (currents[0] - currents[1])).sum(axis=0)).sum()
    gain = GAIN * np.abs((w * (currents[0] * volts[0] - currents[1] * volts[1])).sum(axis=0)).sum()
    return [Figure(SCALE, _share(g, G), float(SIGMAS * explained + offset + gain) / size)]


def has_scale_invariance(topology: Topology) -> bool:
    """Return whether one factor on all values moves no voltage: resistors, and elements ``theta f(v)``."""
    if topology.elements is None:
        return True
    return all(isinstance(kind, Proportional) for kind in topology.elements.kinds)


def agreement_figures(sample: HealthSample) -> list[Figure]:
    """Compare the measured contrast with the one that the model predicts for the same drives."""
    if sample.rule.nudged == "computed":
        return Figure.missing(AGREEMENT, CONTRAST_ERROR)
    if sample.rule.readout == "edges":
        found = sample.weights @ contrast_of_edges(sample.phases, sample.top.n_edges)
    else:
        found = sample.contrast
    found, predicted = sample.units * found, sample.units * sample.predicted
    size = float(np.linalg.norm(predicted))
    if not size:
        return Figure.missing(AGREEMENT, CONTRAST_ERROR, reason=NOT_MEASURED)
    error = float(np.linalg.norm(found - predicted)) / size
    if sample.rule.readout == "edges":  # the offsets of circuits at the edges are not stated
        return [Figure(AGREEMENT, cosine(found, predicted)), Figure(CONTRAST_ERROR, error)]
    noise = sample.noise(*sample.voltages, sample.weights) / size
    devices = sample.bench.device_error * _participation(sample)
    limit = SIGMAS * hypot(noise, devices) + 2 * GAIN
    return [Figure(AGREEMENT, cosine(found, predicted)), Figure(CONTRAST_ERROR, error, limit)]


def one_sided_figures(sample: HealthSample, is_used: bool) -> list[Figure]:
    """Compare the contrast of one sign of the nudge with that of both.

    Parameters
    ----------
    sample : HealthSample
        With phases of both signs.
    is_used : bool
        Whether the rule uses one sign; else the comparison has no limit.
    """
    if both_sides(sample.phases) is None or sample.rule.readout == "edges":
        return Figure.missing(ONE_SIDED, ONE_SIDED_ERROR, reason=NOT_MEASURED if is_used else NOT_APPLICABLE)
    one = sample.one_sided()
    both, single = sample.units * sample.contrast, sample.units * one.contrast
    size = float(np.linalg.norm(both))
    if not size:
        return Figure.missing(ONE_SIDED, ONE_SIDED_ERROR, reason=NOT_MEASURED)
    error = float(np.linalg.norm(single - both)) / size
    limit = None
    if is_used:
        limit = hypot(SIGMAS * one.noise(*one.voltages, one.weights) / size, sample.bench.device_error)
    return [Figure(ONE_SIDED, cosine(single, both)), Figure(ONE_SIDED_ERROR, error, limit)]


def bias_of(found: list[Figure], sample: HealthSample) -> float:
    """Return a lower estimate of the length of the bias over that of the gradient, from the figures of contrasts.

    What the noise of the readings explains is taken off.
    """
    size = float(np.linalg.norm(sample.units * sample.predicted))
    noise = SIGMAS * sample.noise(*sample.voltages, sample.weights) / size if size else 0.0
    errors = [each.value for each in found if each.limit is not None and isinstance(each.value, float)]
    return float(np.sqrt(max(0.0, max((error**2 - noise**2 for error in errors), default=0.0))))


def cosine(a: FloatArray, b: FloatArray) -> float:
    """Return the cosine between two vectors; 0 if one is zero."""
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else 0.0


def _share(g: FloatArray, G: FloatArray) -> float:
    return abs(cosine(g, G))


def _participation(sample: HealthSample) -> float:
    """Return by how much of a device's relative error the response to a nudge is off, rms over the samples.

    The energy of the displacement d is ``sum g d^2``. Independent errors of the devices change it, relative, by
    their standard deviation times this number, which is 1 if a single device carries all of it.
    """
    high, low = sample.voltages
    moved = sample.model.drops(high - low)
    slopes = sample.model.values if sample.is_ohmic else np.ones(sample.top.n_edges)
    energy = slopes * moved**2
    total = energy.sum(axis=1)
    used = total > 0
    if not used.any():
        return 1.0
    return float(np.sqrt(((energy[used] ** 2).sum(axis=1) / total[used] ** 2).mean()))


def _all_edges(model: Kirchhoff) -> Kirchhoff:
    """Return the same circuit with its fixed edges among the others, for their contrasts."""
    top = model.topology
    if len(top.all_edges) == top.n_edges:
        return model
    elements = None if top.elements is None else [*top.edge_elements, *top.fixed_edge_elements]
    whole = Topology(top.n_nodes, top.all_edges, top.inputs, top.outputs, top.ground, elements=elements)
    return Kirchhoff(whole, model.all_values, allow_open=model.allow_open)
