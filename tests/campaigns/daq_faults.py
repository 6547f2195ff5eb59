"""Faults on benches of DAQ devices.

A device is unplugged, reset by another program, late, short of samples or fails to write, at a random call of one
of two devices. Every reading that is returned is that of the circuit; after an error every device that can be
reached is at 0 V, and the error names the one that failed::

    python tests/campaigns/daq_faults.py --count 100
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from campaign import Campaign, every, none, shown

import hwlearn as hl
from hwlearn.errors import HwlearnError
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings
from hwlearn_sim.bench.network import VirtualNetwork

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1.5e-5, 2e-4))
TOPOLOGY = hl.Topology(
    5, [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 4)], inputs=[0, 1], outputs=[2, 3], ground=4
)
FAULTS = {"out": ("gone", "write fails", "reset"), "in": ("gone", "late", "short", "nan", "reset")}


INSTRUMENTS = (
    {"name": "out", "model": "nidaqmx", "product": "PCI-6733", "lines": ["port0/line0", "port0/line1"]},
    {"name": "in", "model": "nidaqmx", "product": "PCI-6225", "samples": 4},
)
"""Outputs and switches on one device, inputs on another one."""

TERMINALS = (
    {"node": 0, "source": "out:ao0", "read": "in:ai2"},
    {"node": 1, "source": "out:ao1"},
    *(
        {
            "node": 2 + k,
            "read": f"in:ai{k}",
            "nudge": {"source": f"out:ao{2 + k}", "resistance": 1e4, "switch": f"out:port0/line{k}"},
        }
        for k in range(2)
    ),
)


def opened(rng: np.random.Generator) -> VirtualNetwork:
    """Return a network on the devices, with random fixed resistors."""
    edges = rng.uniform(2e-5, 1.9e-4, 6).tolist()
    table = VirtualMixedSettings(instruments=INSTRUMENTS, terminals=TERMINALS, edges=edges, noise=0.0)
    return VirtualMixedBackend().open(table, TOPOLOGY, LIMITS)


def faults(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Measure with a fault at a random call of one device."""
    place, kind = case.split(" ", 1)
    network = opened(rng)
    bench = network.bench
    virtual = bench.instrument(place)
    wrong = errors = named = off = beyond = 0
    try:
        for step in range(6):
            if step == 2:
                virtual.inject(kind, int(rng.integers(0, 4)), of="write" if place == "out" else "read")
            x = np.round(rng.uniform(-0.4, 0.4, (3, 2)), 4)
            values = np.where(rng.random((3, 2)) < 0.5, rng.uniform(-0.1, 0.1, (3, 2)), np.nan)
            drive = hl.OutputDrive("resistor", values, np.full(2, 1e-4)) if rng.random() < 0.5 else None
            try:
                read = network.measure(x, drive)
            except HwlearnError as error:
                errors += 1
                named += place in str(error).lower()
                off += bench.instrument("out").is_off or (place == "out" and "MAY BE ON" in str(error))
                virtual.plug_in()
                network.reconnect()
                continue
            if drive is None:
                wrong += bool(np.abs(read.voltages - bench.true_outputs(x)).max() > 5e-4)
        beyond = most_written(bench.instrument("out").written) > LIMITS.voltage * (1 + 1e-9)
    finally:
        network.close()
    return {
        "wrong readings": wrong,
        "errors": errors,
        "noticed": errors > 0 or kind == "nan",  # it may be in a reading that is not used
        "named": named == errors,
        "off": off == errors,
        "beyond": beyond,
        "off at the end": bench.instrument("out").is_off,
    }


def most_written(written: list[dict[str, float]]) -> float:
    """Return the largest voltage of all writes."""
    return max(abs(volts) for values in written for volts in values.values())


CAMPAIGN = Campaign(
    "daq_faults",
    faults,
    [f"{place} {kind}" for place, kinds in FAULTS.items() for kind in kinds],
    {
        "wrong readings": none(),
        "errors": shown(),
        "noticed": every(),
        "named": every(),
        "off": every(),
        "beyond": none(),
        "off at the end": every(),
    },
    count=125,
)
if __name__ == "__main__":
    CAMPAIGN.main()
