"""The driver of scanning voltmeters against the virtual 34970A: readings, settings, OFF, errors of others."""

from dataclasses import replace

import pytest
from scanner_rig import LIMITS, USE, drive, opened, sent, served, table

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn_drivers.errors import OutputStateError, UnknownInstrumentError
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.query_only import only_reads
from hwlearn_drivers.transport.wire_log import WireLog


def wrong(**keys):
    """Return the error of a table that no scanner can serve."""
    limits = keys.pop("limits", LIMITS)
    with pytest.raises(SetupError) as caught:
        table(**keys).check_use(USE, limits)
    return str(caught.value)


@pytest.mark.parametrize("in_block", [True, False])
def test_daq970a_is_read_and_its_scan_list_may_be_in_a_block(mocker, tmp_path, in_block):
    if not in_block:
        mocker.patch(
            "hwlearn_sim.instruments.scpi.scanners.keysight_daq.instrument.as_block", lambda text: text.decode()
        )
    keys = {"model": "DAQ970A", "cards": {1: "DAQM901A"}}
    with (
        served(**keys) as bench,
        opened(bench, tmp_path / "log", model="DAQ970A", high_impedance=True) as scanner,
    ):
        drive(bench, 0.3)
        assert scanner.read(["115", "101"]).volts.tolist() == pytest.approx([0.1, 0.3], abs=1e-5)
        assert "Keysight Technologies DAQ970A" in scanner.provenance
        bench.instrument("scan").execute(b"ROUT:SCAN (@101,102)")
        with pytest.raises(OutputStateError, match="its scan list is 101, 102"):
            scanner.check_state()
    assert sent(tmp_path / "log")[:3] == ["ABOR", "SYST:CPON ALL", "*IDN?"]
    assert "0.2 cannot be set" in wrong(model="DAQ970A", nplc=0.2)


@pytest.mark.parametrize(
    ("cards", "nodes", "message"),
    [
        ({2: "34901A"}, {}, r"channel 101 at node n1 .* there is no card in slot 1"),
        (
            {1: "34902A"},
            {},
            r"channel 121 at node x .* the 34902A in slot 1 reads voltages on its channels 1 to 16",
        ),
    ],
)
def test_channels_are_checked_against_the_cards_when_opened(cards, nodes, message):
    use = USE if 1 not in cards else replace(USE, reads={"121": "x"})
    with (
        served(cards=cards, nodes=nodes) as bench,
        pytest.raises(SetupError, match=message),
        opened(bench, use=use),
    ):
        pass


def test_another_model_gets_off_and_nothing_else(tmp_path):
    with (
        served(model="34972A") as bench,
        pytest.raises(UnknownInstrumentError, match=r"expects a 34970A, but .*34972A"),
        opened(bench, tmp_path / "log"),
    ):
        pass
    assert sent(tmp_path / "log") == ["ABOR", "SYST:CPON ALL", "*IDN?"]


def test_wrong_tables_are_refused_before_anything_is_contacted():
    assert "nplc = 3 cannot be set; it can be: 0.02, 0.2, 1, 2, 10" in wrong(nplc=3)
    assert "channel_delay = 1.5 ms cannot be set" in wrong(channel_delay="1.5 ms")
    assert "the 100 V range has 10 Mohm" in wrong(high_impedance=True, voltage_range="50 V")
    assert "beyond the largest range, 300 V" in wrong(voltage_range="400 V")
    assert "baud is missing" in wrong(address="/dev/ttyUSB9")
    for channel in ("1", "141", "401", "100", "1O1"):
        with pytest.raises(SetupError, match=f"has no channel '{channel}'"):
            table().channel_roles(channel)


@pytest.mark.parametrize("model", ["3706A"])
def test_models_without_confirmed_figures_are_refused_by_name(model):
    with pytest.raises(ValueError, match=f"the {model} is not supported yet: .*not confirmed"):
        table(model=model)


