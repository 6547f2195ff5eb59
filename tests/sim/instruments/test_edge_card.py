"""The edge card: blocks of codes, rejected messages, device errors."""

from __future__ import annotations

import numpy as np
import pytest

from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import EvenSteps
from hwlearn.network.limits import Limits
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.devices.programmed import Devices
from hwlearn_sim.instruments.edge_card import VirtualEdgeCard
from hwlearn_sim.plane.plane import AnalogPlane

LAW = EvenSteps(1e-6, 1e-4, 256)


def card(law=LAW, *, imperfections=None, edges=None, codes=None, seed=0):
    topology = Topology.crossbar(3, 2, inputs=[0, 1], outputs=[0])
    drawn, writes = np.random.default_rng(seed).spawn(2)
    ranges = ValueRanges.of_conductances(1e-6, 1e-4, topology.n_edges)
    devices = Devices(ranges, imperfections or Imperfections(), drawn, writes)
    plane = AnalogPlane(topology, np.full(topology.n_edges, 1e-5))
    return VirtualEdgeCard(plane, law, devices, edges, codes), plane


def block_of(codes) -> bytes:
    return b"EDGE:DATA " + encode_block(encode_codes(codes))


def read_back(one: VirtualEdgeCard) -> list[int]:
    reply = one.execute(b"EDGE:DATA?")
    assert reply.endswith(b"\n")
    return decode_codes(reply[2 + int(reply[1:2]) : -1]).tolist()


def test_codes_set_conductances():
    one, plane = card()
    assert plane.conductances == pytest.approx(np.full(6, LAW.siemens(np.array(128))))
    assert one.execute(block_of([0, 255, 10, 13, 35, 59])) == b""  # among them "\n", "\r", "#" and ";"
    assert plane.conductances == pytest.approx(1e-6 + 99e-6 * np.array([0, 255, 10, 13, 35, 59]) / 255)
    assert read_back(one) == [0, 255, 10, 13, 35, 59]
    assert one.execute(b"SYST:ERR?") == b'0,"No error"\n'
    assert one.execute(b"*IDN?").startswith(b"hwlearn,EDGE CARD,")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (block_of([0, 0, 0, 0, 0, 256]), -222),
        (block_of([1, 2, 3]), -161),
        (block_of([1, 2, 3, 4, 5, 6])[:-1] + b"\x00", -161),
        (b"EDGE:DATA #15ab", -161),
        (b"EDGE:DATA 5", -104),
        (b"EDGE:DATA", -109),
        (b"EDGE:NONE?", -113),
    ],
)
def test_refused_message_changes_no_edge(message, code):
    one, plane = card(codes=[9, 8, 7, 6, 5, 4])
    before = plane.conductances.copy()
    one.execute(message)
    assert one.errors.next()[0] == code
    assert (plane.conductances == before).all()
    assert read_back(one) == [9, 8, 7, 6, 5, 4]


def test_reset_keeps_edges():
    one, plane = card(codes=[9, 8, 7, 6, 5, 4])
    before = plane.conductances.copy()
    one.execute(b"*RST")
    assert (plane.conductances == before).all()


def test_card_can_program_some_edges():
    one, plane = card(edges=[4, 1])
    assert one.execute(block_of([255, 0])) == b""
    assert plane.conductances.tolist() == pytest.approx([1e-5, 1e-6, 1e-5, 1e-5, 1e-4, 1e-5])


def test_devices_are_those_of_a_twin_with_same_seed():
    """With the same seed, a virtual bench and a twin have the same devices."""
    flaws = Imperfections(device_spread=0.2, stuck_fraction=0.3, stuck={2: 3e-5}, conductance_bits=8)
    one, plane = card(imperfections=flaws, seed=5)
    topology = plane.topology
    twin = KirchhoffTwin(topology, Limits(0.5, 1.0, 0.2, 1e-3, (1e-6, 1e-4)), flaws, seed=5)
    codes = np.array([3, 50, 100, 150, 200, 250])
    one.execute(block_of(codes))
    twin.program(LAW.siemens(codes))
    np.testing.assert_allclose(plane.conductances, twin.true_conductances, rtol=1e-12)
    assert plane.conductances[2] == 3e-5


def test_write_noise_differs_between_writes():
    one, plane = card(imperfections=Imperfections(write_noise=0.01))
    seen = []
    for _ in range(200):
        one.execute(block_of([100] * 6))
        seen.append(np.log(plane.conductances / LAW.siemens(np.array(100))))
    assert np.std(seen) == pytest.approx(0.01, rel=0.1)
    assert abs(np.mean(seen)) < 5 * 0.01 / np.sqrt(1200)


@pytest.mark.parametrize(
    "make",
    [
        lambda: card(edges=[0, 0]),
        lambda: card(edges=[6]),
        lambda: card(codes=[1, 2]),
        lambda: card(codes=[256] * 6),
    ],
)
def test_invalid_edge_card_is_refused(make):
    with pytest.raises(SetupError):
        make()
