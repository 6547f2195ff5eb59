"""Faults on benches of a board with a text protocol, a source-measure unit and an edge card.

One of the three answers late, not at all, drops its connection or is gone, at a random step. Every reading that is
returned is that of the circuit; after an error every other instrument is off, and the error names the one that
failed::

    python tests/campaigns/mixed_benches.py --count 100
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from campaign import Campaign, every, none, shown

import hwlearn as hl
from hwlearn.errors import HwlearnError
from hwlearn_drivers.declared.declaration import BOARDS
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(12e-6, 1e-3))
TOPOLOGY = hl.Topology.random(7, 12, inputs=3, outputs=2, seed=2)
KINDS = ("late", "too late", "muted", "reset", "gone")
PLACES = ("board", "smu", "card")


def settings(folder: Path) -> VirtualMixedSettings:
    """Return the bench: inputs on the board, an output on the SMU, another on the board, edges on the card."""
    text = (BOARDS / "example.toml").read_text(encoding="ascii").replace('timeout = "1 s"', 'timeout = "0.5 s"')
    (folder / "board.toml").write_text(text, encoding="ascii")
    a, b, c = TOPOLOGY.inputs.tolist()
    y, z = TOPOLOGY.outputs.tolist()
    return VirtualMixedSettings(
        instruments=[
            {"name": "board", "model": "declared", "protocol": str(folder / "board.toml")},
            {"name": "smu", "model": "2450", "voltage_sigma": "50 uV"},
            {"name": "card", "model": "edge-card", "linear": ["12 uS", "1 mS"], "positions": 4096},
        ],
        terminals=[
            {"node": a, "source": "board:0", "read": "board:1"},
            {"node": b, "source": "board:1"},
            {"node": c, "source": "board:2"},
            {
                "node": y,
                "read": "board:0",
                "nudge": {"source": "board:8", "resistance": 1e4, "switch": "board:sw0"},
            },
            {"node": z, "read": "smu:a", "nudge": "smu:a"},
        ],
        edges={"programmer": "card"},
        noise=0.0,
        driver={"timeout": 0.5},
    )


def is_off(network, name: str) -> bool:
    """Return whether an instrument is off, within three seconds: OFF has no reply."""
    virtual = network.bench.instrument(name)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        off = virtual.hardware.is_off if name == "board" else not virtual.channels[0].settings.output
        if off:
            return True
        time.sleep(0.01)
    return False


def faults(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Measure and program with a fault at a random reply of one instrument."""
    place, kind = case.split(" ", 1)
    with tempfile.TemporaryDirectory() as folder:
        network = VirtualMixedBackend().open(settings(Path(folder)), TOPOLOGY, LIMITS)
        wrong = errors = named = others = 0
        bench = network.bench
        at = int(rng.integers(0, 6))
        try:
            for step in range(8):
                if step == at:
                    inject(network, place, kind, rng)
                g = rng.uniform(2e-5, 9e-4, TOPOLOGY.n_edges)
                x = np.round(rng.uniform(-0.4, 0.4, (2, 3)), 4)
                try:
                    network.program(g)
                    read = network.measure(x)
                except HwlearnError as error:
                    errors += 1
                    named += str(bench._servers[place].port) in str(error)
                    others += all(is_off(network, one) for one in ("board", "smu") if one != place)
                    if kind == "gone":
                        break
                    bench.faults(place).muted = False
                    network.reconnect()
                    continue
                true = hl.Kirchhoff(TOPOLOGY, network.true_conductances).solve(x)[:, TOPOLOGY.outputs]
                wrong += bool(np.abs(read.voltages - true).max() > 1e-3)
        finally:
            with contextlib.suppress(HwlearnError):  # one that is gone cannot be switched off
                network.close()
    harmful = kind not in ("late",)
    return {
        "wrong readings": wrong,
        "errors": errors,
        "noticed": not harmful or errors > 0,
        "named": named == errors,
        "others off": others == errors,
    }


def inject(network, place: str, kind: str, rng: np.random.Generator) -> None:
    found = network.bench.faults(place)
    if kind == "gone":
        network.bench._servers[place].close()
    elif kind == "muted":
        found.muted = True
    elif kind == "reset":
        found.inject("reset", count=1)
    else:
        found.inject("late", count=1, seconds=0.05 if kind == "late" else float(rng.uniform(1.0, 1.2)))


CAMPAIGN = Campaign(
    "mixed_benches",
    faults,
    [f"{place} {kind}" for place in PLACES for kind in KINDS],
    {"wrong readings": none(), "errors": shown(), "noticed": every(), "named": every(), "others off": every()},
    count=67,
)

if __name__ == "__main__":
    CAMPAIGN.main()
