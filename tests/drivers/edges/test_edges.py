"""Edges on SMU benches: fixed resistors, and the edge card over a socket."""

import numpy as np
import pytest

from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError, NetworkError, SetupError
from hwlearn.network.edge_codes import Rheostat
from hwlearn.network.limits import Limits
from hwlearn_drivers.edges.card import CardEdges, EdgeCard
from hwlearn_drivers.edges.edges import FixedEdges
from hwlearn_drivers.errors import GarbledReplyError, InstrumentError, OutputStateError
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes
from hwlearn_drivers.transport.fence import SCPI_FENCE
from hwlearn_drivers.transport.transport import Transport

LIMITS = Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1.5e-5, 1e-3))
LAW = Rheostat(100e3, 100.0)


@pytest.fixture
def triangle():
    return Topology(3, [(0, 1), (1, 2), (0, 2)], [0], [1], ground=2)


class Card:
    """An edge card with its codes and injected faults."""

    def __init__(self, places=8, stuck=()):
        self.codes = np.zeros(places, dtype=np.uint16)
        self.stuck, self.error, self.spoilt = list(stuck), b'0,"No error"', False
        self.fences = 0

    def block(self):
        data = bytearray(encode_codes(self.codes))
        data[0] ^= self.spoilt
        return encode_block(bytes(data)) + b"\n"

    def answer(self, line):
        if line.startswith("EDGE:DATA?;:"):
            before = self.block()
            self.answer(line.removeprefix("EDGE:DATA?;:"))
            return before
        if line.startswith("EDGE:DATA #"):
            codes = decode_codes(line.encode("latin-1")[len("EDGE:DATA #") + 1 + int(line[11]) :])
            codes[self.stuck] = self.codes[self.stuck]
            self.codes = codes
            return None
        if line == "SYST:ERR?":
            error, self.error = self.error, b'0,"No error"'
            return error + b"\n"
        if line.startswith("*ESE ") and "?" in line:
            self.fences += 1
            return line.split()[1].split(";")[0].encode() + b"\n"
        return {"*IDN?": b"HWLEARN,EDGE CARD,7,1.0\n", "EDGE:DATA?": self.block()}.get(line)


@pytest.fixture
def card(responder):
    """Return an open edge card and the instrument behind it."""
    device = Card()
    server = responder(device.answer)
    how = LinkOptions(timeout_s=5.0)
    opened = EdgeCard.open(Transport("card", lambda: open_link(server.url, how), timeout_s=5.0))
    yield opened, device
    opened.close()


# --- fixed resistors ------------------------------------------------------------------------------


def test_fixed_edges_fail_for_other_targets(triangle):
    edges = FixedEdges(triangle, LIMITS, [1e-4, 2e-4, 3e-4])
    done = edges.program(np.array([1e-4, 2.1e-4, 3e-4]))
    assert done.failed.tolist() == [False, True, False]
    assert done.reached.tolist() == [1e-4, 2e-4, 3e-4]
    assert FixedEdges(triangle, LIMITS, 1e-4).conductances.tolist() == [1e-4] * 3


def test_fixed_edges_outside_the_limits_are_rejected(triangle):
    with pytest.raises(SetupError, match="3 edges need one conductance or as many, got 2"):
        FixedEdges(triangle, LIMITS, [1e-4, 2e-4])
    with pytest.raises(LimitError, match="outside limits"):
        FixedEdges(triangle, LIMITS, [1e-4, 2e-4, 1.0])


# --- edge card ------------------------------------------------------------------------------------


def test_card_sets_and_reports_codes(card, triangle):
    opened, device = card
    edges = CardEdges(opened, triangle, LIMITS, LAW, places=[5, 0, 3])
    device.codes[1] = 77
    targets = np.array([2e-5, 1e-4, 9e-4])
    done = edges.program(targets)
    wanted = LAW.nearest(targets)
    assert device.codes[[5, 0, 3]].tolist() == wanted.tolist()
    assert device.codes[1] == 77, "an unused place does not change"
    np.testing.assert_array_equal(done.reached, LAW.siemens(wanted))
    assert not done.failed.any()


def test_edge_that_does_not_change_is_reported_as_failed(card, triangle):
    opened, device = card
    device.stuck = [1]
    done = CardEdges(opened, triangle, LIMITS, LAW).program(np.array([1e-4, 1e-4, 1e-4]))
    assert done.failed.tolist() == [False, True, False]
    assert done.reached[1] == LAW.siemens(np.array([0], dtype=np.uint16))[0]


def test_card_with_event_register_uses_the_fence(card):
    assert card[0].transport.fence is SCPI_FENCE


