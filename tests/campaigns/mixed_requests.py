"""Random requests to the five mixed benches of `fault_desks`; what arrives at every source is compared with the
limits.

Most requests are beyond a limit, at it or no number: input voltages, drives of all kinds, conductances. Every
source that any instrument connects to the circuit is recorded when it changes: its voltage, its current, and the
limit of a source-measure unit (``beyond``). After each request the voltages of all nodes are compared too. In each
trial one instrument that drives something is mute, late or disconnected for one request, after which the bench is
reconnected.

Relays must not move under voltage: none may close with a voltage across it or open with a current through it
(``moved hot``), not while a source is mute or late either. Only if the link to the source is broken they open at
once, because nothing else takes the voltage off the sample: these are counted (``cut off``), and their voltage and
current must be within the limits::

    python tests/campaigns/mixed_requests.py --count 40
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from campaign import Campaign, every, none, shown
from fault_desks import LIMITS, PLACES, SCANNERS, TOPOLOGY, settings

import hwlearn as hl
from hwlearn.errors import HwlearnError
from hwlearn_sim.bench.mixed import VirtualMixedBackend
from hwlearn_sim.bench.network import VirtualNetwork
from hwlearn_sim.plane.sources import CurrentSource, VoltageSource

REQUESTS: Final = 50  # of one trial
BEYOND: Final = (
    *(0.0, 0.5, 0.5 * (1 + 1e-6), -0.5, np.nextafter(0.5, 1), 0.499949, 0.49996, 1e300),
    *(-np.inf, np.nan, 5e-324, 12.0),
)
DRIVERS: Final = {
    "scan": "board",
    "declared": "board smu",
    "matrix": "smu",
    "daq": "smu",
    "several": "smu1 smu2 smu3",
}
"""Instruments of each bench that drive something and can be mute."""


def drive_of(rng: np.random.Generator, shape: tuple[int, int]) -> hl.OutputDrive | None:
    """Return a random drive; its kind is not one that every output can make."""
    kind = rng.choice(["none", "clamp", "current", "resistor"])
    if kind == "none":
        return None
    values = rng.uniform(-0.6, 0.6, shape) * (1e-3 if kind == "current" else rng.choice([0.3, 1.0]))
    if kind == "resistor":
        return hl.OutputDrive.resistor(values, 1e-4)
    return hl.OutputDrive.clamp(values) if kind == "clamp" else hl.OutputDrive.current(values)


def is_measured(
    network: hl.Network,
    rng: np.random.Generator,
    shape: tuple[int, int],
    drive: hl.OutputDrive | None,
    beyond: Sequence[float] = BEYOND,
    one_level: bool = False,
) -> bool:
    """Measure random inputs, in half of the requests some beyond a limit; return whether it was accepted."""
    x = rng.uniform(-0.5, 0.5, shape)
    if one_level:  # of a matrix with one source row
        x = x[:, :1] * rng.integers(0, 2, shape)
    chosen = rng.random(shape) < rng.choice([0.0, 0.3])
    x[chosen] = rng.choice(beyond, int(chosen.sum()))
    try:
        network.measure(x, drive)
    except HwlearnError:
        return False
    return True


def is_programmed(network: hl.Network, rng: np.random.Generator) -> bool:
    """Program random conductances, some beyond a limit; return whether that was accepted."""
    low, high = LIMITS.conductance
    g = rng.uniform(low, high, TOPOLOGY.n_edges)
    if rng.random() < 0.5:
        g[rng.integers(0, len(g))] = rng.choice([0.0, -1e-5, 2 * high, low / 2, np.nan, np.inf, low, high])
    try:
        network.program(g)
    except HwlearnError:
        return False
    return True


class Recorder:
    """Records the largest share of a limit that any source of a plane had."""

    def __init__(self, network: VirtualNetwork) -> None:
        self.volts = self.share = 0.0
        plane = network.bench.plane
        drive = plane.drive

        def recorded(channel: int, source: Any) -> None:
            label = plane._labels[channel]
            if isinstance(source, VoltageSource):
                self._add(source.volts / LIMITS.voltage)
                self.volts = max(self.volts, abs(source.volts))
                if label.startswith("smu"):
                    self._add(source.limit_A / LIMITS.current)
            elif isinstance(source, CurrentSource) and label.startswith(
                "smu"
            ):  # others: leakage, thermal voltages
                self._add(source.amperes / LIMITS.current)
                self._add(source.limit_V / LIMITS.voltage)
            drive(channel, source)

        plane.drive = recorded  # type: ignore[method-assign]

    def _add(self, share: float) -> None:
        self.share = max(self.share, abs(share))


def requests(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Send random requests to a bench; one instrument fails for one of them."""
    with tempfile.TemporaryDirectory() as folder:
        table = settings(case, Path(folder), str(rng.choice(list(SCANNERS))))
        table = table.model_copy(update={"driver": {"timeout": 1.5}})
        network = VirtualMixedBackend().open(table, TOPOLOGY, LIMITS)
        bench, recorder = network.bench, Recorder(network)
        relays = bench.instrument("matrix").relays if case == "matrix" else None
        if relays is not None:
            relays.noticed_A = 1e-4  # two contacts in a loop, with every source at 0 V
        failing, at = str(rng.choice(DRIVERS[case].split())), int(rng.integers(0, REQUESTS))
        kind = str(rng.choice(["mute", "late", "reset"]))
        assert failing in PLACES[case]
        done, nodes, before = 0, 0.0, 0
        try:
            for number in range(REQUESTS):
                if number == at:
                    before = 0 if relays is None else len(relays.hot_moves)
                    _fail(bench, failing, kind, int(rng.integers(0, 30)))
                if rng.random() < 0.1:
                    done += is_programmed(network, rng)
                else:
                    drive = drive_of(rng, (2, 2)) if rng.random() < 0.3 else None
                    done += is_measured(network, rng, (2, 3), drive, one_level=case == "matrix")
                nodes = max(nodes, float(np.abs(bench.plane.node_voltages()[: TOPOLOGY.n_nodes]).max()))
                if number >= at and _needs_reconnection(network):
                    bench.faults(failing).clear()
                    _reconnect(network)
        finally:
            bench.faults(failing).clear()
            with contextlib.suppress(HwlearnError):
                network.close()
        hot = [] if relays is None else relays.hot_moves
    cut = sum(one.amperes > 0 for one in hot[before:]) if kind == "reset" else 0
    worst = max((max(one.amperes / LIMITS.current, one.volts / LIMITS.voltage) for one in hot), default=0.0)
    return {
        "beyond": max(recorder.share, worst) > 1 + 1e-9 or nodes > LIMITS.voltage * (1 + 1e-6) + 1e-3,
        "moved hot": len(hot) - cut,
        "cut off": cut,
        "requests": REQUESTS,
        "done": done,
        "reached": recorder.volts > 0.4,
    }


def _fail(bench: Any, name: str, kind: str, after: int) -> None:
    """Let the replies of an instrument fail, some messages from now."""
    faults = bench.faults(name)
    if kind == "mute":
        faults.inject("dropped", after=after, count=10_000)
    elif kind == "late":
        faults.inject("late", after=after, count=3, seconds=2.2)
    else:
        faults.inject("reset", after=after)


def _reconnect(network: hl.Network) -> None:
    """Reconnect a bench; late replies may still be on their way, and delay the next one."""
    for _ in range(4):
        with contextlib.suppress(HwlearnError):
            network.reconnect()
            return
    network.reconnect()


def _needs_reconnection(network: hl.Network) -> bool:
    """Return whether the bench refuses everything until it is reconnected."""
    try:
        network.measure(np.zeros((1, 3)))
    except HwlearnError:
        return True
    return False


CAMPAIGN = Campaign(
    "mixed_requests",
    requests,
    list(PLACES),
    {
        "beyond": none(),
        "moved hot": none(),
        "cut off": shown(),
        "requests": shown(),
        "done": shown(),
        "reached": every(),
    },
    count=40,
)

if __name__ == "__main__":
    CAMPAIGN.main()
