"""Trained transistor networks, all samples in one step: ``python tests/benchmarks/transistor_training.py``.

Prints processor time of one thread for each sample: operating points from a cold start, from the circuit before
(`Kirchhoff.with_warm_starts`) after all gates have moved by about 10 mV, and the exact gradient at a solved point.
"digits" is the full 64 x 20 network of the published device, body at the drain, for 1,437 samples; "ionosphere"
the full 34-5-2 one with floating bodies and gates against the drain, for 280. ``--plain`` measures without numba.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

import hwlearn as hl

sys.path.append(str(Path(__file__).parent.parent / "circuit"))
from transistor_circuits import DEVICE


def digits() -> hl.Topology:
    """Return 64 inputs, each joined to 20 outputs."""
    edges = [(k, 64 + j) for k in range(64) for j in range(20)]
    return hl.Topology(84, edges, range(64), range(64, 84), elements=replace(DEVICE, body="drain"))


def ionosphere() -> hl.Topology:
    """Return 34 inputs, 5 hidden nodes and 2 outputs."""
    edges = [(k, 34 + j) for k in range(34) for j in range(5)]
    edges += [(34 + j, 39 + k) for j in range(5) for k in range(2)]
    device = replace(DEVICE, body="floating", gate="drain")
    return hl.Topology(41, edges, range(34), [39, 40], elements=device)


def spent(work: Callable[..., object], *arguments: ArrayLike) -> float:
    """Return the processor time of a call in seconds."""
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def measure(name: str, top: hl.Topology, samples: int, low: float, plain: bool) -> None:
    """Print the row of one network."""
    rng = np.random.default_rng(0)
    gates, x = rng.uniform(1.5, 5.0, top.n_edges), rng.uniform(low, -low or 1.0, (samples, top.n_inputs))
    e = rng.standard_normal((samples, top.n_outputs))
    model = hl.Kirchhoff(top, gates)
    if plain:
        model = model.with_history({})
    model.gradient(x[:8], e[:8])  # loads compiled functions
    found = []
    for _ in range(3):
        model = model.with_conductances(gates + 0.01 * rng.standard_normal(top.n_edges)).with_warm_starts()
        cold, cost = spent(model.solve, x), spent(model.gradient, x, e)
        moved = model.with_conductances(model.values + 0.01 * rng.standard_normal(top.n_edges))
        found.append((cold, spent(moved.solve, x), cost))
    best = 1e6 * np.min(found, axis=0) / samples
    print(
        f"{name}, {top.n_edges} transistors, {samples} samples: cold {best[0]:.0f} us, from the circuit before "
        f"{best[1]:.0f} us, gradient {best[2]:.0f} us for each sample",
        flush=True,
    )


def main() -> None:
    """Measure both networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plain", action="store_true", help="without functions compiled by numba")
    plain = parser.parse_args().plain
    measure("digits", digits(), 200 if plain else 1437, 0.0, plain)
    measure("ionosphere", ionosphere(), 280, -0.8, plain)


if __name__ == "__main__":
    main()
