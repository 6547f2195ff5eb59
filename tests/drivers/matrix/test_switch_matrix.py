"""`SwitchMatrix` on virtual matrices: order of messages, checks of state and cards, OFF."""

from contextlib import ExitStack
from dataclasses import replace

import pytest
from matrix_rig import CARDS, matrix_rig
from short_waits import short_waits

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import (
    HaltedError,
    InstrumentError,
    OutputsMayBeOnError,
    OutputStateError,
    UnknownInstrumentError,
)
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.matrix.matrix import MatrixUse
from hwlearn_drivers.matrix.models.keithley_tsp import Keithley3706A
from hwlearn_drivers.matrix.registry import matrix_family, open_matrix
from hwlearn_drivers.roles.values import Crosspoint


@pytest.fixture(scope="module")
def rigs():
    with ExitStack() as stack:
        yield {model: stack.enter_context(matrix_rig(model)) for model in CARDS}


@pytest.fixture(params=CARDS)
def rig(request, rigs):
    return rigs[request.param].fresh()


@pytest.fixture
def rig_707b(rigs):
    return rigs["707B"].fresh()


def test_off_is_the_first_message_and_opens_what_was_closed(rig):
    off = matrix_family(rig.model).open_all()
    rig.relays.move((), [rig.point(0, 1)])
    rig.heard.clear()
    with rig.open() as matrix:
        assert rig.heard[: len(off)] == off
        assert matrix.closed() == frozenset()
    last = len(rig.heard) - 1 - rig.heard[::-1].index(off[-1])
    assert rig.heard[last + 1 - len(off) : last + 1] == off
    confirming = zip(rig.heard[last + 1 :], rig.asks[last + 1 :], strict=True)
    assert all(asks or text in ("*CLS", ":ROUT:FUNC ACON") for text, asks in confirming)


def test_relays_open_and_settle_before_others_close(rig):
    with rig.open() as matrix:
        matrix.change((), [rig.point(0, 1), rig.point(2, 2)])
        rig.heard.clear()
        matrix.change([rig.point(0, 1)], [rig.point(0, 3), rig.point(1, 1)])
        opened, closed = (k for k, asks in enumerate(rig.asks) if not asks)
        assert matrix.channel(rig.point(0, 1)) in rig.heard[opened]
        assert all(matrix.channel(point) in rig.heard[closed] for point in (rig.point(0, 3), rig.point(1, 1)))
        assert opened + 1 < closed < len(rig.heard) - 1  # queries follow, answered at rest
        assert matrix.closed() == {rig.point(0, 3), rig.point(1, 1), rig.point(2, 2)}
        assert rig.relays.closed == matrix.closed()
        assert matrix.relay_moves == 5


def test_relays_that_are_as_wanted_do_not_move(rig_707b):
    with rig_707b.open() as matrix:
        matrix.change((), [rig_707b.point(0, 1)])
        rig_707b.heard.clear()
        matrix.change([rig_707b.point(0, 2)], [rig_707b.point(0, 1)])
        assert rig_707b.relays.moves == matrix.relay_moves == 1
        assert not any("open" in text or "channel.close(" in text for text in rig_707b.heard)


def test_many_relays_are_moved_in_short_messages(rig_707b):
    with rig_707b.open() as matrix:
        every = [Crosspoint(row, column) for row in matrix.grid.rows for column in matrix.grid.columns]
        assert len(every) == 8 * 24
        matrix.change((), every)
        assert matrix.closed() == frozenset(every)
        assert max(map(len, rig_707b.heard)) < 250


def test_relay_that_does_not_open_is_named_and_nothing_closes(rig):
    stuck = rig.point(0, 1)
    with rig.open() as matrix:
        matrix.change((), [stuck])
        rig.relays.set_fault(stuck, "does not move")
        with pytest.raises(OutputStateError, match=r"smu1:a to node n0\) set open and found closed") as caught:
            matrix.change([stuck], [rig.point(1, 2)])
        assert matrix.channel(stuck) in str(caught.value)
        assert rig.relays.closed == {stuck}
        rig.relays.set_fault(stuck, None)


