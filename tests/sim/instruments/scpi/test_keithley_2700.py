"""Messages to the virtual 2700: formats and syntax of its User's Manual, and what it does not simulate."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scanners import make_scanner
from hwlearn_sim.placed import PlacedScanner
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import VoltageSource


def made(meters=0.0):
    topology = hl.Topology(4, [(1, 2), (2, 0), (1, 3)], inputs=[1], outputs=[2, 3], ground=0)
    plane = AnalogPlane(topology, 1e-3 * np.ones(3))
    plane.drive(plane.attach(1), VoltageSource(0.5, 1.0))
    placed = PlacedScanner("scan", "2700", {101: 1, 103: 2, 220: 3}, {1: "7700", 2: "7700"})
    return make_scanner(placed, plane, np.random.default_rng(1), Meters(meters), Clock(), 1)


@pytest.fixture
def scanner():
    return made()


def ask(scanner, message):
    return scanner.execute(message.encode()).decode().strip()


def errors(scanner):
    found = []
    while not (text := ask(scanner, "SYST:ERR?")).startswith("0"):
        found.append(int(text.split(",")[0]))
    return found


def test_replies_have_the_forms_of_the_manual(scanner):
    """Manual: pages 2-11 (STATe?), 7-31 (SCAN?), section 10 (*OPT?)."""
    assert ask(scanner, "*IDN?").startswith("KEITHLEY INSTRUMENTS INC.,MODEL 2700,")
    assert ask(scanner, "*OPT?") == "7700, 7700"
    ask(scanner, "ROUT:CLOS (@107)")
    assert ask(scanner, "ROUT:CLOS:STAT? (@101, 104, 107, 102)").count("1") == 1
    assert ask(scanner, "ROUT:CLOS?") == "(@107)"
    ask(scanner, "ROUT:OPEN:ALL")
    assert ask(scanner, "ROUT:CLOS?") == "(@)"
    ask(scanner, "ROUT:SCAN (@101:110)")
    assert ask(scanner, "ROUT:SCAN?") == "(@101:110)"
    assert not errors(scanner)


def test_a_scan_reads_its_list_with_the_settings_of_each_channel(scanner):
    ask(scanner, "FUNC 'VOLT',(@101,103,220);:VOLT:RANG 1.5,(@101,103);:VOLT:RANG 1,(@220)")
    assert float(ask(scanner, "VOLT:RANG? (@101)")) == 10  # 1.5 V selects the 10 V range: example of the manual
    assert float(ask(scanner, "VOLT:RANG? (@220)")) == 1
    ask(scanner, "ROUT:SCAN (@101,103,220);:SAMP:COUN 3;:ROUT:SCAN:LSEL INT;:FORM:ELEM READ,CHAN")
    values = ask(scanner, "READ?").split(",")
    assert values[1::2] == ["101", "103", "220"]
    assert [float(value) for value in values[::2]] == pytest.approx([0.5, 0.25, 0.5], abs=1e-5)
    assert ask(scanner, "FETC?") == ",".join(values)
    ask(scanner, "TRIG:COUN 2")
    assert ask(scanner, "READ?").split(",")[1::2] == ["101", "103", "220"] * 2
    assert not errors(scanner)


def test_without_a_scan_the_closed_channel_is_read_with_units_time_and_number(scanner):
    ask(scanner, "ROUT:CLOS (@103);:VOLT:RANG 1")
    volts, seconds, number = ask(scanner, "READ?").split(",")
    assert float(volts.removesuffix("VDC")) == pytest.approx(0.25, abs=1e-5)
    assert (seconds.endswith("SECS"), number) == (True, "+00000RDNG#")
    ask(scanner, "ROUT:OPEN:ALL;:FORM:ELEM READ;:VOLT:IDIV ON;:SAMP:COUN 3")
    *_, last = ask(scanner, "READ?").split(",")  # the charge of the channel before has gone
    assert float(last) == pytest.approx(0, abs=1e-6)


def test_an_overload_is_the_number_of_the_standard(scanner):
    ask(scanner, "ROUT:CLOS (@101);:VOLT:RANG 0.1;:FORM:ELEM READ")
    assert ask(scanner, "READ?") == "+9.90000000E+37"


def test_automatic_ranging_is_the_default(scanner):
    ask(scanner, "ROUT:CLOS (@103);:FORM:ELEM READ")
    assert ask(scanner, "VOLT:RANG:AUTO?") == "1"
    assert float(ask(scanner, "READ?")) == pytest.approx(0.25, abs=1e-5)
    assert float(ask(scanner, "VOLT:RANG?")) == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("ROUT:SCAN (@101)", -221),  # two channels at least
        ("ROUT:SCAN (@301,302)", -222),  # no slot
        ("ROUT:CLOS (@121)", -222),  # measures currents
        ("ROUT:CLOS (@101,102)", -223),
        ("ROUT:MULT:CLOS (@101,103)", -241),  # would short two nodes
        ("ROUT:SCAN:LSEL INT", -221),  # nothing to scan
        ("ROUT:SCAN (@101,102);:ROUT:SCAN:LSEL INT;:ROUT:CLOS (@101)", -221),
        ("FUNC 'RES',(@101)", -224),
        ("VOLT:NPLC 51", -222),
        ("TRIG:SOUR BUS", -241),
        ("INIT:CONT ON", -241),
        ("FORM:ELEM READ,LIM", -241),
        ("FORM:ELEM READ,UNIT,CHAN", -241),
        ("VOLT:APER 0.1", -241),
        ("ROUT:MON (@101)", -241),
        ("FETC?", -230),
        ("TRAC:DATA?", -113),
    ],
)
def test_what_is_not_simulated_or_not_there_is_refused(scanner, message, code):
    assert not ask(scanner, message)
    assert errors(scanner) == [code]


def test_noise_falls_with_the_integration_time():
    scanner = made(1.0)
    ask(scanner, "ROUT:CLOS (@101);:VOLT:RANG 10;:FORM:ELEM READ;:SAMP:COUN 200")
    spread = {}
    for nplc in (0.01, 1, 10):
        ask(scanner, f"VOLT:NPLC {nplc}")
        spread[nplc] = np.std([float(text) for text in ask(scanner, "READ?").split(",")])
    assert spread[0.01] == pytest.approx(150e-6, rel=0.2)
    assert spread[1] == pytest.approx((4e-6**2 + 1e-5**2 / 12) ** 0.5, rel=0.3)
    assert spread[10] < 2 * 1e-5 / 12**0.5
