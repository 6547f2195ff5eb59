"""Cost of reading back the outputs of SMUs: ``python tests/benchmarks/readback_cost.py``.

For each model it prints the queries per sample and channel, and the time per sample, of this tree and an earlier
commit: a free phase, and a training step of three phases (free, clamped on both sides), with batches of 8 samples
and of 1. The instruments are virtual, of this tree for both, in another process, on TCP sockets. They answer
at once, so that the time is that of messages alone. On a real instrument a reading of both quantities takes 40 ms
with one power line cycle, before and after.

The two trees are measured in turn. "us/sample" is the fastest of many batches, because other programs only make a
batch slower. On a busy computer even that is not reliable, and "CPU" is the better figure: processor time of both
processes per sample, again of the batch with the least.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BASE = "f45d2d3"
"""The last commit that did not read back the outputs."""

MODELS = ("2400", "2450", "2612B", "B2902A")
ASKED = {"2450": 1.05, "2612B": 1.05}
"""Largest ratio of the times, for the free phase with batches of 8 and the training step with batches of 8."""

ROOT = Path(__file__).parents[2]


def serve(model: str) -> None:
    """Serve a virtual bench until stdin is closed; print its channels, and for each line its processor time."""
    from hwlearn import Topology
    from hwlearn_sim.bench.bench import VirtualBench
    from hwlearn_sim.instruments.capability import Meters
    from hwlearn_sim.placed import PlacedSmu

    graph = Topology.random(8, 14, inputs=2, outputs=2, ground=0, seed=3)
    terminals = [*graph.inputs.tolist(), *graph.outputs.tolist()]
    pairs = [terminals[:2], terminals[2:]] if model in ("2612B", "B2902A") else [[node] for node in terminals]
    placed = [PlacedSmu(f"smu{k}", model, tuple(nodes)) for k, nodes in enumerate(pairs)]
    with VirtualBench(graph, placed, conductances=1e-4, meters=Meters(noise=0.0)) as bench:
        channels = [
            {"address": bench.address(f"smu{k}"), "model": model, "channel": c + 1, "node": node}
            for k, nodes in enumerate(pairs)
            for c, node in enumerate(nodes)
        ]
        print(json.dumps(channels), flush=True)
        for _ in sys.stdin:
            print(time.process_time(), flush=True)


CASES = ("free phase, 8", "training step, 8", "free phase, 1", "training step, 1")


def measure(model: str, seconds: float) -> None:
    """For each case on stdin, print queries per sample and channel, and fastest and processor s per sample."""
    import numpy as np

    import hwlearn as hl
    from hwlearn_drivers.smu.backend import SmuBackend
    from hwlearn_drivers.transport.transport import Transport

    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", model],
        env={**os.environ, "PYTHONPATH": path_of(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def answer() -> Any:
        assert server.stdout is not None
        return json.loads(server.stdout.readline())

    graph = hl.Topology.random(8, 14, inputs=2, outputs=2, ground=0, seed=3)
    limits = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 2e-4))
    settings = SmuBackend.Settings(channels=answer(), edges="100 uS", settle=0, slew_V_per_s=1e6, ramp_step="1 V")
    queries = 0
    plain = Transport.query

    def counted(self: Transport, *args: Any, **keys: Any) -> str:
        nonlocal queries
        queries += 1
        return plain(self, *args, **keys)

    Transport.query = counted  # type: ignore[method-assign]

    def spent() -> float:
        assert server.stdin is not None
        server.stdin.write("time\n")
        server.stdin.flush()
        return time.process_time() + float(answer())

    with SmuBackend.open(settings, graph, limits) as network:
        inputs = np.random.default_rng(0).uniform(-0.4, 0.4, (64, 8, 2))
        for line in sys.stdin:
            name, samples = line.split(",")[0], int(line.split(",")[1])
            error = hl.network.network.TargetError(np.zeros((samples, 2)))

            def act(x: Any, name: str = name, error: Any = error) -> None:
                if name == "free phase":
                    network.measure(x)
                else:
                    network.two_phase(x, error, hl.ClampNudge(0.1))

            act(inputs[0, :samples])
            fastest, least = float("inf"), float("inf")
            begin, rounds, queries = time.perf_counter(), 0, 0
            while time.perf_counter() < begin + seconds:
                cpu, started = spent(), time.perf_counter()
                act(inputs[rounds % 64, :samples])
                fastest = min(fastest, time.perf_counter() - started)
                least = min(least, spent() - cpu)
                rounds += 1
            per = [queries / rounds / samples / 4, fastest / samples, least / samples]
            print(json.dumps(per), flush=True)
    server.communicate()


def main() -> None:
    """Measure both trees in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=BASE, help="commit to compare with (%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="measurements of each tree (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.2, help="of each case and round (%(default)s)")
    parser.add_argument("--model", choices=MODELS, action="append", help="only this model; repeatable")
    parser.add_argument("--worker", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--serve", choices=MODELS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    if options.worker:
        measure(options.worker, options.seconds)
        return
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", base, options.base], cwd=ROOT, check=True)
        try:
            missed = compare(base, options)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", base], cwd=ROOT, check=True)
    sys.exit(1 if missed else 0)


def path_of(tree: Path) -> str:
    """Return the search path of the packages in a tree."""
    return os.pathsep.join(str(tree / part) for part in ("", "drivers", "sim"))


def worker(tree: Path, model: str, seconds: float) -> subprocess.Popen[str]:
    """Start a process that measures with the drivers of a tree."""
    return subprocess.Popen(
        [sys.executable, __file__, "--worker", model, "--seconds", str(seconds)],
        env={**os.environ, "PYTHONPATH": path_of(tree)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def compare(base: Path, options: argparse.Namespace) -> bool:
    """Print a line for each model and case; return whether a ratio is above what is asked."""
    missed = False
    print(f"{'':26}{'queries/sample/channel':>24}{'us/sample':>18}{'ratio':>7}{'CPU us/sample':>18}{'ratio':>7}")
    for model in options.model or MODELS:
        results: dict[Path, dict[str, list[float]]] = {base: {}, ROOT: {}}
        workers = {tree: worker(tree, model, options.seconds) for tree in results}
        for _ in range(options.rounds):
            for case in CASES:
                for tree, process in workers.items():
                    assert process.stdin is not None
                    assert process.stdout is not None
                    process.stdin.write(f"{case}\n")
                    process.stdin.flush()
                    values = json.loads(process.stdout.readline())
                    best = results[tree].setdefault(case, values)
                    best[1:] = map(min, best[1:], values[1:])
        for process in workers.values():
            process.communicate()
        for case, (before, *old) in results[base].items():
            now, *new = results[ROOT][case]
            above = case.endswith(" 8") and new[0] / old[0] > ASKED.get(model, float("inf"))
            missed = missed or above
            times = "".join(
                f"{f'{1e6 * was:.0f} -> {1e6 * is_now:.0f}':>18}{is_now / was:7.3f}"
                for was, is_now in zip(old, new, strict=True)
            )
            counts = f"{before:.2f} -> {now:.2f}"
            print(f"{model + ', ' + case:26}{counts:>24}{times}{' MISSED' if above else ''}", flush=True)
    return missed


if __name__ == "__main__":
    main()
