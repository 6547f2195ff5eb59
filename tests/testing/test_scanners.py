"""The contract of a bench whose board drives the inputs and whose scanning voltmeter reads everything."""

import pytest

import hwlearn as hl
from hwlearn.testing import NetworkContract
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1.5e-5, 2e-4))


class TestScannerAndBoard(NetworkContract):
    """Inputs on a declared board, read back by the scanner; outputs on the scanner alone: there is no nudge."""

    scanner = "34970A"
    rows, big_batch, repeats, interrupts = 4, 10, 24, 4

    def make_network(self):
        graph = hl.Topology(
            5, [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 4)], inputs=[0, 1], outputs=[2, 3], ground=4
        )
        table = VirtualMixedSettings(
            instruments=[
                {"name": "board", "model": "declared", "protocol": "example"},
                {"name": "scan", "model": self.scanner, "high_impedance": True},
            ],
            terminals=[
                {"node": 0, "source": "board:0", "read": "scan:101"},
                {"node": 1, "source": "board:1", "read": "scan:102"},
                {"node": 2, "read": "scan:103"},
                {"node": 3, "read": "scan:104"},
            ],
            edges={"programmer": "board"},
            driver={"timeout": 2.0},
        )
        return VirtualMixedBackend().open(table, graph, LIMITS)

    def outputs_on(self, network):
        bench = network.bench
        return not bench.instrument("board").hardware.is_off or bool(bench.instrument("scan").closed)

    def hardware_state(self, network):
        hardware = network.bench.instrument("board").hardware
        scanner = network.bench.instrument("scan")
        return list(hardware.edge_codes()), dict(hardware._levels), set(scanner.closed), scanner.channels.scanned

    def stop_answering(self, network):
        network.bench.faults("scan").muted = True
        return True


@pytest.mark.slow
class TestKeithleyAndBoard(TestScannerAndBoard):
    """The same with a Keithley 2700."""

    scanner = "2700"
