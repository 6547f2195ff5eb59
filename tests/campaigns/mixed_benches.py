"""Faults on benches of a board with a text protocol, a source-measure unit, a switch matrix and an edge card.

One of them answers late, not at all, drops its connection or is gone, or a relay does not move, at a random step.
Every reading that is returned is that of the circuit; after an error every other instrument is off, and the error
names the one that failed::

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
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(12e-6, 1e-3))
TOPOLOGY = hl.Topology.random(7, 12, inputs=3, outputs=2, seed=2)
KINDS = ("late", "too late", "muted", "reset", "gone")
PLACES = ("board", "smu", "card")
MATRIX_PLACES = ("smu1", "mat1", "card1")
STUCK = "relay stuck"
CONTACT = "contact open"
ON_MATRIX = [*(f"{place} {kind}" for place in MATRIX_PLACES for kind in KINDS), f"mat1 {STUCK}", f"mat1 {CONTACT}"]


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


def matrix_settings() -> VirtualMixedSettings:
    """Return the bench: one channel of an SMU drives the inputs, the other reads the outputs, through a matrix."""
    ends = [*TOPOLOGY.inputs.tolist(), *TOPOLOGY.outputs.tolist()]
    return VirtualMixedSettings(
        instruments=[
            {"name": "smu1", "model": "2612B", "voltage_sigma": "50 uV"},
            {"name": "mat1", "model": "707B", "cards": {"1": "7174A"}, "max_voltage": 200.0, "max_current": 1.0},
            {"name": "card1", "model": "edge-card", "linear": ["12 uS", "1 mS"], "positions": 4096},
        ],
        matrix={
            "instrument": "mat1",
            "rows": {"A": {"source": "smu1:a"}, "B": {"read": "smu1:b"}, "H": "ground"},
            "columns": {TOPOLOGY.names[node]: k + 1 for k, node in enumerate(ends)},
            "read_inputs": True,
        },
        edges={"programmer": "card1"},
        noise=0.0,
        driver={"timeout": 0.5},
    )


def is_off(network, name: str) -> bool:
    """Return whether an instrument is off, within three seconds: OFF has no reply."""
    virtual = network.bench.instrument(name)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        if name == "board":
            off = virtual.hardware.is_off
        elif name == "mat1":
            off = not virtual.relays.closed
        else:
            off = not any(channel.settings.output for channel in virtual.channels)
        if off:
            return True
        time.sleep(0.01)
    return False


def faults(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Measure and program with a fault at a random reply of one instrument."""
    place, kind = case.split(" ", 1)
    on_matrix = place in MATRIX_PLACES
    others_of = ("smu1", "mat1") if on_matrix else ("board", "smu")
    with tempfile.TemporaryDirectory() as folder:
        table = matrix_settings() if on_matrix else settings(Path(folder))
        network = VirtualMixedBackend().open(table, TOPOLOGY, LIMITS)
        wrong = errors = named = others = 0
        bench = network.bench
        if on_matrix:  # thermal voltages of two contacts in a loop drive up to 70 uA while every source is at 0 V
            bench.instrument("mat1").relays.noticed_A = 1e-4
        at = int(rng.integers(0, 6))
        try:
            for step in range(8):
                if step == at:
                    inject(network, place, kind, rng)
                g = rng.uniform(2e-5, 9e-4, TOPOLOGY.n_edges)
                x = np.round(rng.uniform(-0.4, 0.4, (2, 3)), 4)
                if on_matrix:  # one voltage besides 0 V
                    x = x[:, :1] * rng.integers(0, 2, (2, 3))
                try:
                    network.program(g)
                    read = network.measure(x)
                except HwlearnError as error:
                    errors += 1
                    named += str(bench._servers[place].port) in str(error)
                    others += all(is_off(network, one) for one in others_of if one != place)
                    if kind == "gone":
                        break
                    bench.faults(place).muted = False
                    if on_matrix:
                        _repair(network)
                    network.reconnect()
                    continue
                true = hl.Kirchhoff(TOPOLOGY, network.true_conductances).solve(x)[:, TOPOLOGY.outputs]
                wrong += bool(np.abs(read.voltages - true).max() > (4e-3 if on_matrix else 1e-3))
        finally:
            with contextlib.suppress(HwlearnError):  # one that is gone cannot be switched off
                network.close()
        # a matrix waits 50 ms for its sources, not for one that is late, mute or gone: the sample comes first
        is_counted = on_matrix and place != "smu1"
        hot = len(bench.instrument("mat1").relays.hot_moves) if is_counted else 0
    # a late reply is waited for, and a relay that never has to move is not noticed
    harmful = kind not in ("late", STUCK, CONTACT)
    return {
        "moved under voltage": hot,
        "wrong readings": wrong,
        "errors": errors,
        "noticed": not harmful or errors > 0,
        "named": named == errors,
        "others off": others == errors,
    }


def inject(network, place: str, kind: str, rng: np.random.Generator) -> None:
    found = network.bench.faults(place)
    if kind in (STUCK, CONTACT):
        inputs = [str(k + 1) for k in range(3)]
        fault = "does not move" if kind == STUCK else "stuck open"
        network.bench.instrument("mat1").relays.set_fault(Crosspoint("A", str(rng.choice(inputs))), fault)
    elif kind == "gone":
        network.bench._servers[place].close()
    elif kind == "muted":
        found.muted = True
    elif kind == "reset":
        found.inject("reset", count=1)
    else:
        found.inject("late", count=1, seconds=0.05 if kind == "late" else float(rng.uniform(1.0, 1.2)))


def _repair(network) -> None:
    relays = network.bench.instrument("mat1").relays
    for one in list(relays.faults):
        relays.set_fault(one, None)


CAMPAIGN = Campaign(
    "mixed_benches",
    faults,
    [*(f"{place} {kind}" for place in PLACES for kind in KINDS), *ON_MATRIX],
    {
        "moved under voltage": none(),
        "wrong readings": none(),
        "errors": shown(),
        "noticed": every(),
        "named": every(),
        "others off": every(),
    },
    count=67,
)

if __name__ == "__main__":
    CAMPAIGN.main()
