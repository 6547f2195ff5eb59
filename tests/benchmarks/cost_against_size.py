"""Draw the cost of a solution against the number of edges: ``python tests/benchmarks/cost_against_size.py``.

Each size is solved with new conductances. The line is the best power law through all sizes.
"""

from __future__ import annotations

import argparse
import os

# one core, as in the table
for threads in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np  # noqa: E402
from ratios.growth import FAMILIES, exponent  # noqa: E402


def main() -> None:
    """Measure, print the exponents and draw."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="cost-against-size.png", help="the picture's file (%(default)s)")
    parser.add_argument("--most", type=float, default=1e6, help="edges of the largest circuits (%(default)g)")
    parser.add_argument("--points", type=int, default=7, help="sizes between 1000 edges and that (%(default)s)")
    options = parser.parse_args()
    sizes = np.geomspace(1e3, options.most, options.points).round().astype(int).tolist()
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for family, mark in zip(FAMILIES, "os", strict=True):
        edges, seconds = family.costs(sizes)
        power = exponent(edges, seconds)
        for n, s in zip(edges, seconds, strict=True):
            print(f"{family.name}: {int(n):9,} edges {s:10.4g} s")
        print(f"{family.name}: exponent {power:.3f} (required <= {family.most})")
        through = np.exp(np.log(seconds).mean() + power * (np.log(edges) - np.log(edges).mean()))
        (line,) = axes.loglog(edges, seconds, mark, label=f"{family.name}: exponent {power:.2f}")
        axes.loglog(edges, through, color=line.get_color(), linewidth=1)
    axes.set(
        xlabel="edges",
        ylabel="seconds of processor time a solution",
        title="Cost against size, new conductances each time",
    )
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend()
    figure.savefig(options.out, dpi=150)
    print(f"drawn: {options.out}")


if __name__ == "__main__":
    main()
