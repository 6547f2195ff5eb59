"""Campaign: the analog plane against 50-digit arithmetic, on circuits with nonlinear elements and limited sources.

Every trial is another circuit of 3 to 60 nodes with sources of all kinds at some of its nodes, several at one node
among them, and with random limits, so that many sources are in compliance. The plane's claim of which limits are
active is checked exactly, and its voltages and currents are compared with the exact ones (`exact_circuit`).

"volts" and "amperes" are the largest errors relative to the largest voltage of a node (at least 1 fV) and current
of a channel. "reading" is the largest error of a current relative to itself, with 1e-12 of the largest current
allowed. An error of 1e-19 A, less than one electron a second, counts as none. "refused" are circuits that the
plane refuses because double precision cannot solve them; that must not happen where every node has a resistor::

    python tests/campaigns/plane_laws.py --count 100
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from campaign import Campaign, at_most, none, shown
from exact_circuit import exact

from hwlearn.circuit.elements import OHMIC, Custom, Element, IdealDiode, Shockley, Sinh
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ConvergenceError
from hwlearn_sim.plane.plane import AnalogPlane, AttachedChannel
from hwlearn_sim.plane.sources import CurrentSource, Open, Source, VoltageSource

CUBIC = Custom(lambda v, t: t * (v + v**3), lambda v, t: t * (1 + 3 * v**2), lambda v, t: v + v**3, name="cubic")
LEAST_A, LEAST_V = 1e-19, 1e-15
Circuit = tuple[Topology, np.ndarray]
Rng = np.random.Generator


def _graph(rng: Rng, most: int = 60) -> tuple[int, list[tuple[int, int]]]:
    n = int(np.exp(rng.uniform(np.log(3), np.log(most + 1))))
    tree = [(int(rng.integers(k)), k) for k in range(1, n)]
    extra = [tuple(int(v) for v in rng.choice(n, 2, replace=False)) for _ in range(int(rng.integers(0, n + 1)))]
    pairs = [pair if rng.random() < 0.5 else pair[::-1] for pair in [*tree, *extra]]
    return n, [(int(a), int(b)) for a, b in pairs]


def _theta(element: Element, rng: Rng, wide: bool = False) -> float:
    if isinstance(element, Shockley):
        return element.theta(10 ** (rng.uniform(-18, -5) if wide else rng.uniform(-15, -8)))
    return float(10 ** (rng.uniform(-9, -1) if wide else rng.uniform(-6, -3)))


def _circuit(
    elements: Callable[[Rng], Element], share: float, shunted: bool, wide: bool = False
) -> Callable[[Rng], Circuit]:
    """Return a maker of circuits; ``share`` of the edges are nonlinear, and each node may have a resistor.

    ``wide`` circuits have conductances of eight decades, and saturation currents of thirteen.
    """

    def made(rng: Rng) -> Circuit:
        n, pairs = _graph(rng)
        kinds = [elements(rng) if rng.random() < share else OHMIC for _ in pairs]
        grounded = rng.random() < 0.8
        if shunted and grounded:
            pairs += [(0, k) for k in range(1, n)]
            kinds += [OHMIC] * (n - 1)
        theta = np.array([_theta(kind, rng, wide) for kind in kinds])
        top = Topology(n, pairs, [1], [2], 0 if grounded else None, elements=kinds)
        return top, theta

    return made


def _diode(rng: Rng) -> Element:
    return Shockley(float(rng.uniform(0.025, 0.06)))


def _ideal(rng: Rng) -> Element:
    return IdealDiode(float(rng.choice([0.0, 0.3, 0.7])), float(10 ** rng.uniform(-9, -3)))


def _sinh(rng: Rng) -> Element:
    return Sinh(float(rng.uniform(0.05, 0.5)))


def _any(rng: Rng) -> Element:
    return (_diode, _ideal, _sinh, lambda rng: CUBIC)[rng.integers(4)](rng)


def _wired(rng: Rng) -> Circuit:
    """Return a crossbar with resistance of its lines; its devices are nonlinear."""
    rows, columns = int(rng.integers(2, 6)), int(rng.integers(1, 6))
    ohms = float(10 ** rng.uniform(-1, 2))
    top = Topology.crossbar(rows, columns, wire_resistance=(ohms, ohms * float(rng.uniform(0.5, 2))))
    kinds = [(_sinh, _diode)[rng.integers(2)](rng) if rng.random() < 0.8 else OHMIC for _ in range(top.n_edges)]
    return top.with_elements(kinds), np.array([_theta(kind, rng) for kind in kinds])


def _random_source(rng: Rng) -> Source:
    kind = rng.integers(6)
    if kind < 2:
        return VoltageSource(float(rng.uniform(-2, 2)), float(10 ** rng.uniform(-7, -1)))
    if kind < 4:
        amps = float(rng.choice([-1, 1]) * 10 ** rng.uniform(-9, -2))
        return CurrentSource(amps, float(10 ** rng.uniform(-1, 1)))
    return (CurrentSource(0.0, 40.0), Open())[kind - 4]


def _wide_source(rng: Rng) -> Source:
    """Return a source within 1 mV to 200 V and 1 pA to 1 A."""
    volts, amps = float(10 ** rng.uniform(-3, 2.3)), float(10 ** rng.uniform(-12, 0))
    sign = float(rng.choice([-1, 1]))
    return (
        VoltageSource(sign * volts, amps),
        CurrentSource(sign * amps, volts),
        CurrentSource(0.0, 40.0),
        Open(),
    )[int(rng.choice(4, p=[0.35, 0.35, 0.15, 0.15]))]


def _without_sinh(rng: Rng) -> Element:
    return (_diode, _ideal, lambda rng: CUBIC)[rng.integers(3)](rng)


def _idle_source(rng: Rng) -> Source:
    """Return an output that is off, or on with 0 V or 0 A."""
    return (
        VoltageSource(0.0, float(10 ** rng.uniform(-9, -3))),
        CurrentSource(0.0, float(10 ** rng.uniform(-1, 1.6))),
        Open(),
    )[rng.integers(3)]


def _round_source(rng: Rng) -> Source:
    """Return a source with round values: in circuits of equal elements, many are exactly at their limits."""
    level = float(rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0]))
    if rng.random() < 0.6:
        return VoltageSource(level, float(rng.choice([2.5e-4, 5e-4, 1e-3, 2e-3])))
    return CurrentSource(level * 1e-3, float(rng.choice([0.25, 0.5, 1.0])))


def _round(rng: Rng) -> Circuit:
    n, pairs = _graph(rng, 12)
    kinds: list[Element] = [(IdealDiode(0.5, 0.5), CUBIC, OHMIC)[rng.integers(3)] for _ in pairs]
    top = Topology(n, pairs, [1], [2], 0 if rng.random() < 0.7 else None, elements=kinds)
    return top, np.full(len(pairs), 1e-3)


CASES: dict[str, tuple[Callable[[Rng], Circuit], Callable[[Rng], Source], float]] = {
    "diodes": (_circuit(_diode, 0.5, True), _random_source, 0.5),
    "sinh": (_circuit(_sinh, 0.8, False), _random_source, 0.5),
    "ideal diodes": (_circuit(_ideal, 0.6, True), _random_source, 0.5),
    "all kinds": (_circuit(_any, 0.7, True), _random_source, 0.5),
    "few sources": (_circuit(_any, 0.5, True), _random_source, 0.0),
    "sources everywhere": (_circuit(_any, 1.0, False), _random_source, 1.0),
    "all off": (_circuit(_any, 0.7, True), _idle_source, 0.5),
    "exact limits": (_round, _round_source, 0.6),
    "wires": (_wired, _random_source, 1.0),
    "wide ranges": (_circuit(_without_sinh, 0.7, True, wide=True), _wide_source, 0.5),
    "blocking diodes": (_circuit(_diode, 1.0, False), _random_source, 0.5),
}
"""Maker of the circuit, maker of its sources, share of the nodes with sources."""

MAY_REFUSE = {"blocking diodes", "sources everywhere", "wires"}
"""Here, and without ground, a node can be connected through blocking diodes only."""


def plane_of(case: str, rng: Rng) -> tuple[AnalogPlane, np.ndarray]:
    """Return a random plane with its sources, and its thetas (E + F,)."""
    circuit, source, share = CASES[case]
    top, theta = circuit(rng)
    plane = AnalogPlane(top, theta)
    if top.fixed_edges.size:
        nodes: Sequence[int] = [*top.inputs.tolist(), *top.outputs.tolist()]
    else:
        nodes = [k for k in range(1, top.n_nodes) if rng.random() < share] or [1, 2]
    shared = [int(node) for node in rng.choice(nodes, 2)] if rng.random() < 0.3 else []
    for node in [*nodes, *shared]:
        plane.drive(plane.attach(node), source(rng))
    return plane, np.concatenate([theta, top.fixed_conductances])


def trial(case: str, rng: Rng) -> Mapping[str, float]:
    """Return the errors of one random circuit."""
    plane, thetas = plane_of(case, rng)
    try:
        volts, channels = plane.node_voltages(), plane.channels()
    except ConvergenceError:
        wrongly = case not in MAY_REFUSE and plane.topology.ground is not None
        return {**dict.fromkeys(CAMPAIGN.columns, 0.0), "refused": 1.0, "refused wrongly": float(wrongly)}
    found = exact(plane.topology, thetas.tolist(), channels, volts.tolist())
    off = max((abs(float(true) - volts[node]) for node, true in found.volts.items()), default=0.0)
    errors, largest = _current_errors(channels, {node: float(true) for node, true in found.amperes.items()})
    floor = 1e-12 * largest
    return {
        "volts": off / max(float(np.abs(volts).max()), LEAST_V),
        "amperes": max((error for error, _ in errors), default=0.0) / max(largest, LEAST_A),
        "reading": max((max(error - floor, 0.0) / size for error, size in errors if size), default=0.0),
        "broken": len(found.broken),
        "limited": sum(channel.operating_point.limited for channel in channels),
        "sources": len(channels),
        "refused": 0,
        "refused wrongly": 0,
    }


def _current_errors(
    channels: Sequence[AttachedChannel], true: Mapping[int, float]
) -> tuple[list[tuple[float, float]], float]:
    """Return error and true current of each terminal, and the largest current of a channel.

    Several sources at one terminal may deliver large currents of which little remains: only their rounding does.
    """
    errors, largest = [], 0.0
    for node, amps in true.items():
        each = [channel.operating_point.amperes for channel in channels if channel.node == node]
        largest = max(largest, *map(abs, each))
        rounding = 4 * float(np.finfo(float).eps) * sum(map(abs, each)) if len(each) > 1 else 0.0
        errors.append((max(abs(sum(each) - amps) - rounding - LEAST_A, 0.0), abs(amps)))
    return errors, largest


CAMPAIGN = Campaign(
    "plane_laws",
    trial,
    list(CASES),
    {
        "volts": at_most(1e-9),
        "amperes": at_most(1e-9),
        "reading": at_most(1e-9),
        "broken": none(),
        "limited": shown(),
        "sources": shown(),
        "refused": shown(),
        "refused wrongly": none(),
    },
    100,
)


if __name__ == "__main__":
    CAMPAIGN.main()
