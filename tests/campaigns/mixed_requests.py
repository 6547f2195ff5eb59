"""Random requests to a bench of a board with a text protocol, a source-measure unit and an edge card, and to one
with a switch matrix.

Most of them are beyond a limit, at it or no number. What arrives at the sources is compared with the limits of the
bench: voltages of the board, after rounding to the digits of its protocol; on the matrix all voltages and currents
that any instrument drives. No relay moves under voltage::

    python tests/campaigns/mixed_requests.py --count 400
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from campaign import Campaign, every, none, shown
from mixed_benches import LIMITS, TOPOLOGY, matrix_settings, settings

import hwlearn as hl
from hwlearn.errors import HwlearnError
from hwlearn_sim.bench.mixed import VirtualMixedBackend
from hwlearn_sim.plane.sources import CurrentSource, VoltageSource

REQUESTS = 25  # of one trial
BEYOND = (
    *(
        0.0,
        0.5,
        0.5 * (1 + 1e-6),
        -0.5,
        np.nextafter(0.5, 1),
        0.499949,
        0.49996,
        1e300,
        -np.inf,
        np.nan,
        5e-324,
        12.0,
    ),
)


def drive_of(rng: np.random.Generator, shape: tuple[int, int]) -> hl.OutputDrive | None:
    """Return a random drive; its kind is not one that every output can make."""
    kind = rng.choice(["none", "clamp", "current", "resistor"])
    if kind == "none":
        return None
    values = rng.uniform(-0.6, 0.6, shape) * (1e-3 if kind == "current" else 1.0)
    if kind == "resistor":
        return hl.OutputDrive.resistor(values, 1e-4)
    return hl.OutputDrive.clamp(values) if kind == "clamp" else hl.OutputDrive.current(values)


def is_measured(
    network: hl.Network,
    rng: np.random.Generator,
    shape: tuple[int, int],
    drive: hl.OutputDrive | None,
    beyond: Sequence[float] = BEYOND,
) -> bool:
    """Measure random inputs, in half of the requests some beyond a limit; return whether it was accepted."""
    x = rng.uniform(-0.5, 0.5, shape)
    chosen = rng.random(shape) < rng.choice([0.0, 0.3])
    x[chosen] = rng.choice(beyond, int(chosen.sum()))
    try:
        network.measure(x, drive)
    except HwlearnError:
        return False
    return True


def requests(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Send random requests, most of them beyond a limit; compare what arrives at the sources with the limits."""
    with tempfile.TemporaryDirectory() as folder:
        network = VirtualMixedBackend().open(settings(Path(folder)), TOPOLOGY, LIMITS)
        hardware = network.bench.instrument("board").hardware
        levels: list[float] = []
        set_source = hardware.set_source

        def recorded(channel: str, volts: float) -> None:
            levels.append(abs(volts))
            set_source(channel, volts)

        hardware.set_source = recorded
        done = 0
        try:
            for _ in range(REQUESTS):
                drive = drive_of(rng, (2, 2)) if rng.random() < 0.2 else None
                done += is_measured(network, rng, (2, 3), drive)
        finally:
            network.close()
    most = max(levels, default=0.0)
    return {
        "beyond": most > LIMITS.voltage * (1 + 1e-9),
        "requests": REQUESTS,
        "done": done,
        "reached": most > 0.4,
    }


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Send random requests to the bench of a case."""
    return matrix_requests(rng) if case == "matrix requests" else requests(case, rng)


def matrix_requests(rng: np.random.Generator) -> Mapping[str, float]:
    """Send random requests through a switch matrix; compare everything that is driven with the limits."""
    network = VirtualMixedBackend().open(matrix_settings(), TOPOLOGY, LIMITS)
    plane, relays = network.bench.plane, network.bench.instrument("mat1").relays
    relays.noticed_A = 1e-4  # two contacts in a loop, with every source at 0 V
    volts, amperes = [0.0], [0.0]
    drive = plane.drive

    def recorded(channel: int, source: object) -> None:
        if isinstance(source, VoltageSource):
            volts.append(abs(source.volts))
        elif isinstance(source, CurrentSource) and "thermal" not in plane._labels[channel]:
            amperes.append(abs(source.amperes))
        drive(channel, source)

    plane.drive = recorded
    refused = done = 0
    try:
        for _ in range(REQUESTS):
            level = rng.choice([0.5, float(rng.uniform(-0.6, 0.6))])
            x = level * rng.integers(0, 2, (2, 3)).astype(float)
            chosen = rng.random((2, 3)) < rng.choice([0.0, 0.3])
            x[chosen] = rng.choice(BEYOND, int(chosen.sum()))
            drive_request = drive_of(rng, (2, 2)) if rng.random() < 0.2 else None
            try:
                network.measure(x, drive_request)
                done += 1
            except HwlearnError:
                refused += 1
    finally:
        network.close()
    most = max(volts)
    beyond = most > LIMITS.voltage * (1 + 1e-9) or max(amperes) > LIMITS.current * (1 + 1e-9)
    return {
        "beyond": beyond or bool(relays.hot_moves),
        "requests": done + refused,
        "done": done,
        "reached": most > 0.4,
    }


CAMPAIGN = Campaign(
    "mixed_requests",
    trial,
    ["requests", "matrix requests"],
    {"beyond": none(), "requests": shown(), "done": shown(), "reached": every()},
    count=400,
)

if __name__ == "__main__":
    CAMPAIGN.main()
