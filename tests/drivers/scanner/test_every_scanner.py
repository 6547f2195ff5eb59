"""What every family of scanning voltmeters must do, against virtual ones and the messages of their manuals."""

from dataclasses import dataclass, field

import pytest
from scanner_rig import drive, is_open_soon, opened, sent, served

from hwlearn_drivers.errors import InstrumentError, LinkTimeout, OutputStateError

LISTED = "(@101,102,115)"


@dataclass
class Family:
    """One family: how it is opened, and the messages that its manual states."""

    model: str
    card: str
    off: list[str]
    settings: dict[str, object]
    sent: list[str]
    changes: dict[str, str]
    closing: bytes
    rejected: bytes
    error: str
    exact: dict[str, object] = field(default_factory=lambda: {"high_impedance": True})

    def serve(self):
        """Serve one instrument with a module in its first slot."""
        return served(model=self.model, cards={1: self.card})

    def open(self, bench, *arguments, **keys):
        """Open its driver."""
        return opened(bench, *arguments, **{"model": self.model, **keys})


FAMILIES = {
    # User's Guide of the 34970A, chapter 5
    "34970A": Family(
        "34970A",
        "34901A",
        ["ABOR", "SYST:CPON ALL"],
        {"nplc": 0.2, "channel_delay": "5 ms", "autozero": False},
        [
            f"CONF:VOLT:DC 1.0,{LISTED}",
            f"VOLT:DC:NPLC 0.2,{LISTED}",
            f"ZERO:AUTO OFF,{LISTED}",
            f"INP:IMP:AUTO OFF,{LISTED}",
            f"ROUT:CHAN:DEL 0.005,{LISTED}",
            f"ROUT:SCAN {LISTED}",
            "FORM:READ:CHAN ON",
        ],
        {
            "VOLT:DC:RANG 10,(@102)": "channel 102 has range_V = 10.0, 1.0 was set",
            "VOLT:DC:NPLC 10,(@101)": "channel 101 has nplc = 10.0",
            "ROUT:SCAN (@101,102)": "its scan list is 101, 102",
            "*RST": "channel 101 has range_V = 300.0",
        },
        b"ROUT:CLOS (@102)",
        b"ROUT:MON:STATE ON",
        "-241",
    ),
    # User's Manual of the 2700
    "2700": Family(
        "2700",
        "7700",
        ["INIT:CONT OFF", "ABOR", "ROUT:SCAN:LSEL NONE", "ROUT:OPEN:ALL"],
        {"nplc": 0.1, "channel_delay": "5 ms", "autozero": False, "high_impedance": True},
        [
            f"FUNC 'VOLT',{LISTED}",
            f"VOLT:RANG 1.0,{LISTED}",
            f"VOLT:NPLC 0.1,{LISTED}",
            "SYST:AZER:STAT OFF",
            "VOLT:IDIV OFF",
            "TRIG:DEL 0.005",
            "SAMP:COUN 3",
            "FORM:ELEM READ,CHAN",
            f"ROUT:SCAN {LISTED}",
            "ROUT:SCAN:TSO IMM",
            "ROUT:SCAN:LSEL INT",
        ],
        {
            "VOLT:RANG 10,(@102)": "channel 102 has range_V = 10.0, 1.0 was set",
            "VOLT:NPLC 10,(@101)": "channel 101 has nplc = 10.0",
            "VOLT:IDIV OFF": "channel 101 has high_impedance = True",
            "TRIG:DEL 1": "channel 101 has delay_s = 1.0",
            "ROUT:SCAN (@101,102)": "its scan list is 101, 102",
            "ROUT:SCAN:LSEL NONE": "its scan is NONE, INT was set",
            "*RST": "channel 101 has range_V = 1000.0",
        },
        b"ROUT:SCAN:LSEL NONE;:ROUT:CLOS (@102)",
        b"ROUT:MON (@101)",
        "-241",
    ),
    # programs named in `hwlearn_drivers.scanner.models.daq6510`
    "DAQ6510": Family(
        "DAQ6510",
        "7700",
        ["ABOR", "ROUT:OPEN:ALL"],
        {"nplc": 0.1, "channel_delay": "5 ms", "autozero": False},
        [
            f'SENS:FUNC "VOLT:DC",{LISTED}',
            f"SENS:VOLT:RANG 1.0,{LISTED}",
            f"SENS:VOLT:NPLC 0.1,{LISTED}",
            f"SENS:VOLT:AZER OFF,{LISTED}",
            f"SENS:VOLT:INP MOHM10,{LISTED}",
            f"ROUT:CHAN:DEL 0.005,{LISTED}",
            f"ROUT:SCAN:CRE {LISTED}",
            "ROUT:SCAN:COUN:SCAN 1",
        ],
        {
            "SENS:VOLT:RANG 10,(@102)": "channel 102 has range_V = 10.0, 1.0 was set",
            "SENS:VOLT:NPLC 10,(@101)": "channel 101 has nplc = 10.0",
            "ROUT:CHAN:DEL 1,(@115)": "channel 115 has delay_s = 1.0",
            "ROUT:SCAN:CRE (@101:102)": "its scan list is 101, 102",
            "*RST": "channel 101 has range_V = 1000.0",
        },
        b"ROUT:CLOS (@102)",
        b"NONSENSE",
        "-113",
        exact={},
    ),
}

