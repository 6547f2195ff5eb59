"""The driver of the Keithley DAQ6510 against a virtual one; messages as public programs send them."""

import pytest
from scanner_rig import LIMITS, USE, opened, sent, served, table

from hwlearn.errors import SetupError
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.query_only import only_reads
from hwlearn_drivers.transport.wire_log import optional_log


def serve(**keys):
    return served(**{"model": "DAQ6510", "cards": {1: "7700"}, **keys})


def open_(bench, *arguments, **keys):
    return opened(bench, *arguments, **{"model": "DAQ6510", **keys})


@pytest.mark.parametrize(
    ("question", "reply", "words"),
    [
        (b"ROUT:TERM?", b"FRON\n", "press TERMINALS"),
        (b"*LANG?", b"TSP\n", "uses the command set 'TSP'"),
        (b"SYST:CARD1:IDN?", b"7700,Pseudo 20Ch Mux w/CJC,0.0.0a,0\n", "there is a 7700 pseudocard in slot 1"),
        (b"SYST:CARD1:IDN?", b"\n", "there is no card in slot 1"),
    ],
)
def test_instrument_that_cannot_scan_is_refused_with_what_to_do(question, reply, words):
    with serve() as bench:
        instrument = bench.instrument("scan")
        usual = instrument._execute
        instrument._execute = lambda message: reply if message == question else usual(message)
        with pytest.raises(SetupError, match=words), open_(bench):
            pass


def test_high_input_resistance_is_refused():
    with serve() as bench, pytest.raises(SetupError, match="high_impedance = true"):
        table(bench, model="DAQ6510", high_impedance=True).check_use(USE, LIMITS)


def test_status_sends_queries_only(tmp_path):
    with serve() as bench, optional_log(tmp_path / "log") as log:
        bench.instrument("scan").execute(b"ROUT:CLOS (@102)")
        report = table(bench, model="DAQ6510").inspect({"101": "n1", "102": "n2"}, Connector(LinkOptions(), log))
        assert bench.instrument("scan").closed == {102}
    assert all(only_reads(message) for message in sent(tmp_path / "log"))
    assert any("102" in value for value in report.facts.values())


def test_dry_run_prints_every_command(capsys):
    scanner = table(model="DAQ6510").open(USE, LIMITS, Connector(dry_run=True))
    assert scanner.read(["101", "115"]).volts.tolist() == [0.0, 0.0]
    scanner.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("> ABOR")
    assert any("ROUT:SCAN:CRE (@101,102,115)" in line for line in lines)
