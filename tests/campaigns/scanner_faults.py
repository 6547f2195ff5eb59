"""Faults on benches whose nodes a scanning voltmeter reads.

The board or the scanner answers late, not at all, drops its connection or is gone, at a random step. Every reading
that is returned is that of the circuit; after an error the board is at 0 V, the channels of the scanner are open
(unless it is gone), and the error names the one that failed::

    python tests/campaigns/scanner_faults.py --count 50
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from campaign import Campaign, every, none, shown
from fault_desks import LIMITS, TOPOLOGY

from hwlearn.errors import HwlearnError
from hwlearn_drivers.declared.declaration import BOARDS
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

KINDS = ("late", "too late", "muted", "reset", "gone")
PLACES = ("board", "scan")
MODELS = {
    "34970A": (101, "ROUT:CLOS (@120)"),
    "34980A": (1001, "ROUT:CLOS (@1040)"),
    "DAQ970A": (101, "ROUT:CLOS (@120)"),
    "2700": (101, "*CLS"),
    "DAQ6510": (101, "ROUT:CLOS (@120)"),
}
"""First channel, and how somebody else closes a channel; a 2700 closes none while it scans."""


LOAD_S = 1e-7
"""Conductance of an input of a DAQ6510, which has 10 Mohm on each range."""


def high_impedance(model: str) -> bool:
    """Return whether the voltmeter can be asked for its high input resistance."""
    return model != "DAQ6510"


def loaded(conductances: np.ndarray, x: np.ndarray, load: float) -> np.ndarray:
    """Return the voltage of each output while the voltmeter, with this conductance to ground, is on it alone."""
    laplacian = np.zeros((TOPOLOGY.n_nodes, TOPOLOGY.n_nodes))
    for (a, b), g in zip(TOPOLOGY.edges, conductances, strict=True):
        laplacian[[a, b, a, b], [a, b, b, a]] += [g, g, -g, -g]
    free = np.setdiff1d(np.arange(TOPOLOGY.n_nodes), TOPOLOGY.inputs)
    into = -laplacian[np.ix_(free, TOPOLOGY.inputs)] @ x.T
    read = []
    for node in TOPOLOGY.outputs:
        matrix = laplacian[np.ix_(free, free)] + load * np.diag(free == node)
        read.append(np.linalg.solve(matrix, into)[np.flatnonzero(free == node)[0]])
    return np.stack(read, axis=1)


def settings(folder: Path, model: str) -> VirtualMixedSettings:
    """Return the bench: sources and edges on the board, every reading by the scanner."""
    text = (BOARDS / "example.toml").read_text(encoding="ascii").replace('timeout = "1 s"', 'timeout = "0.5 s"')
    (folder / "board.toml").write_text(text, encoding="ascii")
    first, _ = MODELS[model]
    inputs, outputs = TOPOLOGY.inputs.tolist(), TOPOLOGY.outputs.tolist()
    return VirtualMixedSettings(
        instruments=[
            {"name": "board", "model": "declared", "protocol": str(folder / "board.toml")},
            {"name": "scan", "model": model, "high_impedance": high_impedance(model), "voltage_sigma": "10 uV"},
        ],
        terminals=[
            *(
                {"node": node, "source": f"board:{k}", "read": f"scan:{first + k}"}
                for k, node in enumerate(inputs)
            ),
            *({"node": node, "read": f"scan:{first + 10 + k}"} for k, node in enumerate(outputs)),
        ],
        edges={"programmer": "board"},
        noise=0.0,
        driver={"timeout": 0.5},
    )


def inject(network, place: str, kind: str, rng: np.random.Generator) -> None:
    """Let an instrument fail from now on, or at its next reply."""
    found = network.bench.faults(place)
    if kind == "gone":
        network.bench._servers[place].close()
    elif kind == "muted":
        found.muted = True
    elif kind == "reset":
        found.inject("reset", count=1)
    else:
        found.inject("late", count=1, seconds=0.05 if kind == "late" else float(rng.uniform(1.0, 1.2)))


def are_off(bench, gone: str) -> bool:
    """Return whether board and scanner are off, within three seconds: OFF has no reply."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        board = gone == "board" or bench.instrument("board").hardware.is_off
        if board and (gone == "scan" or not bench.instrument("scan").closed):
            return True
        time.sleep(0.01)
    return False


def faults(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Measure with a fault at a random step; a channel that somebody closed must be open afterwards."""
    place, kind = case.split(" ", 1)
    with tempfile.TemporaryDirectory() as folder:
        model = str(rng.choice(list(MODELS)))
        network = VirtualMixedBackend().open(settings(Path(folder), model), TOPOLOGY, LIMITS)
        wrong = errors = named = off = 0
        bench, at = network.bench, int(rng.integers(0, 4))
        _, closes = MODELS[model]
        try:
            for step in range(6):
                if step == at:
                    bench.instrument("scan").execute(closes.encode())
                    inject(network, place, kind, rng)
                x = np.round(rng.uniform(-0.4, 0.4, (2, 3)), 4)
                try:
                    read = network.measure(x)
                except HwlearnError as error:
                    errors += 1
                    named += str(bench._servers[place].port) in str(error)
                    off += are_off(bench, place if kind == "gone" else "")
                    if kind == "gone":
                        break
                    bench.faults(place).muted = False
                    network.reconnect()
                    continue
                true = loaded(network.true_conductances, x, 0.0 if high_impedance(model) else LOAD_S)
                wrong += bool(np.abs(read.voltages - true).max() > 1e-4)
        finally:
            with contextlib.suppress(HwlearnError):  # one that is gone cannot be switched off
                network.close()
    return {
        "wrong readings": wrong,
        "errors": errors,
        "noticed": kind == "late" or errors > 0,
        "named": named == errors,
        "all off": off == errors,
    }


CAMPAIGN = Campaign(
    "scanner_faults",
    faults,
    [f"{place} {kind}" for place in PLACES for kind in KINDS],
    {"wrong readings": none(), "errors": shown(), "noticed": every(), "named": every(), "all off": every()},
    count=50,
)

if __name__ == "__main__":
    CAMPAIGN.main()
