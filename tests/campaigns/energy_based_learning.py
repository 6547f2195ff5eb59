"""Digits on 128 rectifying hidden nodes: hwlearn against the public package energy-based-learning.

Give the path to a checkout of it (https://github.com/rain-neuromorphics/energy-based-learning)::

    python tests/campaigns/energy_based_learning.py ../energy-based-learning

Both train the same network by equilibrium propagation with squared error on the same 8 x 8 digits, on one thread:
two layers of non-negative conductances, and hidden nodes that diodes keep positive or negative. The package works
in single precision with a fixed number of sweeps; hwlearn finds each operating point to 1e-9. The exact gradient
(`Analytic`) is measured beside it. Only training counts, evaluation does not. torch is installed into a virtual
environment of this script (``--environment``), with the options of ``--pip`` for pip.

The settings of both sides were chosen on validation rows of split 100, which is not among the reported ones. With
``--validate`` the script measures on such rows, so that other settings can be tried (``--peer``, ``--ours``).
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

import numpy as np

TARGET = 0.978
"""Test accuracy to which CPU seconds are counted."""

PEER = {"batch": 16, "rate": 0.02, "epochs": 40, "gain": 30.0, "nudging": 1.0, "iterations": 4, "decay": 0.99}
OURS = {"batch": 64, "rate": 0.05, "epochs": 40, "target_V": 1.0, "anneal": 0.05}
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
    parser.add_argument("--pip", default="", help='options of pip install, such as "--index-url URL"')
    parser.add_argument("--validate", action="store_true", help="measure on validation rows")
    parser.add_argument("--peer", type=json.loads, default={}, help="settings of the package as JSON")
    parser.add_argument("--ours", type=json.loads, default={}, help="settings of hwlearn as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        python = torch_python(options.environment or Path(scratch) / "environment", options.pip)
        results: dict[str, list[Epochs]] = {name: [] for name in (PEER_EP, OUR_EP, OUR_EXACT)}
        for seed in options.seeds:
            data = Path(scratch) / f"digits-{seed}.npz"
            np.savez(data, **digits(seed, validate=options.validate))
            common = {"seed": seed, "data": str(data), "hidden": HIDDEN}
            peer = PEER | options.peer | common | {"checkout": str(options.checkout.resolve())}
            ours = OURS | options.ours | common
            script = Path(__file__).with_name("resistive_peer.py")
            results[PEER_EP].append(measured([str(python), str(script)], peer))
            for name, rule in ((OUR_EP, "ep"), (OUR_EXACT, "analytic")):
                results[name].append(measured([sys.executable, __file__, "--train"], ours | {"rule": rule}))
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


def digits(seed: int, *, validate: bool) -> dict[str, np.ndarray]:
    """Return pixels (0 to 1) and labels; a fifth of each digit, or of the others to validate, is held out."""
    from hwlearn.lab.data.loading import split

    with np.load(str(resources.files("hwlearn.lab") / "datasets" / "digits.npz")) as stored:
        x, y = stored["inputs"] / 16.0, stored["labels"].astype(np.int64)
    train, test = split(y, True, 0.2, seed)
    if validate:
        some, held = split(y[train], True, 0.2, seed)
        train, test = train[some], train[held]
    return {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}


def measured(command: list[str], settings: dict[str, object]) -> Epochs:
    """Run one training in a process with one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    run = [*command, json.dumps(settings)]
    done = subprocess.run(run, capture_output=True, text=True, env=os.environ | threads, check=False)
    if done.returncode:
        raise SystemExit(f"{command[-1]} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def train(settings: dict[str, object]) -> Epochs:
    """Train hwlearn's network on an ideal twin."""
    import hwlearn as hl
    from hwlearn.circuit.elements import IdealDiode
    from hwlearn_sim import KirchhoffTwin

    with np.load(str(settings["data"])) as stored:
        data, seed = dict(stored), int(settings["seed"])
    top = hl.Topology.layered([130, int(settings["hidden"]), 10], rectifier=IdealDiode())
    low, high = 1e-6, 1e-4
    twin = KirchhoffTwin(top, hl.Limits(5.0, 10.0, 1.0, 1.0, (low, high)), node_readout=True, seed=seed)
    x, held_out = (encoded(data[name]) for name in ("x_train", "x_test"))
    y = float(settings["target_V"]) * np.eye(10)[data["y_train"]]
    start = np.exp(np.random.default_rng([seed, 1]).uniform(np.log(low), np.log(high), top.n_edges))
    rule = hl.Analytic() if settings["rule"] == "analytic" else hl.GEP(hl.CurrentNudge(), readout="nodes")
    optimizer = hl.Adam(float(settings["rate"]), scale="log")
    trainer = hl.Trainer(twin, rule, hl.MSE(), optimizer, model=hl.Kirchhoff(top, start), seed=seed)
    epochs: Epochs = []

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
    peer, ours = PEER_EP, OUR_EP
    half = np.median(reached[ours]) <= 0.5 * np.median(reached[peer])
    known = math.isfinite(np.median(reached[ours]))
    level = final[ours].mean() >= final[peer].mean()
    print(f"median CPU seconds at most half: {'yes' if half and known else 'no' if known else 'not reached'}")
    print(f"final accuracy not lower: {'yes' if level else 'no'}")
    return 0 if half and known and level else 1


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
