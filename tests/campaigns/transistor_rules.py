"""Campaign: learning rules on a network of transistors with mismatch and read noise, in the loop and not.

A grid is trained by each rule on chips. The targets are the outputs of the declared circuit with other gate
voltages, so an error near zero can be achieved. Errors are true ones, rms over patterns and outputs, after the
last step. The settings were chosen on seeds 0 to 2::

    python tests/campaigns/transistor_rules.py --seeds 6 --first 100
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "circuit"))

from transistor_circuits import DEVICE

import hwlearn as hl
from hwlearn_sim import Imperfections, KirchhoffTwin

LIMITS = hl.Limits(1.0, 2.0, 0.2, 0.1, values={"gate voltage": ("0.4 V", "8 V")})
CHIP = {"vto": 10e-3, "kp": 5e-3}
STEPS = 200

RULES = {
    "model alone, then programmed": (hl.Analytic(), "outputs"),
    "exact gradient": (hl.Analytic(), "outputs"),
    "EP, outputs only": (hl.EquilibriumPropagation(), "outputs"),
    "EP, every node read": (hl.EquilibriumPropagation(readout="nodes"), "nodes"),
    "CL symmetric, outputs only": (hl.CoupledLearning(), "outputs"),
    "CL one-sided, outputs only": (hl.CoupledLearning(0.5, symmetric=False), "outputs"),
    "CL one-sided, every node read": (hl.CoupledLearning(0.5, symmetric=False, readout="nodes"), "nodes"),
    "CL, nudged phases computed": (hl.CoupledLearning(nudged="computed"), "outputs"),
}


def grid(side: int) -> hl.Topology:
    """Return a square lattice with inputs on the left, two outputs on the right, and a grounded corner."""
    inputs, outputs = [0, (side - 1) * side], [2 * side - 1, side * side - 2]
    lattice = hl.Topology.grid(side, side, inputs=inputs, outputs=outputs, ground=side - 1)
    return lattice.with_elements(DEVICE)


def trained(seed: int, name: str, read_noise_V: float, mismatch: float = 1.0) -> float:
    """Return the true rms error in volts after a training of a chip by a rule."""
    rule, readout = RULES[name]
    rng = np.random.default_rng([seed, 1])
    top = grid(5)
    ranges = LIMITS.ranges(top)
    x = rng.uniform(0.0, 0.5, (8, 2))
    targets = hl.Kirchhoff(top, ranges.at(rng.uniform(0.2, 0.8, top.n_edges), False)).solve(x)[:, top.outputs]
    spread = {parameter: mismatch * value for parameter, value in CHIP.items()}
    chip = Imperfections(device_spread=spread, read_noise_V=read_noise_V, current_noise_A=1e-8)
    twin = KirchhoffTwin(top, LIMITS, chip, seed=seed, node_readout=readout == "nodes")
    trained_on = KirchhoffTwin(top, LIMITS) if name.startswith("model alone") else twin
    with twin, trained_on:
        trainer = hl.Trainer(trained_on, rule, hl.MSE(), hl.Adam(0.02))
        history = trainer.fit(x, targets, hl.Schedule(STEPS, anneal=0.02))
        if trained_on is not twin:
            twin.program(history.values)
        outputs = twin.true_outputs(x)
    assert outputs is not None
    return float(np.sqrt(np.mean((outputs - targets) ** 2)))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--noise", type=float, nargs="*", default=[1e-3, 5e-3], help="read noise in volts")
    parser.add_argument("--mismatch", type=float, default=1.0, help="factor on 10 mV and 0.5 %%")
    chosen = parser.parse_args()
    for noise in chosen.noise:
        chip = f"{10 * chosen.mismatch:g} mV and {0.5 * chosen.mismatch:g} %"
        print(f"true rms error in mV after {STEPS} steps, chips of {chip}, read noise {1e3 * noise:g} mV")
        for name in RULES:
            start = time.perf_counter()
            errors = [1e3 * trained(chosen.first + k, name, noise, chosen.mismatch) for k in range(chosen.seeds)]
            seconds = (time.perf_counter() - start) / chosen.seeds
            each = ", ".join(f"{error:.2f}" for error in errors)
            print(f"  {name:32} {np.mean(errors):6.2f}   ({each})   {seconds:.1f} s each", flush=True)


if __name__ == "__main__":
    main()
