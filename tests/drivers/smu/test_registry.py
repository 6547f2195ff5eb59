"""Identity and driver of an SMU: `open_smu`, `write_off`, dry runs."""

import pytest
from idle_smu import CHANNEL_LIMIT

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu import open_smu
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import FAMILIES, family_by_identity, family_of, models, write_off
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector

DRY = Connector(dry_run=True)


@pytest.mark.parametrize(
    ("line", "family"),
    [
        ("KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C30   Mar 17 2006 09:29:29/A02  /K/J", "Keithley2400"),
        ("KEITHLEY INSTRUMENTS,MODEL 2450,04012345,1.7.0b", "Keithley2450"),
        ("Keithley Instruments Inc., Model 2636A, 1234567, 2.1.5", "Keithley2600"),
        ("Agilent Technologies,B2901A,MY51140001,2.0.1", "KeysightB2900"),
        ("Keysight Technologies,B2912B,MY51140001,5.0", "KeysightB2900"),
    ],
)
def test_identity_selects_the_driver(line, family):
    assert family_by_identity(Identity.parse(line)).__name__ == family


@pytest.mark.parametrize("line", ["HEWLETT-PACKARD,34401A,0,10-5-2", "KEITHLEY INSTRUMENTS,MODEL 24000,1,1"])
def test_unknown_instrument_is_rejected(line):
    with pytest.raises(UnknownInstrumentError, match="no driver for"):
        family_by_identity(Identity.parse(line))


@pytest.mark.parametrize("line", ["", "0", "a,b,c", "KEITHLEY,,1,1"])
def test_invalid_identity_is_rejected(line):
    with pytest.raises(UnknownInstrumentError, match=r"not a reply to \*IDN\?"):
        Identity.parse(line)


def test_every_model_has_one_driver():
    assert len(models()) == len(set(models()))
    with pytest.raises(SetupError, match="no driver for the SMU model '2500'"):
        family_of("2500")


def test_given_model_is_switched_off_before_any_query(responder):
    heard = responder(
        lambda line: DryAnswers("2612B")(line.encode()) and DryAnswers("2612B")(line.encode()) + b"\n"
    )
    with open_smu(heard.url, {1: CHANNEL_LIMIT}, model="2612B"):
        assert heard.heard[:3] == ["smua.source.output=0", "smub.source.output=0", "*IDN?"]


def test_different_instrument_than_the_given_model_is_rejected(responder):
    heard = responder(lambda line: b"KEITHLEY INSTRUMENTS INC.,MODEL 2400,1,1\n" if line == "*IDN?" else None)
    with pytest.raises(UnknownInstrumentError, match=r"expects a 2450, but .*2400"):
        open_smu(heard.url, {1: CHANNEL_LIMIT}, model="2450")


def test_off_by_address_sends_no_query(responder):
    heard = responder(lambda line: None)
    write_off(heard.url, "auto", Connector(LinkOptions(timeout_s=5.0)))
    for family in FAMILIES:
        heard.wait_for(family.off_command(1))
    heard.wait_for(":OUTP2 0")
    heard.wait_for("smub.source.output=0")
    assert not [line for line in heard.heard if "?" in line or "print" in line]


def test_dry_run_prints_a_whole_session(capsys):
    with open_smu("GPIB0::24::INSTR", {1: CHANNEL_LIMIT}, model="2400", connector=DRY) as smu:
        channel = smu.channel(1)
        channel.voltage_source(0.0, 1e-3)
        channel.on()
        assert channel.read().volts == 0.0
        assert len(channel.sweep([0.1] * 150).volts) == 150
    printed = capsys.readouterr().out
    assert "GPIB0::24::INSTR > :SENS:CURR:PROT 0.001" in printed
    assert printed.splitlines()[0] == "GPIB0::24::INSTR > :OUTP 0"
    with pytest.raises(SetupError, match="give the model"):
        open_smu("GPIB0::24::INSTR", {1: CHANNEL_LIMIT}, connector=DRY)