def test_relay_that_does_not_close_is_named(rig_707b):
    rig_707b.relays.set_fault(rig_707b.point(2, 4), "does not move")
    with (
        rig_707b.open() as matrix,
        pytest.raises(OutputStateError, match=r"1C04 \(ground to node n3\) set closed and found open"),
    ):
        matrix.change((), [rig_707b.point(0, 1), rig_707b.point(2, 4)])


def test_change_by_somebody_else_is_found(rig_707b):
    with rig_707b.open() as matrix:
        rig_707b.relays.move((), [rig_707b.point(1, 1)])
        with pytest.raises(OutputStateError, match=r"1B01 \(smu1:b to node n0\) set open and found closed"):
            matrix.check_state()
        with pytest.raises(OutputStateError, match="1B01"):  # nothing moves while the state is not known
            matrix.change((), [rig_707b.point(0, 1)])
        assert rig_707b.point(0, 1) not in rig_707b.relays.closed


@pytest.mark.parametrize(
    ("opening", "closing", "message"),
    [
        ([], [Crosspoint("J", "1")], r"no row 'J'.*rows are A to H"),
        ([Crosspoint("A", "25")], [], r"no column '25'.*columns are 1 to 24"),
        ([Crosspoint("A", "1")], [Crosspoint("A", "1")], "1A01 .* is to be opened and closed"),
    ],
)
def test_impossible_change_is_refused_before_the_wire(rig_707b, opening, closing, message):
    with rig_707b.open() as matrix:
        rig_707b.heard.clear()
        with pytest.raises(SetupError, match=message):
            matrix.change(opening, closing)
        assert rig_707b.heard == []


def test_error_of_the_instrument_names_the_command(rig_707b):
    with rig_707b.open() as matrix:
        rig_707b.bench.instrument("mat1").execute(b'channel.setforbidden("1A02")')
        with pytest.raises(InstrumentError, match=r"channel\.close\(\"1A02\"\)"):
            matrix.change((), [rig_707b.point(0, 2)])


def test_error_in_the_queue_after_a_group_is_raised(rig):
    with rig.open() as matrix:
        rig.bench.instrument("mat1").queue_error(-222)
        with pytest.raises(InstrumentError, match="-222"):
            matrix.change((), [rig.point(0, 1)])


# --- cards and models -----------------------------------------------------------------------------------


def test_missing_card_is_refused_with_every_relay_open(rig_707b):
    with pytest.raises(UnknownInstrumentError, match="slot 3 has 'Empty Slot', the bench expects a 7174A"):
        rig_707b.open(use=MatrixUse({1: "7174A", 3: "7174A"}, 200.0))
    assert rig_707b.relays.closed == set()


def test_other_card_is_refused(rig_707b):
    with pytest.raises(UnknownInstrumentError, match=r"slot 1 has '7174,8x12 .*', the bench expects a 7072"):
        rig_707b.open(use=MatrixUse({1: "7072"}, 200.0))


def test_other_module_of_a_b2200_is_refused(rigs):
    rig = rigs["B2200A"].fresh()
    with pytest.raises(
        UnknownInstrumentError, match=r"slot 1 has 'AGILENT,B2210A,.*', the bench expects a B2211A"
    ):
        rig.open(use=MatrixUse({1: "B2211A"}, 200.0))
    assert rig.relays.closed == set()


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({7: "7174A"}, "slots 1 to 6; there is no slot 7"),
        ({1: "7075"}, "card '7075' of slot 1 is not known.*refused until their figures are confirmed"),
        ({1: "7174A", 2: "7173-50"}, "cards of a matrix must have one size; got 7174A, 7173-50"),
    ],
)
def test_impossible_cards_are_refused_before_the_wire(rig_707b, cards, message):
    with pytest.raises(SetupError, match=message):
        rig_707b.open(use=MatrixUse(cards, 200.0))
    assert rig_707b.heard == []


