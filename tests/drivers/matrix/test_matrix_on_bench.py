"""The table of a switch matrix in a bench file, its status, OFF from outside, and dry runs."""

import pytest
from matrix_rig import CARDS, matrix_rig
from pydantic import ValidationError

import hwlearn as hl
from hwlearn.errors import LimitError, SetupError
from hwlearn_drivers.bench.registry import kind_of
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.open_outputs import reports
from hwlearn_drivers.matrix.instrument import MatrixInstrument
from hwlearn_drivers.matrix.registry import inspect_matrix, matrix_family, write_open_all
from hwlearn_drivers.roles.values import ChannelUse, Crosspoint
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.query_only import only_reads

LIMITS = hl.Limits(voltage=1.0, current=1e-2, drop=1.0, nudge=1e-3, conductance=(1e-5, 1e-3))
TABLE = {
    "name": "mat1",
    "model": "707b",
    "address": "TCPIP::127.0.0.1::9::SOCKET",
    "cards": {"1": "7174a", "2": "7174A"},
    "max_voltage": "200 V",
    "max_current": "0.5 A",
}


@pytest.fixture(scope="module", params=CARDS)
def served(request):
    with matrix_rig(request.param) as made:
        yield made


@pytest.fixture
def rig(served):
    return served.fresh()


def table(**changes):
    return MatrixInstrument(**{**TABLE, **changes})


def test_table_names_rows_and_columns():
    settings = table()
    assert kind_of("707B") is MatrixInstrument
    assert settings.cards == {1: "7174A", 2: "7174A"}
    assert settings.grid.rows == tuple("ABCDEFGH")
    assert settings.grid.columns == tuple(str(k) for k in range(1, 25))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "709"}, "no driver for the switch matrix '709'.*supported: 707B"),
        ({"model": "707A"}, "switch matrix 707A is refused: no public source confirmed its replies"),
        ({"model": "7001", "cards": {1: "7012-S"}}, "settle is missing: a 7001 does not say when"),
        ({"cards": {1: "7071"}}, "card '7071' of slot 1 is not known"),
        ({"cards": {}}, "at least 1 item"),
        ({"max_voltage": "0 V"}, "greater than 0"),
    ],
)
def test_wrong_table_is_refused(changes, message):
    with pytest.raises((SetupError, ValidationError), match=message):
        table(**changes)


def test_limits_beyond_the_cards_are_refused():
    use = ChannelUse(rows={"A": "smu1:a"}, columns={"3": "x0"})
    table().check_use(use, LIMITS)
    with pytest.raises(LimitError, match=r"up to 2 V across a relay of mat1; its max_voltage is 1.9 V"):
        table(max_voltage="1.9 V").check_use(use, LIMITS)
    with pytest.raises(LimitError, match=r"limits.current = 10 mA is more than the max_current of mat1, 9 mA"):
        table(max_current="9 mA").check_use(use, LIMITS)


def test_unknown_row_and_column_are_refused():
    with pytest.raises(SetupError, match="no row 'K'"):
        table().check_use(ChannelUse(rows={"K": "smu1:a"}), LIMITS)
    with pytest.raises(SetupError, match=r"no column '25'.*1 to 24"):
        table().check_use(ChannelUse(columns={"25": "x0"}), LIMITS)
    with pytest.raises(SetupError, match=r"neither drives nor reads; name it in \[backend.matrix\]"):
        table().channel_roles("A")


def test_columns_are_counted_through_the_slots():
    grid = table(cards={1: "7174A", 3: "7174A"}).grid
    assert grid.columns == tuple(str(k) for k in (*range(1, 13), *range(25, 37)))
    assert grid.place(Crosspoint("C", "26")) == (3, "C", 2)
    with pytest.raises(SetupError, match=r"no column '13'.*its columns are 1 to 12, 25 to 36"):
        grid.check(Crosspoint("A", "13"), "mat1")


def test_opened_matrix_changes_and_closes(rig):
    settings = table(model=rig.model, address=rig.address, cards=rig.cards, settle="1 ms")
    matrix = settings.open(rig.use.channels, LIMITS, Connector())
    try:
        matrix.change((), [rig.point(0, 1)])
        assert matrix.closed() == {rig.point(0, 1)}
        assert matrix.relay_moves == 1
        assert (matrix.rows[0], matrix.columns[0]) == (rig.rows[0], "1")
        matrix.check_state()
        (report,) = reports().values()
        assert "(smu1:a to node n0)" in report["facts"]["relays closed"]
        matrix.start_again()
        assert matrix.closed() == rig.relays.closed == frozenset()
    finally:
        matrix.close()


def test_status_lists_closed_relays_and_sends_queries_only(rig):
    with rig.open():
        pass  # sets the mode that status reads
    rig.relays.move((), [rig.point(0, 1), rig.point(2, 3)])
    rig.heard.clear()
    report = inspect_matrix(rig.address, rig.model, rig.cards, {"row A": "smu1:a"}, Connector())
    assert report.facts["relays closed"] == f"{rig.name(0, 1)}, {rig.name(2, 3)}"
    assert report.any_on is True
    assert rig.heard
    assert all(map(only_reads, rig.heard))
    assert rig.relays.closed == {rig.point(0, 1), rig.point(2, 3)}


def test_status_of_another_instrument_asks_for_its_identity_alone(rig):
    rig.heard.clear()
    with pytest.raises(UnknownInstrumentError):
        inspect_matrix(rig.address, "708B" if rig.model != "708B" else "707B", {}, {}, Connector())
    assert rig.heard == ["*IDN?"]


def test_off_from_outside_is_write_only(rig):
    rig.relays.move((), [rig.point(0, 1)])
    rig.heard.clear()
    assert write_open_all(rig.address, rig.model, Connector(), check=True)
    assert rig.relays.closed == set()
    assert rig.heard[-1] == "*IDN?"
    assert not any("?" in text or "print" in text for text in rig.heard[:-1])


@pytest.mark.parametrize("model", CARDS)
def test_dry_run_prints_every_command(model, capsys):
    cards = dict(CARDS[model])
    settings = table(model=model, cards=cards, settle="100 s")
    matrix = settings.open(ChannelUse(), LIMITS, Connector(dry_run=True))
    first = Crosspoint(matrix.rows[0], "1")
    matrix.change((), [first])
    matrix.close()
    printed = capsys.readouterr().out
    assert matrix.channel(first) in printed
    (off,) = {text for text in matrix_family(model).open_all() if "open" in text.lower()}
    assert printed.index(off) < printed.index(matrix.channel(first)) < printed.rindex(off)
