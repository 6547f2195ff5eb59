"""A network behind a switch matrix keeps the contract; the instruments are virtual, their drivers real."""

from __future__ import annotations

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.testing import NetworkContract
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1.5e-5, 2e-4))
SMU = {"voltage_sigma": "0.1 mV", "current_sigma": "10 nA"}


def graph():
    edges = [(0, 3), (0, 4), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4), (4, 5)]
    return hl.Topology(6, edges, inputs=[0, 1, 2], outputs=[3, 4], ground=5)


@pytest.mark.slow
class TestMatrixBench(NetworkContract):
    """Three inputs on two source rows and a ground line; two outputs on two rows that read and nudge."""

    rows, big_batch, repeats, interrupts, edges_tested = 4, 8, 24, 4, 3

    def make_network(self):
        table = VirtualMixedSettings(
            instruments=[
                {"name": "in", "model": "2612B", **SMU},
                {"name": "out", "model": "2612B", **SMU},
                {
                    "name": "mat",
                    "model": "707B",
                    "cards": {"1": "7174A"},
                    "max_voltage": "200 V",
                    "max_current": "1 A",
                },
                {"name": "card", "model": "edge-card", "linear": ["15 uS", "200 uS"], "positions": 256},
            ],
            matrix={
                "instrument": "mat",
                "rows": {
                    "A": {"source": "in:a"},
                    "B": {"source": "in:b"},
                    "C": {"read": "out:a", "nudge": "out:a"},
                    "D": {"read": "out:b", "nudge": "out:b"},
                    "H": "ground",
                },
                "columns": {"n0": 1, "n1": 2, "n2": 3, "n3": 4, "n4": 5},
            },
            edges={"programmer": "card"},
            driver={"timeout": 5.0},
        )
        return VirtualMixedBackend().open(table, graph(), LIMITS)

    def inputs(self):
        levels = np.random.default_rng(3).uniform(-0.5, 0.5, (self.rows, 2))
        x = np.array([[a, b, 0.0] if k % 2 else [a, b, a] for k, (a, b) in enumerate(levels)])
        x[:2, 0] = 0.5, -0.5
        x[0, 2] = 0.5
        return x

    def outputs_on(self, network):
        smus = [network.bench.instrument(name) for name in ("in", "out")]
        closed = network.bench.instrument("mat").relays.closed
        return bool(closed) or any(channel.settings.output for smu in smus for channel in smu.channels)

    def hardware_state(self, network):
        smus = [network.bench.instrument(name) for name in ("in", "out")]
        levels = [(c.settings.output, c.settings.levels) for smu in smus for c in smu.channels]
        return repr(levels), frozenset(network.bench.instrument("mat").relays.closed)

    def stop_answering(self, network):
        network.bench.faults("in").muted = True
        return True