@pytest.mark.parametrize(
    ("nplc", "range_V", "sigma_V"),
    [
        (1, "1 V", (3.33e-6**2 + 3e-6**2 / 12) ** 0.5),  # 0.001 % of the range, and 5 1/2 digits: 3 ppm
        (10, "10 V", 10e-6 / 12**0.5),  # 0 % of the range, and 1 ppm
        (1, "300 V", (1e-3**2 + 0.9e-3**2 / 12) ** 0.5),
    ],
)
def test_uncertainty_is_that_of_the_data_sheet(nplc, range_V, sigma_V):
    with served() as bench, opened(bench, nplc=nplc, voltage_range=range_V) as scanner:
        assert scanner.voltage_sigma == pytest.approx(sigma_V, rel=2e-3)
        assert scanner.sigma_is_from_data_sheet


def test_uncertainty_of_the_bench_file_wins_and_an_unknown_one_is_not_stated():
    with served() as bench:
        with opened(bench, voltage_sigma="50 uV") as scanner:
            assert (scanner.voltage_sigma, scanner.sigma_is_from_data_sheet) == (50e-6, False)
        with opened(bench, nplc=0.02) as scanner:
            assert (scanner.voltage_sigma, scanner.sigma_is_from_data_sheet) == (0.0, False)
            assert scanner.resolution_V == 1e-4


def test_status_reads_cards_and_closed_channels_with_queries_only(tmp_path):
    nodes = {channel: USE.reads[channel] for channel in USE.reads}
    with served() as bench, WireLog(tmp_path / "log") as log:
        scanner = bench.instrument("scan")
        scanner.execute(b"ROUT:CLOS (@102);:NONSENSE")
        before = (scanner.closed.copy(), len(scanner.errors))
        report = table(bench).inspect({**nodes, "201": "far"}, Connector(LinkOptions(), log))
        assert (scanner.closed, len(scanner.errors)) == before
    assert report.facts == {
        "cards": "slot 1: 34901A, slot 2: empty, slot 3: empty",
        "closed channels of the bench": "102 (node n2)",
        "channels without a card": "201",
    }
    assert all(only_reads(message) for message in sent(tmp_path / "log"))


def test_34980a_has_its_own_headers_channels_and_off(tmp_path):
    """Against the syntax of its Programmer's Reference Help, written out here."""
    use = replace(USE, reads={"2001": "n1", "2040": "n3"})
    with served(model="34980A", cards={2: "34921A"}, nodes={2001: 1, 2040: 3}) as bench:
        drive(bench, 0.3)
        with opened(bench, tmp_path / "log", use=use, model="34980A", high_impedance=True) as scanner:
            assert scanner.read(["2040", "2001"]).volts.tolist() == pytest.approx([0.1, 0.3], abs=1e-4)
            assert (scanner.voltage_sigma, scanner.sigma_is_from_data_sheet) == (0.0, False)
            bench.instrument("scan").execute(b"ROUT:CLOS (@2001)")
        assert not bench.instrument("scan").closed
    messages = sent(tmp_path / "log")
    assert messages[:4] == ["ABOR", "ROUT:OPEN:ALL", "*IDN?", "ABOR"]
    for wanted in ("SYST:CTYP? 2", "VOLT:DC:ZERO:AUTO ON,(@2001,2040)", "VOLT:DC:IMP:AUTO ON,(@2001,2040)"):
        assert wanted in messages


def test_off_of_another_process_opens_every_channel(tmp_path):
    with served() as bench, WireLog(tmp_path / "log") as log:
        bench.instrument("scan").execute(b"ROUT:CLOS (@102)")
        assert table(bench).write_off(Connector(LinkOptions(), log), check=True)
        assert not bench.instrument("scan").closed
    assert sent(tmp_path / "log")[:2] == ["ABOR", "SYST:CPON ALL"]


def test_template_of_init_is_a_bench_whose_wiring_is_complete(capsys):
    from hwlearn_drivers.scanner.examples import SCANNER

    with hl.open_bench(SCANNER, {"backend.dry_run": True, "data.samples": 1}) as bench:
        bench.network.measure([[0.1, -0.1]])
    assert "READ?" in capsys.readouterr().out
