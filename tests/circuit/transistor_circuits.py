"""Circuits of transistors that several tests share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC, Mosfet, Shockley, Sinh, ThreeTerminal

DEVICE = Mosfet(
    vto=0.75,
    kp=6.2496e-5,
    gamma=1.09,
    phi=0.94995,
    lambda_=0.19998,
    l=7.8e-6,
    w=138e-6,
    rsh=73.213,
    nrd=0.3,
    nrs=1.0,
)
"""The published device of learning transistor networks."""

BODIES = ("ground", "drain", "source", "floating")
GATES = ("ground", "drain", "source")


def between_sources(device: Mosfet, count: int) -> hl.Topology:
    """Return transistors that are not connected to each other, each between two inputs; one more has an output."""
    edges = [(2 * k + 1, 2 * k + 2) for k in range(count)]
    n = 2 * count + 2
    return hl.Topology(n, [*edges, (0, n - 1)], range(1, n - 1), [n - 1], ground=0, elements=device)


def mixed(rng: np.random.Generator, share: float = 0.7) -> tuple[hl.Topology, np.ndarray]:
    """Return a random network of transistors of all kinds, resistors, sinh elements and diodes, and its values."""
    n = int(rng.integers(5, 12))
    edges = min(int(rng.integers(n + 2, 3 * n)), n * (n - 1) // 2)
    base = hl.Topology.random(n, edges, inputs=2, outputs=2, ground=0, seed=int(rng.integers(1 << 30)))
    others = (OHMIC, Sinh(0.2), Shockley(0.03))
    elements = [
        replace(DEVICE, body=str(rng.choice(BODIES)), gate=str(rng.choice(GATES)))
        if rng.random() < share
        else others[rng.integers(3)]
        for _ in range(base.n_edges)
    ]
    values = [
        rng.uniform(1, 6) if isinstance(one, ThreeTerminal) else 10 ** rng.uniform(-5, -3) for one in elements
    ]
    return base.with_elements(elements), np.array(values)


def gradient_error(top: hl.Topology, values: np.ndarray, rng: np.random.Generator) -> float:
    """Return the largest error of the gradient against central differences, relative to its largest entry."""
    x, e = rng.uniform(-0.5, 1.0, (3, 2)), rng.standard_normal((3, 2))
    exact = hl.Kirchhoff(top, values).gradient(x, e)
    numeric = np.zeros_like(exact)
    for k, element in enumerate(top.edge_elements):
        step = np.zeros_like(values)
        step[k] = 1e-5 if isinstance(element, ThreeTerminal) else 1e-4 * values[k]
        up, down = (hl.Kirchhoff(top, values + sign * step).solve(x)[:, top.outputs] for sign in (1, -1))
        numeric[k] = np.mean(np.sum(e * (up - down), axis=1)) / (2 * step[k])
    return float(np.abs(numeric - exact).max() / np.abs(exact).max())
