"""The simulators of this package keep the contract of networks."""

import numpy as np
import pytest
from transistor_circuits import DEVICE

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC
from hwlearn.testing import NetworkContract
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.twin.memristive import MemristiveTwin
from hwlearn_sim.twin.memristive.settings import MemristorSettings

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-4))
LAB = Imperfections(
    device_spread=0.1,
    read_noise_V=1e-3,
    current_noise_A=1e-8,
    adc_bits=12,
    adc_range_V=1.0,
    dac_bits=12,
    dac_range_V=1.0,
    conductance_bits=10,
)


def graph():
    return hl.Topology.random(14, 30, inputs=4, outputs=3, seed=5)


@pytest.mark.slow
class TestTwin(NetworkContract):
    def make_network(self):
        return KirchhoffTwin(graph(), LIMITS)


class TestTwinWithImperfections(NetworkContract):
    rows, big_batch, repeats, edges_tested, interrupts = 4, 20, 24, 4, 3

    def make_network(self):
        return KirchhoffTwin(graph(), LIMITS, LAB, seed=3)


@pytest.mark.slow
class TestTransistors(NetworkContract):
    """Gate voltages and conductances, with mismatch and noise."""

    rows, big_batch, repeats, edges_tested, interrupts = 4, 20, 24, 4, 3

    def make_network(self):
        elements = [DEVICE if k % 5 else OHMIC for k in range(30)]
        limits = hl.Limits(0.5, 1.0, 0.2, 2e-2, (1e-6, 1e-4), values={"gate voltage": (1.0, 8.0)})
        chip = Imperfections(device_spread={"vto": 1e-3, "kp": 1e-3}, read_noise_V=1e-4)
        return KirchhoffTwin(graph().with_elements(elements), limits, chip, seed=3)


@pytest.mark.slow
class TestTwinWithStuckDevices(NetworkContract):
    def make_network(self):
        return KirchhoffTwin(graph(), LIMITS, Imperfections(stuck_fraction=0.2), seed=3)

    def model(self, network, conductances):
        return hl.Kirchhoff(network.topology, network.true_conductances)

    def stuck_edges(self, network):
        return np.flatnonzero(network.program(np.full(30, 5e-5)).failed).tolist()


@pytest.mark.slow
class TestMemristiveTwin(NetworkContract):
    """Devices whose conductance is written with pulses, with write noise."""

    def make_network(self):
        return MemristiveTwin(graph(), LIMITS, MemristorSettings(model="soft-bounds").memristors(), seed=3)

    def model(self, network, conductances):
        return hl.Kirchhoff(network.topology, network.true_conductances)


@pytest.mark.slow
class TestTwinOfDiodes(NetworkContract):
    def make_network(self):
        top = hl.Topology(
            5,
            [(0, 2), (1, 3), (2, 3), (2, 4), (3, 4), (0, 3)],
            inputs=[0, 1],
            outputs=[2, 3],
            ground=4,
            elements=[hl.elements.Ohmic()] * 4 + [hl.elements.Shockley()] * 2,
        )
        return KirchhoffTwin(top, LIMITS)
