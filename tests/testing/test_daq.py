"""Networks on DAQ devices keep the contract: outputs and switches on one, inputs on another."""

from __future__ import annotations

from daq_faults import INSTRUMENTS, LIMITS, TERMINALS, TOPOLOGY

from hwlearn.testing import NetworkContract
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings


class TestDaqDevices(NetworkContract):
    """Sources and nudge resistors on a PCI-6733, readers on a PCI-6225, edges on a card."""

    rows, big_batch, repeats, interrupts = 4, 10, 24, 4

    def make_network(self):
        card = {"name": "card", "model": "edge-card", "linear": ["15 uS", "200 uS"], "positions": 4096}
        table = VirtualMixedSettings(
            instruments=(*INSTRUMENTS, card), terminals=TERMINALS, edges={"programmer": "card"}
        )
        return VirtualMixedBackend().open(table, TOPOLOGY, LIMITS)

    def outputs_on(self, network):
        return not network.bench.instrument("out").is_off

    def hardware_state(self, network):
        virtual = network.bench.instrument("out")
        return dict(virtual.outputs), dict(virtual.lines)

    def stop_answering(self, network):
        network.bench.instrument("in").unplug()
        return True