def test_other_model_is_sent_off_and_nothing_else(rig_707b):
    with pytest.raises(UnknownInstrumentError, match=r'expects a 708B, .* set model = "707B"'):
        open_matrix(rig_707b.address, "708B", MatrixUse({1: "7174A"}, 200.0))
    assert rig_707b.heard == ['channel.open("allslots")', "*IDN?"]


def test_voltage_beyond_that_of_the_card_is_refused(rigs):
    rig = rigs["3706A matrix"].fresh()
    with pytest.raises(SetupError, match="allows 300 V; max_voltage is 400 V"):
        rig.open(use=replace(rig.use, most_V=400.0))


# --- off ------------------------------------------------------------------------------------------------


def test_halt_opens_every_relay_without_a_query(rig):
    with rig.open() as matrix:
        matrix.change((), [rig.point(0, 1)])
        rig.heard.clear()
        matrix.halt()
        with pytest.raises(HaltedError):
            matrix.change((), [rig.point(0, 1)])
        matrix.rearm()
        assert matrix.closed() == frozenset()
        assert rig.heard[: len(matrix.open_all())] == matrix.open_all()
        matrix.change((), [rig.point(1, 2)])
        assert matrix.closed() == {rig.point(1, 2)}


def test_relay_that_stays_closed_after_off_is_reported(rig_707b):
    matrix = rig_707b.open()
    matrix.change((), [rig_707b.point(0, 1)])
    rig_707b.relays.set_fault(rig_707b.point(0, 1), "does not move")
    with pytest.raises(OutputsMayBeOnError, match="EVERY RELAY OF MODEL 707B"):
        matrix.close()


def test_relay_closed_during_off_is_found_before_anything_moves(rig_707b):
    with rig_707b.open() as matrix:
        matrix.halt()
        matrix.rearm()
        matrix.query("*IDN?")  # OFF has been executed
        rig_707b.relays.move((), [rig_707b.point(0, 1)])
        with pytest.raises(OutputStateError, match="1A01"):
            matrix.change((), [rig_707b.point(1, 1)])


def test_matrix_that_was_interrupted_while_it_was_set_up_is_closed(rig):
    matrix = rig.open()
    rig.relays.move((), [rig.point(0, 1)])
    for text in (b":ROUT:FUNC NCON", b"nonsense?!"):  # the mode of a B2200 meanwhile, and errors left behind
        rig.bench.instrument("mat1").execute(text)
    matrix.close()
    assert rig.relays.closed == set()


def test_lost_reply_is_not_taken_for_a_later_one(rig_707b):
    with rig_707b.open() as matrix:
        faults = rig_707b.bench.faults("mat1")
        faults.muted = True
        with short_waits(matrix.transport, seconds=0.1), pytest.raises(ConnectionError):
            matrix.closed()
        faults.muted = False
        matrix.change((), [rig_707b.point(0, 1)])
        assert matrix.closed() == {rig_707b.point(0, 1)}


def test_reconnection_opens_every_relay_first(rig):
    with rig.open() as matrix:
        matrix.change((), [rig.point(0, 1)])
        rig.heard.clear()
        matrix.transport.drop()
        matrix.reconnect()
        assert rig.heard[: len(matrix.open_all())] == matrix.open_all()
        assert matrix.closed() == frozenset() == rig.relays.closed


def test_variants_of_a_3706a_are_the_same_switch():
    for model in ("MODEL 3706A", "MODEL 3706A-SNFP"):
        assert Keithley3706A.model_of(Identity("KEITHLEY INSTRUMENTS INC.", model, "1", "1")) == "3706A MATRIX"
    with pytest.raises(UnknownInstrumentError):
        Keithley3706A.model_of(Identity("KEITHLEY INSTRUMENTS INC.", "MODEL 3721", "1", "1"))
