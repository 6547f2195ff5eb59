"""Random requests to a bench of DAQ devices, most of them beyond a limit.

Every value of every write is compared with the limits of the bench::

    python tests/campaigns/daq_requests.py --count 200
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
from campaign import Campaign, every, none, shown
from daq_faults import LIMITS, most_written, opened
from mixed_requests import is_measured

import hwlearn as hl
from hwlearn.errors import HwlearnError

BEYOND = (0.0, 0.5, 0.5 * (1 + 1e-6), -0.5, np.nextafter(0.5, 1), 0.49996, 1e6, -np.inf, np.nan, 5e-324, 12.0)
REQUESTS = 50  # of one trial


def requests(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Send random requests, most of them beyond a limit; compare every value that is written with the limits."""
    network = opened(rng)
    written = network.bench.instrument("out").written
    done = 0
    try:
        for _ in range(REQUESTS):
            values = rng.uniform(-0.6, 0.6, (2, 2))
            drive = hl.OutputDrive("resistor", values, np.full(2, 1e-4)) if rng.random() < 0.3 else None
            done += is_measured(network, rng, (2, 2), drive, BEYOND)
    finally:
        with contextlib.suppress(HwlearnError):
            network.close()
    most = most_written(written)
    return {
        "beyond": most > LIMITS.voltage * (1 + 1e-9),
        "requests": REQUESTS,
        "done": done,
        "reached": most > 0.4,
    }


CAMPAIGN = Campaign(
    "daq_requests",
    requests,
    ["requests"],
    {"beyond": none(), "requests": shown(), "done": shown(), "reached": every()},
    count=200,
)

if __name__ == "__main__":
    CAMPAIGN.main()
