"""The driver of the Keithley DAQ6510 against a virtual one; messages as public programs send them."""

import pytest
from scanner_rig import LIMITS, USE, is_open_soon, opened, served, table

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import InstrumentError, LinkTimeout, OutputStateError
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.query_only import only_reads
from hwlearn_drivers.transport.wire_log import optional_log


def serve(**keys):
    return served(**{"model": "DAQ6510", "cards": {1: "7700"}, **keys})


def open_(bench, *arguments, **keys):
    return opened(bench, *arguments, **{"model": "DAQ6510", **keys})


def drive(bench, volts):
    bench.instrument("smu").execute(f":SOUR:FUNC VOLT;:SOUR:VOLT {volts};:OUTP 1".encode())


def sent(path):
    rows = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]
    return [row[3].removesuffix("\\n") for row in rows if row[2] == ">"]


def test_channels_are_read_in_the_requested_order_through_10_mohm():
    with serve() as bench, open_(bench) as scanner:
        drive(bench, 0.3)
        found = scanner.read(["115", "101", "102"]).volts.tolist()
        assert found == pytest.approx([0.1, 0.3, 0.2], rel=0.01)
        assert found[2] < 0.2 * (1 - 0.001)  # the input loads the node
        assert not bench.instrument("scan").closed


def test_off_is_first_and_settings_are_sent_and_checked(tmp_path):
    with serve() as bench:
        bench.instrument("scan").execute(b"ROUT:CLOS (@103)")
        with open_(bench, tmp_path / "log", nplc=0.1, channel_delay="5 ms", autozero=False) as scanner:
            assert bench.instrument("scan").closed == set()
            bench.instrument("scan").execute(b"ROUT:CLOS (@102)")
            bench.faults("scan").muted = True
            scanner.halt()
            assert is_open_soon(bench)
            bench.faults("scan").muted = False
    messages = sent(tmp_path / "log")
    assert messages[:3] == ["ABOR", "ROUT:OPEN:ALL", "*IDN?"]
    listed = "(@101,102,115)"
    for wanted in (
        f'SENS:FUNC "VOLT:DC",{listed}',
        f"SENS:VOLT:RANG 1.0,{listed}",
        f"SENS:VOLT:NPLC 0.1,{listed}",
        f"SENS:VOLT:AZER OFF,{listed}",
        f"SENS:VOLT:INP MOHM10,{listed}",
        f"ROUT:CHAN:DEL 0.005,{listed}",
        f"ROUT:SCAN:CRE {listed}",
        "ROUT:SCAN:COUN:SCAN 1",
    ):
        assert messages[messages.index(wanted) + 1] == ":SYST:ERR?", wanted


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("SENS:VOLT:RANG 10,(@102)", "channel 102 has range_V = 10.0, 1.0 was set"),
        ("SENS:VOLT:NPLC 10,(@101)", "channel 101 has nplc = 10.0"),
        ("ROUT:CHAN:DEL 1,(@115)", "channel 115 has delay_s = 1.0"),
        ("ROUT:SCAN:CRE (@101:102)", "its scan list is 101, 102"),
        ("*RST", "channel 101 has range_V = 1000.0"),
    ],
)
def test_settings_that_somebody_else_changed_are_named(command, named):
    with serve() as bench, open_(bench) as scanner:
        scanner.read(["101"])
        bench.instrument("scan").execute(command.encode())
        with pytest.raises(OutputStateError, match="somebody else changed it") as caught:
            scanner.check_state()
        assert named in str(caught.value)
        scanner.start_again()
        scanner.check_state()


def test_late_reading_is_not_taken_for_the_next_one():
    with serve() as bench, open_(bench, autozero=False) as scanner:
        drive(bench, 0.3)
        scanner.source.transport.timeout_s = 0.05
        bench.faults("scan").inject("late", seconds=0.5)
        with pytest.raises(LinkTimeout):
            scanner.read(["101"])
        drive(bench, -0.3)
        scanner.source.transport.timeout_s = 2.0
        assert scanner.read(["101"]).volts[0] == pytest.approx(-0.3, rel=0.01)


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


def test_an_error_of_the_instrument_names_the_command():
    with serve() as bench, open_(bench) as scanner:
        bench.instrument("scan").execute(b"NONSENSE")
        with pytest.raises(InstrumentError, match=r"DAQ6510.*'the last scan' with error -113"):
            scanner.check_state()


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
