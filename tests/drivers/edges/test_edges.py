"""Edges: fixed resistors, and the edge card over a real socket."""

import numpy as np
import pytest

from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError, SetupError
from hwlearn.network.edge_codes import Rheostat
from hwlearn.network.limits import Limits
from hwlearn_drivers.edges.card import CardEdges, EdgeCard
from hwlearn_drivers.edges.edges import FixedEdges
from hwlearn_drivers.errors import GarbledReplyError, InstrumentError
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
    """An edge card: what it holds, and what is wrong with it."""

    def __init__(self, places=8, stuck=()):
        self.codes = np.zeros(places, dtype=np.uint16)
        self.stuck, self.error, self.spoilt = list(stuck), b'0,"No error"', False
        self.fences = 0

    def block(self):
        data = bytearray(encode_codes(self.codes))
        data[0] ^= self.spoilt
        return encode_block(bytes(data)) + b"\n"

    def answer(self, line):
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


# --- fixed ----------------------------------------------------------------------------------------


def test_fixed_edges_fail_at_everything_but_what_they_are(triangle):
    edges = FixedEdges(triangle, LIMITS, [1e-4, 2e-4, 3e-4])
    done = edges.program(np.array([1e-4, 2.1e-4, 3e-4]))
    assert done.failed.tolist() == [False, True, False]
    assert done.reached.tolist() == [1e-4, 2e-4, 3e-4]
    assert FixedEdges(triangle, LIMITS, 1e-4).conductances.tolist() == [1e-4] * 3


def test_fixed_edges_fit_the_network_and_its_limits(triangle):
    with pytest.raises(SetupError, match="3 edges need one conductance or as many, got 2"):
        FixedEdges(triangle, LIMITS, [1e-4, 2e-4])
    with pytest.raises(LimitError, match="outside limits"):
        FixedEdges(triangle, LIMITS, [1e-4, 2e-4, 1.0])


# --- the card -------------------------------------------------------------------------------------


def test_the_card_takes_and_reports_codes(card, triangle):
    opened, device = card
    edges = CardEdges(opened, triangle, LIMITS, LAW, places=[5, 0, 3])
    device.codes[1] = 77
    asked = np.array([2e-5, 1e-4, 9e-4])
    done = edges.program(asked)
    wanted = LAW.nearest(asked)
    assert device.codes[[5, 0, 3]].tolist() == wanted.tolist()
    assert device.codes[1] == 77, "a place that belongs to nobody stays as it was"
    np.testing.assert_array_equal(done.reached, LAW.siemens(wanted))
    assert not done.failed.any()


def test_an_edge_that_did_not_move_has_failed(card, triangle):
    opened, device = card
    device.stuck = [1]
    done = CardEdges(opened, triangle, LIMITS, LAW).program(np.array([1e-4, 1e-4, 1e-4]))
    assert done.failed.tolist() == [False, True, False]
    assert done.reached[1] == LAW.siemens(np.array([0], dtype=np.uint16))[0]


def test_a_card_is_fenced_if_it_has_the_register_for_it(card):
    assert card[0].transport.fence is SCPI_FENCE


def test_a_card_without_that_register_is_left_to_fall_silent(responder):
    device = Card()

    def answer(line):
        if line.startswith("*ESE"):
            device.error = b'-113,"Undefined header"'
            return None
        return device.answer(line)

    server = responder(answer)
    how = LinkOptions(timeout_s=5.0)
    with EdgeCard.open(Transport("card", lambda: open_link(server.url, how), timeout_s=0.3)) as opened:
        assert opened.transport.fence is None
        opened.transport.resynchronise()
        assert len(opened.read_codes()) == 8
        assert not [line for line in server.heard if line.startswith("*ESE") and "?" in line]


def test_a_card_is_reached_again_after_its_link_was_closed(card, triangle):
    opened, device = card
    edges = CardEdges(opened, triangle, LIMITS, LAW)
    edges.reconnect()
    device.codes[:] = 9
    opened.transport.close()
    edges.reconnect()
    assert edges.program(np.full(3, 1e-4)).failed.tolist() == [False] * 3
    assert device.codes[3] == 9


def test_a_refused_block_is_raised_with_its_command(card):
    opened, device = card
    device.error = b'-161,"Invalid block data"'
    with pytest.raises(InstrumentError, match=r"'EDGE:DATA' with error -161, 'Invalid block data'"):
        opened.write_codes(np.array([1, 2, 3], dtype=np.uint16))


def test_a_wrong_checksum_is_garbled(card):
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
    [([0, 1], "3 edges need as many"), ([0, 1, 1], "different places"), ([0, 1, 8], "places 0 to 7")],
)
def test_places_must_be_there(card, triangle, places, words):
    with pytest.raises(SetupError, match=words):
        CardEdges(card[0], triangle, LIMITS, LAW, places)


def test_limits_that_the_card_cannot_reach_are_refused(card, triangle):
    wide = Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-7, 1e-3))
    with pytest.raises(SetupError, match="the edge card covers"):
        CardEdges(card[0], triangle, wide, LAW)
