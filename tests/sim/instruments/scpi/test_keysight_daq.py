"""Messages to the virtual 34970A: formats and syntax of its User's Guide, and what it does not simulate."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scanners import make_scanner
from hwlearn_sim.placed import PlacedScanner
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import VoltageSource

CARDS = {1: "34901A", 3: "34908A"}


@pytest.fixture
def scanner():
    topology = hl.Topology(4, [(1, 2), (2, 0), (1, 3)], inputs=[1], outputs=[2, 3], ground=0)
    plane = AnalogPlane(topology, 1e-3 * np.ones(3))
    plane.drive(plane.attach(1), VoltageSource(0.5, 1.0))
    placed = PlacedScanner("scan", "34970A", {101: 1, 103: 2, 340: 3}, CARDS)
    return make_scanner(placed, plane, np.random.default_rng(1), Meters(0.0), Clock(), 1)


def ask(scanner, message):
    return scanner.execute(message.encode()).decode().strip()


def errors(scanner):
    found = []
    while not (text := ask(scanner, "SYST:ERR?")).startswith("+0"):
        found.append(int(text.split(",")[0]))
    return found


def test_replies_have_the_forms_of_the_manual(scanner):
    """User's Guide: pages 146 (CTYPe), 228 (SCAN), 229 (DELay)."""
    assert ask(scanner, "*IDN?").startswith("HEWLETT-PACKARD,34970A,0,")
    assert ask(scanner, "SYST:CTYP? 100") == "HEWLETT-PACKARD,34901A,0,2.0"
    assert ask(scanner, "SYST:CTYP? 200") == "HEWLETT-PACKARD,0,0,0"
    assert ask(scanner, "ROUT:SCAN?") == "#13(@)"
    ask(scanner, "ROUTE:SCAN (@101:103)")
    assert ask(scanner, ":rout:scan?") == "#214(@101,102,103)"
    ask(scanner, "ROUT:CHAN:DEL 1,(@101)")
    assert ask(scanner, "ROUT:CHAN:DEL? (@101,102)") == "+1.00000000E+00,+1.00000000E-03"
    assert not errors(scanner)


def test_a_scan_reads_its_list_in_rising_order_with_channel_numbers(scanner):
    ask(scanner, "CONF:VOLT:DC 1,(@340,101,103);:FORM:READ:CHAN ON")
    values = ask(scanner, "READ?").split(",")
    assert values[1::2] == ["101", "103", "340"]
    assert [float(value) for value in values[::2]] == pytest.approx([0.5, 0.25, 0.5], abs=2e-4)
    ask(scanner, "INIT")
    assert ask(scanner, "DATA:POIN?") == "+3"
    assert ask(scanner, "FETC?").split(",")[1] == "101"
    assert ask(scanner, "FORM:READ:CHAN OFF;:DATA:REM? 2").count(",") == 1
    assert ask(scanner, "R?").startswith("#215+")


def test_an_overload_is_the_number_of_the_standard(scanner):
    ask(scanner, "CONF:VOLT:DC 0.1,(@101)")
    assert ask(scanner, "READ?") == "+9.90000000E+37"


def test_automatic_ranging_is_the_default_of_the_factory(scanner):
    ask(scanner, "ROUT:SCAN (@103)")
    assert ask(scanner, "VOLT:DC:RANG:AUTO?") == "1"
    assert float(ask(scanner, "READ?")) == pytest.approx(0.25, abs=1e-4)
    assert float(ask(scanner, "VOLT:DC:RANG? (@103)")) == 1.0


def test_closing_and_opening_channels(scanner):
    ask(scanner, "ROUT:CLOS (@101,340)")
    assert ask(scanner, "ROUT:CLOS? (@101,102,340)") == "1,0,1"
    ask(scanner, "SYST:CPON 300")
    assert ask(scanner, "ROUT:CLOS? (@101,340)") == "1,0"
    ask(scanner, "SYST:CPON ALL")
    assert ask(scanner, "ROUT:OPEN? (@101,340)") == "1,1"
    assert not errors(scanner)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("ROUT:SCAN (@201)", -222),  # no card
        ("ROUT:SCAN (@121)", -222),  # measures currents
        ("VOLT:DC:NPLC 1", -221),  # no list, and none scanned
        ("READ?", -221),
        ("FETC?", -230),
        ("CONF:TEMP TC,K,(@101)", -113),
        ("FUNC 'RES',(@101)", -224),
        ("ROUT:MON:STATE ON", -241),
        ("TRIG:SOUR BUS", -241),
        ("TRIG:COUN INF", -241),
        ("FORM:READ:TIME ON", -241),
        ("VOLT:DC:APER 0.1,(@101)", -241),
        ("ROUT:CLOS (@101,103)", -241),  # would short two nodes
        ("ROUT:CHAN:DEL 61,(@101)", -222),
        ("CONF:VOLT:DC 301,(@101)", -222),
    ],
)
def test_what_is_not_simulated_or_not_there_is_refused(scanner, message, code):
    assert not ask(scanner, message)
    assert errors(scanner) == [code]


def test_noise_and_steps_are_those_of_the_data_sheet():
    """Specifications: 0.001 % of range at 1 PLC, three standard deviations; 3 ppm of resolution."""
    from hwlearn_sim.instruments.scpi.scanners.keysight_daq import models

    assert models.noise_V(1.0, 1.0) == pytest.approx(1e-5 / 3)
    assert models.noise_V(300.0, 1.0) == pytest.approx(0.00003 * 300 / 3)
    assert models.noise_V(10.0, 10.0) == 0.0
    assert [models.step_V(1.0, nplc) for nplc in (0.02, 1.0, 200.0)] == [1e-4, 3e-6, 2.2e-7]
