"""A virtual bench with SMUs of four models, and the `SmuNetwork` on its instruments."""

import sys
import time

from short_waits import short_waits

import hwlearn as hl
from hwlearn.network.edge_codes import EvenSteps
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import PlacedCard, PlacedSmu

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 2e-4))
PTY = "pty" if sys.platform != "win32" else "tcp"
QUIET = Meters(noise=0.0)


class Rack:
    """A virtual bench and the `SmuNetwork` on its instruments. Ramps have one step by default."""

    def __init__(self, graph, meters=QUIET, limits=LIMITS, spread=0.0, **settings):
        a, b, c = graph.inputs.tolist()
        y, z = graph.outputs.tolist()
        placed = [
            PlacedSmu("one", "2400", (a,)),
            PlacedSmu("two", "2612B", (b, y)),
            PlacedSmu("three", "B2902A", (c,)),
            PlacedSmu("four", "2450", (z,), wire=PTY),
            PlacedCard("card", EvenSteps(*LIMITS.conductance, 1024)),
        ]
        flaws = Imperfections(device_spread=spread)
        self.bench = VirtualBench(graph, placed, conductances=1e-4, imperfections=flaws, meters=meters, seed=4)
        self.bench.start()
        places = {"one": [(1, a)], "two": [("a", b), ("b", y)], "three": [(1, c)], "four": [(1, z)]}
        models = {"one": "2400", "two": "2612B", "three": "auto", "four": "2450"}
        table = {
            "channels": [
                {"address": self.bench.address(name), "model": models[name], "channel": channel, "node": node}
                for name, wired in places.items()
                for channel, node in wired
            ],
            "edges": {
                "address": self.bench.address("card"),
                "linear": [f"{siemens} S" for siemens in LIMITS.conductance],
                "positions": 1024,
            },
            "settle": 0,
            "slew_V_per_s": 1e5,
            "ramp_step": "1 V",
            "voltage_sigma": "20 uV",
            "current_sigma": "5 nA",
            "timeout": 5,
        }
        self.settings = SmuBackend.Settings(**(table | settings))
        try:
            self.network = SmuBackend.open(self.settings, graph, limits)
        except BaseException:
            self.bench.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.network.close()
        finally:
            self.bench.close()

    @property
    def on(self):
        """Channels whose output is on."""
        smus = (self.bench.instrument(name) for name in ("one", "two", "three", "four"))
        return [channel.label for smu in smus for channel in smu.channels if channel.settings.output]

    def goes_off(self):
        """Wait until every output is off, because OFF has no reply and may not have been processed yet."""
        deadline = time.monotonic() + 10
        while self.on:
            assert time.monotonic() < deadline, f"still on: {self.on}"
        return True

    def short_waits(self, seconds=0.3):
        """Return a context in which the lost answer of an SMU is noticed soon."""
        return short_waits(*(smu.transport for smu in self.network._instruments), seconds=seconds)

    @property
    def truth(self):
        return hl.Kirchhoff(self.bench.topology, self.bench.true_conductances)