every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


@every_family
def test_channels_are_read_in_the_requested_order(family):
    with family.serve() as bench, family.open(bench, **family.exact) as scanner:
        drive(bench, 0.3)
        found = scanner.read(["115", "101", "102"]).volts.tolist()
        assert found == pytest.approx([0.1, 0.3, 0.2], abs=1e-5 if family.exact else 2e-3)
        assert not bench.instrument("scan").closed


@every_family
def test_input_of_10_mohm_loads_the_circuit(family):
    with family.serve() as bench, family.open(bench) as scanner:
        drive(bench, 0.3)
        low, *_ = scanner.read(["102"]).volts
    assert 0.2 * (1 - 0.02) < low < 0.2 * (1 - 0.001)


@every_family
def test_off_is_first_and_opens_every_channel_without_a_query(family, tmp_path):
    with family.serve() as bench:
        bench.instrument("scan").execute(b"ROUT:CLOS (@103)")
        with family.open(bench, tmp_path / "log") as scanner:
            assert bench.instrument("scan").closed == set()
            bench.instrument("scan").execute(family.closing)
            bench.faults("scan").muted = True
            scanner.halt()
            assert is_open_soon(bench)
            bench.faults("scan").muted = False
    assert sent(tmp_path / "log")[: len(family.off) + 1] == [*family.off, "*IDN?"]


@every_family
def test_settings_are_sent_exactly_and_followed_by_the_error_queue(family, tmp_path):
    with family.serve() as bench, family.open(bench, tmp_path / "log", **family.settings):
        pass
    messages = sent(tmp_path / "log")
    for wanted in family.sent:
        assert messages[messages.index(wanted) + 1] == ":SYST:ERR?", wanted


@pytest.mark.share(6)
@pytest.mark.parametrize(
    ("model", "command"), [(model, command) for model, one in FAMILIES.items() for command in one.changes]
)
def test_settings_that_somebody_else_changed_are_named(model, command):
    family = FAMILIES[model]
    with family.serve() as bench, family.open(bench) as scanner:
        scanner.read(["101"])
        bench.instrument("scan").execute(command.encode())
        with pytest.raises(OutputStateError, match="somebody else changed it") as caught:
            scanner.check_state()
        assert family.changes[command] in str(caught.value)
        scanner.start_again()
        scanner.check_state()


@every_family
def test_settings_are_made_again_after_off(family):
    with family.serve() as bench, family.open(bench) as scanner:
        drive(bench, 0.3)
        scanner.halt()
        bench.instrument("scan").execute(b"*RST")
        scanner.rearm()
        assert scanner.read(["101"]).volts[0] == pytest.approx(0.3, rel=0.01)


@every_family
def test_an_error_of_the_instrument_names_the_command(family):
    with family.serve() as bench, family.open(bench) as scanner:
        bench.instrument("scan").execute(family.rejected)
        with pytest.raises(InstrumentError, match=rf"{family.model}.*'the last scan' with error {family.error}"):
            scanner.check_state()


@every_family
def test_a_late_reading_is_not_taken_for_the_next_one(family):
    with family.serve() as bench, family.open(bench, autozero=False) as scanner:
        drive(bench, 0.3)
        scanner.source.transport.timeout_s = 0.05
        bench.faults("scan").inject("late", seconds=0.5)
        with pytest.raises(LinkTimeout):
            scanner.read(["101"])
        drive(bench, -0.3)
        scanner.source.transport.timeout_s = 2.0
        assert scanner.read(["101"]).volts[0] == pytest.approx(-0.3, rel=0.01)


@every_family
def test_an_overload_is_infinite(family):
    """Every manual states 9.9E37 for it."""
    with family.serve() as bench, family.open(bench, voltage_range="100 mV") as scanner:
        drive(bench, 0.3)
        assert scanner.read(["101", "115"]).volts.tolist() == [float("inf"), pytest.approx(0.1, abs=2e-3)]
