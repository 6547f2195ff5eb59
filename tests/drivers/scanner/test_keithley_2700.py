"""The driver of the Keithley 2700 and 2750 against virtual ones; messages against the syntax of the manuals."""

from dataclasses import replace

import pytest
from scanner_rig import LIMITS, USE, is_open_soon, opened, served, table

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn_drivers.errors import InstrumentError, LinkTimeout, OutputStateError, UnknownInstrumentError
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


def drive(bench, volts):
    bench.instrument("smu").execute(f":SOUR:FUNC VOLT;:SOUR:VOLT {volts};:OUTP 1".encode())


def sent(path):
    rows = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]
    return [row[3].removesuffix("\\n") for row in rows if row[2] == ">"]


def test_channels_are_read_in_the_requested_order():
    with serve() as bench, open_(bench, high_impedance=True) as scanner:
        drive(bench, 0.3)
        assert scanner.read(["115", "101", "102"]).volts.tolist() == pytest.approx([0.1, 0.3, 0.2], abs=1e-5)
        assert not bench.instrument("scan").closed


def test_10_mohm_load_the_circuit():
    with serve() as bench, open_(bench) as scanner:
        drive(bench, 0.3)
        low, *_ = scanner.read(["102"]).volts
    assert 0.2 * (1 - 0.02) < low < 0.2 * (1 - 0.001)


def test_off_is_first_and_opens_every_channel_without_a_query(tmp_path):
    with serve() as bench:
        bench.instrument("scan").execute(b"ROUT:CLOS (@103)")
        with open_(bench, tmp_path / "log") as scanner:
            assert bench.instrument("scan").closed == set()
            bench.instrument("scan").execute(b"ROUT:SCAN:LSEL NONE;:ROUT:CLOS (@102)")
            bench.faults("scan").muted = True
            scanner.halt()
            assert is_open_soon(bench)
            bench.faults("scan").muted = False
    assert sent(tmp_path / "log")[:5] == [*OFF, "*IDN?"]


def test_settings_are_sent_exactly_and_followed_by_the_error_queue(tmp_path):
    with (
        serve() as bench,
        open_(bench, tmp_path / "log", nplc=0.1, channel_delay="5 ms", autozero=False, high_impedance=True),
    ):
        pass
    messages = sent(tmp_path / "log")
    listed = "(@101,102,115)"
    for wanted in (
        f"FUNC 'VOLT',{listed}",
        f"VOLT:RANG 1.0,{listed}",
        f"VOLT:NPLC 0.1,{listed}",
        "SYST:AZER:STAT OFF",
        "VOLT:IDIV OFF",
        "TRIG:DEL 0.005",
        "SAMP:COUN 3",
        "FORM:ELEM READ,CHAN",
        f"ROUT:SCAN {listed}",
        "ROUT:SCAN:TSO IMM",
        "ROUT:SCAN:LSEL INT",
    ):
        assert messages[messages.index(wanted) + 1] == ":SYST:ERR?", wanted


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("VOLT:RANG 10,(@102)", "channel 102 has range_V = 10.0, 1.0 was set"),
        ("VOLT:NPLC 10,(@101)", "channel 101 has nplc = 10.0"),
        ("VOLT:IDIV OFF", "channel 101 has high_impedance = True"),
        ("TRIG:DEL 1", "channel 101 has delay_s = 1.0"),
        ("ROUT:SCAN (@101,102)", "its scan list is 101, 102"),
        ("ROUT:SCAN:LSEL NONE", "its scan is NONE, INT was set"),
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


def test_settings_are_made_again_after_off():
    with serve() as bench, open_(bench) as scanner:
        drive(bench, 0.3)
        scanner.halt()
        bench.instrument("scan").execute(b"*RST")
        scanner.rearm()
        assert scanner.read(["101"]).volts[0] == pytest.approx(0.3, abs=1e-4)


def test_an_error_of_the_instrument_names_the_command():
    with serve() as bench, open_(bench) as scanner:
        bench.instrument("scan").execute(b"ROUT:MON (@101)")
        with pytest.raises(InstrumentError, match=r"2700.*'the last scan' with error -241"):
            scanner.check_state()


def test_a_late_reading_is_not_taken_for_the_next_one():
    with serve() as bench, open_(bench, autozero=False) as scanner:
        drive(bench, 0.3)
        scanner.source.transport.timeout_s = 0.05
        bench.faults("scan").inject("late", seconds=0.5)
        with pytest.raises(LinkTimeout):
            scanner.read(["101"])
        drive(bench, -0.3)
        scanner.source.transport.timeout_s = 2.0
        assert scanner.read(["101"]).volts[0] == pytest.approx(-0.3, abs=1e-4)


def test_an_overload_is_no_number():
    with serve() as bench, open_(bench, voltage_range="100 mV") as scanner:
        drive(bench, 0.3)
        assert scanner.read(["101", "115"]).volts.tolist() == [float("inf"), pytest.approx(0.1, abs=2e-3)]


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
