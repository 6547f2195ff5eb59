"""Networks on mixed benches keep the contract: a declared board with nudge resistors; a board with SMUs."""

from __future__ import annotations

from pathlib import Path

import pytest

import hwlearn as hl
from hwlearn.testing import NetworkContract
from hwlearn_drivers.declared.declaration import BOARDS
from hwlearn_sim.bench.mixed import VirtualMixedBackend, VirtualMixedSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1.5e-5, 2e-4))


def graph():
    return hl.Topology(
        5, [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 4)], inputs=[0, 1], outputs=[2, 3], ground=4
    )


def protocol(folder: Path) -> str:
    """Return the example with one more switch, and a time-out that a slow machine keeps."""
    text = (BOARDS / "example.toml").read_text(encoding="ascii").replace('timeout = "1 s"', 'timeout = "2 s"')
    text = text.replace('channels = ["sw0"]', 'channels = ["sw0", "sw1"]')
    text = text.replace('"SW sw0 OFF"]', '"SW sw0 OFF", "SW sw1 OFF"]')
    (folder / "board.toml").write_text(text, encoding="ascii")
    return str(folder / "board.toml")


class MixedContract(NetworkContract):
    """Sources on a declared board."""

    rows, big_batch, repeats, interrupts = 4, 10, 24, 4

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def outputs_on(self, network):
        return not network.bench.instrument("board").hardware.is_off

    def hardware_state(self, network):
        hardware = network.bench.instrument("board").hardware
        return list(hardware.edge_codes()), dict(hardware._levels), set(hardware._closed)

    def stop_answering(self, network):
        network.bench.faults("board").muted = True
        return True


class TestDeclaredBoard(MixedContract):
    """Everything on one board with a text protocol."""

    def make_network(self):
        nudges = [
            {"source": f"board:{8 - k}", "resistance": "10 kohm", "switch": f"board:sw{k}"} for k in range(2)
        ]
        table = VirtualMixedSettings(
            instruments=[{"name": "board", "model": "declared", "protocol": protocol(self.folder)}],
            terminals=[
                {"node": 0, "source": "board:0", "read": "board:2"},
                {"node": 1, "source": "board:1"},
                {"node": 2, "read": "board:0", "nudge": nudges[0]},
                {"node": 3, "read": "board:1", "nudge": nudges[1]},
            ],
            edges={"programmer": "board"},
        )
        return VirtualMixedBackend().open(table, graph(), LIMITS)


class TestBoardAndSmus(MixedContract):
    """Inputs on a board; outputs on source-measure units, which read and nudge them."""

    def make_network(self):
        table = VirtualMixedSettings(
            instruments=[
                {"name": "board", "model": "declared", "protocol": protocol(self.folder)},
                {"name": "smu", "model": "2612B", "voltage_sigma": "0.1 mV", "current_sigma": "10 nA"},
            ],
            terminals=[
                {"node": 0, "source": "board:0", "read": "board:2"},
                {"node": 1, "source": "board:1"},
                {"node": 2, "read": "smu:a", "nudge": "smu:a"},
                {"node": 3, "read": "smu:b", "nudge": "smu:b"},
            ],
            edges={"programmer": "board"},
            driver={"timeout": 5.0},
        )
        return VirtualMixedBackend().open(table, graph(), LIMITS)

    def outputs_on(self, network):
        smu = network.bench.instrument("smu")
        return super().outputs_on(network) or any(channel.settings.output for channel in smu.channels)
