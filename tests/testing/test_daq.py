"""Networks on DAQ devices keep the contract: outputs and switches on one, inputs on another."""

from __future__ import annotations

import hwlearn as hl
from hwlearn.testing import NetworkContract
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1.5e-5, 2e-4))


class TestDaqDevices(NetworkContract):
    """Sources and nudge resistors on a PCI-6733, readers on a PCI-6225, edges on a card."""

    rows, big_batch, repeats, interrupts = 4, 10, 24, 4

    def make_network(self):
        topology = hl.Topology(
            5, [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 4)], inputs=[0, 1], outputs=[2, 3], ground=4
        )
        nudges = [
            {"source": f"out:ao{2 + k}", "resistance": "10 kohm", "switch": f"out:port0/line{k}"} for k in range(2)
        ]
        table = VirtualMixedSettings(
            instruments=[
                {
                    "name": "out",
                    "model": "nidaqmx",
                    "product": "PCI-6733",
                    "lines": ["port0/line0", "port0/line1"],
                },
                {"name": "in", "model": "nidaqmx", "product": "PCI-6225", "samples": 4},
                {"name": "card", "model": "edge-card", "linear": ["15 uS", "200 uS"], "positions": 4096},
            ],
            terminals=[
                {"node": 0, "source": "out:ao0", "read": "in:ai2"},
                {"node": 1, "source": "out:ao1"},
                {"node": 2, "read": "in:ai0", "nudge": nudges[0]},
                {"node": 3, "read": "in:ai1", "nudge": nudges[1]},
            ],
            edges={"programmer": "card"},
        )
        return VirtualMixedBackend().open(table, topology, LIMITS)

    def outputs_on(self, network):
        return not network.bench.instrument("out").is_off

    def hardware_state(self, network):
        virtual = network.bench.instrument("out")
        return dict(virtual.outputs), dict(virtual.lines)

    def stop_answering(self, network):
        network.bench.instrument("in").unplug()
        return True
