"""Digits on 128 rectifying hidden nodes: hwlearn against the public package energy-based-learning.

Give the path to a checkout of it (https://github.com/rain-neuromorphics/energy-based-learning)::

    python tests/campaigns/energy_based_learning.py ../energy-based-learning

Both train the same network by equilibrium propagation on the same 8 x 8 digits, on one thread: two layers of
non-negative conductances, and hidden nodes that diodes keep positive or negative. The package works in single
precision with a fixed number of sweeps; hwlearn finds each operating point to 1e-9. The exact gradient
is measured beside it. Only training counts, evaluation does not. torch is installed into a virtual environment
of this script (``--environment``), with the options of ``--pip`` for pip.

Both sides have the same cost: squared error, the only one of the package, or with ``--cost cross-entropy``, which
`resistive_peer.py` adds to the package. Both have Adam and an annealed rate. The package's own examples have plain
gradient descent with a rate that decays exponentially, with which it learns these digits more slowly::

    --peer '{"optimizer": "sgd", "schedule": "exponential", "decay": 0.99, "rate": 0.02, "epochs": 40}'

The settings of both sides were chosen on splits 100 to 102, which are not among the reported ones: `--seeds 100`,
``--peer`` and ``--ours`` try others. Both were offered noise on the training inputs; the better choice counts.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hwlearn.learning.costs import Cost

TARGET = 0.978
"""Test accuracy to which CPU seconds are counted."""

Settings = dict[str, Any]
PEER_COMMON: Settings = {"iterations": 4, "optimizer": "adam", "schedule": "cosine", "decay": 0.05, "jitter": 0.0}
OUR_COMMON: Settings = {"anneal": 0.05, "rectifier_siemens": 0.1}
PEER: dict[str, Settings] = {
    "squared": PEER_COMMON
    | {"batch": 16, "rate": 0.002, "epochs": 12, "gain": 30.0, "nudging": 1.0, "variant": "centered"}
    | {"temperature": 0.0},
    "cross-entropy": PEER_COMMON
    | {"batch": 64, "rate": 0.004, "epochs": 15, "gain": 100.0, "nudging": 0.25, "variant": "centered"}
    | {"temperature": 0.25},
}
OURS: dict[str, Settings] = {
    "squared": OUR_COMMON
    | {"batch": 16, "rate": 0.007, "epochs": 12, "strength": 1e-3, "target_V": 0.2, "jitter": 0.0},
    "cross-entropy": OUR_COMMON
    | {"batch": 64, "rate": 0.05, "epochs": 12, "strength": 1e-5, "temperature_V": 0.02, "jitter": 0.1},
}
HIDDEN = 128
PEER_EP, OUR_EP, OUR_EXACT = "energy-based-learning, EP", "hwlearn, EP", "hwlearn, exact gradient"
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}

Epochs = list[list[float]]
"""CPU seconds since the start, and accuracy on held-out rows, after each epoch."""


def main(arguments: list[str] | None = None) -> int:
    """Train both sides for each seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="folder of the package's source")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="splits and initial values")
    parser.add_argument("--environment", type=Path, help="folder of the virtual environment; kept if given")
    parser.add_argument("--pip", default="", help="further options of pip install")
    parser.add_argument("--cost", choices=tuple(OURS), default="squared", help="cost of both sides")
    parser.add_argument("--peer", type=json.loads, default={}, help="settings of the package as JSON")
    parser.add_argument("--ours", type=json.loads, default={}, help="settings of hwlearn as JSON")
    options = parser.parse_args(arguments)
    script = str(Path(__file__).with_name("resistive_peer.py"))
    checkout = {"checkout": str(options.checkout.resolve())}
    with tempfile.TemporaryDirectory() as scratch:
        python = str(torch_python(options.environment or Path(scratch) / "environment", options.pip))
        peer = PEER[options.cost] | options.peer | checkout
        ours = OURS[options.cost] | options.ours
        runs = {
            PEER_EP: ([python, script], peer),
            OUR_EP: ([sys.executable, __file__, "--train"], ours | {"rule": "ep"}),
            OUR_EXACT: ([sys.executable, __file__, "--train"], ours | {"rule": "analytic"}),
        }
        results: dict[str, list[Epochs]] = {name: [] for name in runs}
        for seed in options.seeds:
            data = Path(scratch) / f"digits-{seed}.npz"
            np.savez(data, **digits(seed))
            common = {"seed": seed, "data": str(data), "hidden": HIDDEN}
            for name, (command, settings) in runs.items():
                results[name].append(measured(command, settings | common))
            last = ", ".join(f"{name} {row[-1][-1][1]:.4f}" for name, row in results.items())
            print(f"seed {seed}: {last}", flush=True)
    return report(results)


def torch_python(folder: Path, pip_options: str) -> Path:
    """Return the Python of an environment with torch, which is made unless it is there."""
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        packages = [str(python), "-m", "pip", "install", "--quiet", *shlex.split(pip_options), "torch", "numpy"]
        subprocess.run(packages, check=True)
    return python


def digits(seed: int) -> dict[str, np.ndarray]:
    """Return pixels (0 to 1) and labels; a fifth of each digit is held out."""
    from hwlearn.lab.data.loading import split

    with np.load(str(resources.files("hwlearn.lab") / "datasets" / "digits.npz")) as stored:
        x, y = stored["inputs"] / 16.0, stored["labels"].astype(np.int64)
    train, test = split(y, True, 0.2, seed)
    return {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}


