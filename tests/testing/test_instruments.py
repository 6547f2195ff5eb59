"""The backends on instruments keep the contract of networks: virtual instruments, the board, ArC TWO, calibration.

The instruments are asked behind the network's back which outputs are on. All of them also stop answering.
"""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from arc2_rig import LIMITS as ARC2_LIMITS
from arc2_rig import FakeLibrary, array_of, crossbar, settings, world_of

import hwlearn as hl
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import EdgeRecord
from hwlearn.errors import SetupError
from hwlearn.testing import NetworkContract
from hwlearn_drivers.arc2 import backend as arc2_backend
from hwlearn_drivers.arc2.backend import Arc2Backend
from hwlearn_sim.bench.board_backend import BOARD, VirtualBoardBackend
from hwlearn_sim.bench.smu_backend import VirtualSmuBackend
from hwlearn_sim.board.build import host_library

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 1e-4))
BOARD_LIMITS = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1e-3, conductance=(1.5e-5, 2e-4))


def graph():
    return hl.Topology(
        5, [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (3, 4)], inputs=[0, 1], outputs=[2, 3], ground=4
    )


class VirtualSmuContract(NetworkContract):
    """On virtual source-measure units, with the real drivers, over sockets."""

    model_number = "2450"
    edges: object = "card"
    rows, big_batch, repeats, interrupts = 4, 10, 24, 6

    def make_network(self):
        table = VirtualSmuBackend.Settings(model=self.model_number, edges=self.edges, driver={"timeout": 2.0})
        network = VirtualSmuBackend().open(table, graph(), LIMITS)
        self.listed = network.bench.instruments
        return network

    def channels(self, network):
        smus = [one["name"] for one in self.listed if one["node"] is not None]
        return [channel for name in smus for channel in self.bench_of(network).instrument(name).channels]

    def bench_of(self, network):
        return network.bench

    def outputs_on(self, network):
        return any(channel.settings.output for channel in self.channels(network))

    def hardware_state(self, network):
        levels = [(channel.settings.output, dict(channel.settings.levels)) for channel in self.channels(network)]
        return levels, self.bench_of(network).true_conductances.tolist()

    def stop_answering(self, network):
        for one in self.listed:
            self.bench_of(network).faults(one["name"]).muted = True
        return True


@pytest.mark.slow
class TestVirtual2450(VirtualSmuContract):
    """The model of the other models, with an edge card."""


@pytest.mark.slow
class TestVirtual2400(VirtualSmuContract):
    model_number = "2400"


@pytest.mark.slow
class TestVirtual2612B(VirtualSmuContract):
    model_number = "2612B"


@pytest.mark.slow
class TestVirtualB2902A(VirtualSmuContract):
    model_number = "B2902A"


@pytest.mark.slow
class TestFixedResistors(VirtualSmuContract):
    edges = 3e-5


def halved(network):
    """Return the record of a calibration that found every edge at 90 percent of its nominal value."""
    n = network.topology.n_edges
    edges = EdgeRecord(
        gain=np.full(n, 0.9),
        gain_sigma=np.zeros(n),
        scale_sigma=0.0,
        scale_known=True,
        chi=1.0,
        configurations=16,
    )
    return CalibrationRecord.of(network.topology, network.instruments).with_step("edges", edges)


@pytest.mark.slow
class TestCalibratedInstruments(VirtualSmuContract):
    def make_network(self):
        inner = super().make_network()
        return CalibratedNetwork(inner, replace(halved(inner), instruments=inner.instruments))

    def bench_of(self, network):
        return network.network.bench


@pytest.mark.slow
class TestVirtualBoard(NetworkContract):
    """The firmware of the reference board, with its driver."""

    rows, repeats, interrupts = 6, 24, 6

    @pytest.fixture(autouse=True)
    def _firmware(self):
        try:
            host_library()
        except SetupError as error:
            pytest.skip(str(error))

    def make_network(self):
        table = VirtualBoardBackend.Settings(driver={"timeout": 2.0})
        return VirtualBoardBackend().open(table, graph(), BOARD_LIMITS)

    def outputs_on(self, network):
        return not network.bench.board(BOARD).is_safe

    def hardware_state(self, network):
        return network.bench.board(BOARD).edge_codes().tolist(), network.bench.board(BOARD).dac_codes()

    def stop_answering(self, network):
        network.bench.faults(BOARD).muted = True
        return True


class TestArc2(NetworkContract):
    """The vendor's library is replaced by a simulated instrument with a crossbar of 4 x 3 resistors."""

    rows, repeats, interrupts = 6, 8, 12

    @pytest.fixture(autouse=True)
    def _simulated(self, tmp_path):
        self.firmware = tmp_path / "fw.bin"
        self.firmware.touch()
        self.world = None

    def make_network(self):
        self.world = world_of(array_of())
        with mock.patch.object(arc2_backend, "load_library", return_value=FakeLibrary(self.world)):
            return Arc2Backend.open(settings(self.firmware, pulses=None), crossbar(), ARC2_LIMITS)

    def outputs_on(self, network):
        return not self.world.at_0_V

    def hardware_state(self, network):
        return self.world.volts.tolist(), self.world.floats.tolist(), len(self.world.pulses)
