"""The driver of the Keithley 2700 and 2750 against virtual ones; messages against the syntax of the manuals."""

from dataclasses import replace

import pytest
from scanner_rig import LIMITS, USE, drive, opened, sent, served, table

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.roles.values import ChannelUse
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.query_only import only_reads
from hwlearn_drivers.transport.wire_log import WireLog

OFF = ["INIT:CONT OFF", "ABOR", "ROUT:SCAN:LSEL NONE", "ROUT:OPEN:ALL"]


def serve(**keys):
    return served(**{"model": "2700", "cards": {1: "7700"}, **keys})


def open_(bench, *arguments, **keys):
    return opened(bench, *arguments, **{"model": "2700", **keys})


def test_channels_are_checked_against_the_modules_when_opened():
    with (
        serve(cards={2: "7700"}, nodes={}) as bench,
        pytest.raises(SetupError, match=r"channel 101 at node n1 .* there is no card in slot 1"),
        open_(bench),
    ):
        pass


def test_another_model_gets_off_and_nothing_else(tmp_path):
    with (
        serve(model="2750") as bench,
        pytest.raises(UnknownInstrumentError, match=r"expects a 2700, but .*2750"),
        open_(bench, tmp_path / "log"),
    ):
        pass
    assert sent(tmp_path / "log") == [*OFF, "*IDN?"]


def test_a_2750_has_five_slots():
    use = replace(USE, reads={"501": "n1", "520": "n3"})
    with serve(model="2750", cards={5: "7700"}, nodes={501: 1, 520: 3}) as bench:
        drive(bench, 0.3)
        with open_(bench, use=use, model="2750", high_impedance=True) as scanner:
            assert scanner.read(["520", "501"]).volts.tolist() == pytest.approx([0.1, 0.3], abs=1e-4)


def test_wrong_tables_are_refused_before_anything_is_contacted():
    for keys, message in (
        ({"nplc": 3}, "nplc = 3 cannot be set; it can be: 0.01, 0.1, 1, 2, 5, 10"),
        ({"voltage_range": "200 V"}, "beyond the largest range, 100 V"),
        ({"high_impedance": True, "voltage_range": "50 V"}, "the 100 V range has 10 Mohm"),
    ):
        with pytest.raises(SetupError, match=message):
            table(model="2700", **keys).check_use(USE, LIMITS)
    with pytest.raises(SetupError, match="a 2700 scans at least 2 channels, the bench reads one"):
        table(model="2700").check_use(ChannelUse(reads={"101": "n1"}), LIMITS)
    for channel in ("1", "121", "301", "100"):
        with pytest.raises(SetupError, match=f"has no channel '{channel}'"):
            table(model="2700").channel_roles(channel)


def test_noise_is_not_stated():
    with serve() as bench, open_(bench) as scanner:
        assert (scanner.voltage_sigma, scanner.sigma_is_from_data_sheet) == (0.0, False)


def test_status_reads_modules_and_closed_channels_with_queries_only(tmp_path):
    with serve() as bench, WireLog(tmp_path / "log") as log:
        scanner = bench.instrument("scan")
        scanner.execute(b"ROUT:CLOS (@102);:NONSENSE")
        before = (scanner.closed.copy(), len(scanner.errors))
        report = table(bench, model="2700").inspect({**USE.reads, "201": "far"}, Connector(LinkOptions(), log))
        assert (scanner.closed, len(scanner.errors)) == before
    assert report.facts == {
        "cards": "slot 1: 7700, slot 2: empty",
        "closed channels of the bench": "102 (node n2)",
        "channels without a card": "201",
    }
    assert all(only_reads(message) for message in sent(tmp_path / "log"))


def test_a_dry_run_sends_the_messages_of_a_scan(tmp_path, capsys):
    from hwlearn_drivers.scanner.examples import SCANNER

    path = tmp_path / "bench.toml"
    path.write_text(SCANNER.read_text(encoding="utf-8").replace('"34972A"', '"2701"'), encoding="utf-8")
    with hl.open_bench(path, {"backend.dry_run": True, "data.samples": 1}) as bench:
        bench.network.measure([[0.1, -0.1]])
    assert "ROUT:SCAN:LSEL INT" in (shown := capsys.readouterr().out)
    assert "READ?" in shown
