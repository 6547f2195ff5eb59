"""Cost of the gradient of a layered network: ``python tests/benchmarks/layers_cost.py``.

By default 1568-1024-10 nodes with ideal diodes at the hidden ones and 64 samples, on one core. Times are the least
processor time of several runs; the peak is that of the whole process, imports and topology included.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable

# one core, before NumPy is loaded
for threads in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402

from hwlearn import Kirchhoff, Topology  # noqa: E402
from hwlearn.circuit.elements import IdealDiode  # noqa: E402


def least(run: Callable[[], object], repeats: int = 5) -> float:
    """Return the least processor seconds of several runs."""
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        seconds.append(time.process_time() - begin)
    return min(seconds)


def costs(sizes: list[int], samples: int) -> dict[str, float]:
    """Return processor seconds of each operation, and the largest relative error of the gradient."""
    begin = time.process_time()
    topology = Topology.layered(sizes, rectifier=IdealDiode())
    found = {"topology": time.process_time() - begin}
    rng = np.random.default_rng(0)
    circuit = Kirchhoff(topology, rng.uniform(1e-6, 1e-4, topology.n_edges))
    x, e = rng.uniform(-1, 1, (samples, sizes[0])), rng.normal(size=(samples, sizes[-1]))
    found["first solution and gradient"] = least(lambda: circuit.gradient(x, e), 1)
    V = circuit.solve(x)
    other = circuit.conductances * 1.01
    found["solve"] = least(lambda: circuit.solve(x))
    found["with_conductances and solve"] = least(lambda: circuit.with_conductances(other).solve(x))
    found["gradient after solve"] = least(lambda: circuit.gradient(x, e))
    found["with_conductances and gradient"] = least(lambda: circuit.with_conductances(other).gradient(x, e))
    found["gradient at known voltages"] = least(lambda: circuit.gradient_at(V, e))
    found["contrast"] = least(lambda: circuit.contrast(V, 0.9 * V, np.ones(samples)))
    found["power"] = least(lambda: circuit.power(V))
    found["node currents"] = least(lambda: circuit.node_currents(V))
    some = rng.choice(topology.n_edges, min(2000, topology.n_edges), replace=False)
    lam, (a, b) = circuit.adjoint(e, V), topology.edges[some].T
    expected = -np.einsum("se,se->e", lam[:, a] - lam[:, b], V[:, a] - V[:, b]) / samples
    found["error"] = float(np.abs(circuit.gradient(x, e)[some] - expected).max() / np.abs(expected).max())
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1568, 1024, 10], help="nodes of each layer")
    parser.add_argument("--samples", type=int, default=64)
    options = parser.parse_args()
    found = costs(options.sizes, options.samples)
    error = found.pop("error")
    for name, seconds in found.items():
        print(f"{name}: {1e3 * seconds:.1f} ms")
    solve = found["solve"]
    print(f"gradient at known voltages / solve: {found['gradient at known voltages'] / solve:.2f}")
    print(f"gradient after solve / solve: {found['gradient after solve'] / solve:.2f}")
    print(f"error of the gradient against drops: {error:.1e} of the largest")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