def measured(command: list[str], settings: Settings) -> Epochs:
    """Run one training in a process with one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    run = [*command, json.dumps(settings)]
    done = subprocess.run(run, capture_output=True, text=True, env=os.environ | threads, check=False)
    if done.returncode:
        raise SystemExit(f"{command[-1]} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def train(settings: Settings) -> Epochs:
    """Train hwlearn's network on an ideal twin."""
    import hwlearn as hl
    from hwlearn.circuit.elements import IdealDiode
    from hwlearn.lab.data import Jitter
    from hwlearn_sim import KirchhoffTwin

    with np.load(str(settings["data"])) as stored:
        data, seed = dict(stored), int(settings["seed"])
    siemens = float(settings["rectifier_siemens"])
    top = hl.Topology.layered(
        [130, int(settings["hidden"]), 10], rectifier=IdealDiode(), rectifier_siemens=siemens
    )
    low, high = 1e-6, 1e-4
    twin = KirchhoffTwin(
        top, hl.Limits(5.0, 10.0, 1.0, 1.0, (low, high)), node_readout=True, current_readout=False, seed=seed
    )
    x, held_out = (encoded(data[name]) for name in ("x_train", "x_test"))
    cost, y = cost_and_targets(settings, data["y_train"])
    share = float(settings["jitter"])
    ends = np.full(64, 4.0)
    vary = Jitter(2 * share * ends, -ends, ends, np.arange(64)) if share else None
    start = np.random.default_rng([seed, 1]).uniform(low, 0.3 * high, top.n_edges)
    nudge = hl.CurrentNudge(settings["strength"])
    rule = hl.Analytic() if settings["rule"] == "analytic" else hl.GEP(nudge, readout="nodes")
    optimizer = hl.Adam(float(settings["rate"]))
    trainer = hl.Trainer(twin, rule, cost, optimizer, model=hl.Kirchhoff(top, start), seed=seed, vary=vary)
    epochs: Epochs = []

    # as in the package, what is loaded once is not counted
    trainer.model.solve(x[:1])

    class Clock(hl.Callback):
        seconds, begin = 0.0, time.process_time()

        def on_epoch(self, epoch: object) -> None:
            self.seconds += time.process_time() - self.begin
            outputs = trainer.model.solve(held_out)[:, top.outputs]
            epochs.append([self.seconds, float((outputs.argmax(axis=1) == data["y_test"]).mean())])
            self.begin = time.process_time()

    schedule = hl.Schedule(int(settings["epochs"]), int(settings["batch"]), float(settings["anneal"]))
    trainer.fit(x, y, schedule, callbacks=[Clock()])
    return epochs


def cost_and_targets(settings: Settings, labels: np.ndarray) -> tuple[Cost, np.ndarray]:
    """Return cross-entropy and labels, or squared error and a voltage at the output of the right digit."""
    import hwlearn as hl

    if "temperature_V" in settings:
        return hl.CrossEntropy(float(settings["temperature_V"])), labels
    return hl.MSE(), float(settings["target_V"]) * np.eye(10)[labels]


def encoded(pixels: np.ndarray) -> np.ndarray:
    """Return the input volts (S, 130): pixels, their negatives and two biases, as in the bench digits-diode."""
    one = np.full((len(pixels), 1), 4.0)
    return np.concatenate([8 * pixels - 4, 4 - 8 * pixels, one, -one], axis=1)


def report(results: dict[str, list[Epochs]]) -> int:
    """Print final accuracy and CPU seconds with 95 % intervals; return 1 if hwlearn misses a requirement."""
    reached, final = {}, {}
    for name, runs in results.items():
        seconds = np.array([next((s for s, accuracy in run if accuracy >= TARGET), math.nan) for run in runs])
        final[name] = np.array([run[-1][1] for run in runs])
        best = np.array([max(accuracy for _, accuracy in run) for run in runs])
        reached[name] = np.where(np.isnan(seconds), np.inf, seconds)
        epoch = np.array([run[-1][0] / len(run) for run in runs])
        text = ", ".join("not" if math.isnan(s) else f"{s:.2f}" for s in seconds)
        print(f"{name}: final accuracy {interval(100 * final[name])} %, best epoch {interval(100 * best)} %, ")
        print(f"    CPU s an epoch {interval(epoch)}; to {100 * TARGET:.1f} %: {text}")
    ours = float(np.median(reached[OUR_EP]))
    known = math.isfinite(ours)
    half = known and ours <= 0.5 * np.median(reached[PEER_EP])
    level = final[OUR_EP].mean() >= final[PEER_EP].mean()
    if known:
        print(f"median CPU seconds, hwlearn over energy-based-learning: {ours / np.median(reached[PEER_EP]):.2f}")
    print(f"median CPU seconds at most half: {'yes' if half else 'no' if known else 'not reached'}")
    print(f"final accuracy not lower: {'yes' if level else 'no'}")
    return 0 if half and level else 1


def interval(values: np.ndarray) -> str:
    """Return mean and half width of the 95 % interval of the mean."""
    n = len(values)
    if n < 2:
        return f"{values.mean():.3g}"
    return f"{values.mean():.4g} +- {T_95.get(n, 2.0) * values.std(ddof=1) / math.sqrt(n):.2g}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        print(json.dumps(train(json.loads(sys.argv[2]))))
    else:
        raise SystemExit(main())