def test_card_without_event_register_is_resynchronised_by_silence(responder):
    device = Card()

    def answer(line):
        if line.startswith("*ESE"):
            device.error = b'-113,"Undefined header"'
            return None
        return device.answer(line)

    server = responder(answer)
    how = LinkOptions(timeout_s=5.0)
    with EdgeCard.open(Transport("card", lambda: open_link(server.url, how), timeout_s=2.0)) as opened:
        assert opened.transport.fence is None
        opened.transport.resynchronise()
        assert len(opened.read_codes()) == 8
        assert not [line for line in server.heard if line.startswith("*ESE") and "?" in line]


def test_card_reconnects_after_its_link_was_closed(card, triangle):
    opened, device = card
    edges = CardEdges(opened, triangle, LIMITS, LAW)
    edges.reconnect()
    device.codes[:] = 9
    opened.transport.close()
    edges.reconnect()
    assert edges.program(np.full(3, 1e-4)).failed.tolist() == [False] * 3
    assert device.codes[3] == 9


def test_edges_that_somebody_else_changed_are_named(card, triangle):
    opened, device = card
    edges = CardEdges(opened, triangle, LIMITS, LAW, places=[5, 0, 3])
    edges.check()
    edges.program(np.array([2e-5, 1e-4, 9e-4]))
    edges.check()
    set_codes = device.codes.copy()
    device.codes[[1, 7]] = 77  # places of no edge
    edges.check()
    device.codes[[5, 3]] += 1
    words = (
        rf"edges \[0, 2\] at its places \[5, 3\] were set to codes \[{set_codes[5]}, {set_codes[3]}\] and "
        rf"have codes \[{set_codes[5] + 1}, {set_codes[3] + 1}\]"
    )
    with pytest.raises(OutputStateError, match=words):
        edges.check()
    changed = device.codes.copy()
    with pytest.raises(OutputStateError, match=words):
        edges.program(np.full(3, 1e-4))
    assert (device.codes == changed).all(), "nothing is overwritten"


def test_reconnecting_sets_the_edges_again(card, triangle):
    opened, device = card
    edges = CardEdges(opened, triangle, LIMITS, LAW, places=[5, 0, 3])
    device.codes[5] = 9
    edges.reconnect()  # this program has not set them yet
    edges.check()
    edges.program(np.full(3, 1e-4))
    set_codes = device.codes[[5, 0, 3]].tolist()
    device.codes[:] = 44
    edges.reconnect()
    assert device.codes.tolist() == [set_codes[1], 44, 44, set_codes[2], 44, set_codes[0], 44, 44]
    edges.check()
    device.codes[0] = 45
    device.stuck = [0]
    with pytest.raises(NetworkError, match="do not return to their previous codes"):
        edges.reconnect()
    with pytest.raises(OutputStateError, match="somebody else changed"):
        edges.check()


def test_stuck_edge_is_not_taken_for_a_changed_one(card, triangle):
    opened, device = card
    device.stuck = [1]
    edges = CardEdges(opened, triangle, LIMITS, LAW)
    for siemens in (1e-4, 2e-4):
        assert edges.program(np.full(3, siemens)).failed.tolist() == [False, True, False]
        edges.check()
    edges.reconnect()
    edges.check()


def test_rejected_block_raises_error_with_its_command(card):
    opened, device = card
    device.error = b'-161,"Invalid block data"'
    with pytest.raises(InstrumentError, match=r"'EDGE:DATA' with error -161, 'Invalid block data'"):
        opened.write_codes(np.array([1, 2, 3], dtype=np.uint16))


def test_wrong_checksum_is_a_garbled_reply(card):
    opened, device = card
    device.spoilt = True
    with pytest.raises(GarbledReplyError, match=r"EDGE:DATA\?"):
        opened.read_codes()
    device.spoilt = False
    assert device.fences == 0
    np.testing.assert_array_equal(opened.read_codes(), device.codes)
    assert device.fences == 2, "it resynchronises before the next query"


@pytest.mark.parametrize(
    ("places", "words"),
    [([0, 1], "3 edges need 3 different places"), ([0, 1, 1], "different places"), ([0, 1, 8], "places 0 to 7")],
)
def test_invalid_places_are_rejected(card, triangle, places, words):
    with pytest.raises(SetupError, match=words):
        CardEdges(card[0], triangle, LIMITS, LAW, places)


def test_limits_beyond_the_card_are_rejected(card, triangle):
    wide = Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-7, 1e-3))
    with pytest.raises(SetupError, match="the edge card covers"):
        CardEdges(card[0], triangle, wide, LAW)


def test_code_that_no_edge_can_have_is_refused(card, triangle):
    opened, device = card
    edges = CardEdges(opened, triangle, LIMITS, LAW)
    edges.program(np.full(3, 1e-4))
    device.stuck = [1]
    device.codes[1] = edges._taken[1] = 256
    with pytest.raises(NetworkError, match=r"code 256 at place 1; with 256 positions the largest is 255"):
        edges.program(np.full(3, 2e-4))
    with pytest.raises(NetworkError, match=r"correct edges\.positions"):
        CardEdges(opened, triangle, LIMITS, LAW)
