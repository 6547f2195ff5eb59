"""Identity and driver of an SMU: `open_smu`, `write_off`, dry runs."""

import pytest
from idle_smu import CHANNEL_LIMIT

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu import open_smu
from hwlearn_drivers.smu.dry_answers import DryAnswers
from hwlearn_drivers.smu.registry import FAMILIES, family_by_identity, family_of, model_name, models, write_off
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


WRONG = [
    ("2401", "MODEL 2410"),  # 1,100 V
    ("2400", "MODEL 2401"),
    ("2401", "MODEL 2400"),
    ("2636B", "Model 2612B"),
    ("2612B", "Model 2612A"),
    ("2612A", "2612B"),
    ("2611B", "Model 2612B"),
    ("B2902A", "B2902B"),
    ("B2901A", "B2911A"),
    ("2450", "MODEL 2460"),
    ("2450", "MODEL 2400"),
    ("2400", "MODEL 2450"),
    ("2600 family", "MODEL 2450"),
    ("2400", "MODEL 2400-LV"),
    ("2602B", "Model 2602"),
    ("2400 family", "MODEL 2500"),
]


@pytest.mark.parametrize(("wanted", "found"), WRONG)
def test_other_model_is_refused_and_gets_nothing_but_off(responder, wanted, found):
    def answer(line):
        return f"KEITHLEY INSTRUMENTS,{found},1,1\n".encode() if line == "*IDN?" else None

    heard = responder(answer)
    with pytest.raises(UnknownInstrumentError, match=f"expects a {wanted}, but .*{found}"):
        open_smu(heard.url, {1: CHANNEL_LIMIT}, model=wanted)
    heard.wait_for_the_end()
    off = {family_of(wanted).off_command(n) for n in (1, 2)}
    assert set(heard.heard) <= off | {"*IDN?"}
    assert heard.heard[0] in off


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("2600 family", "2612B"),
        ("2600 FAMILY", "2636A"),
        (" 2612b ", "2612B"),
        ("Auto", "2612B"),
        ("2400 family", "2410"),
    ],
)
def test_family_on_purpose_and_other_spellings_are_accepted(responder, wanted, found):
    answers = DryAnswers(found)

    def answer(line):
        reply = answers(line.encode())
        return reply and reply + b"\n"

    with open_smu(responder(answer).url, {1: CHANNEL_LIMIT}, model=wanted) as smu:
        assert smu.model_of(smu.identity) == found


def test_off_for_a_family_reaches_every_channel_that_a_model_of_it_can_have(responder):
    heard = responder(lambda line: None)
    write_off(heard.url, "2600 family", Connector(LinkOptions(timeout_s=5.0)))
    heard.wait_for("abort")
    heard.wait_for_the_end()
    off = ["smua.source.output=0", "smub.source.output=0"]
    assert heard.heard == [*off, "abort", *off]


@pytest.mark.parametrize("model", ["2612C", "family", "2500 family", "", "B2902", "2450A"])
def test_model_that_does_not_exist_is_refused_in_the_bench_file(model):
    with pytest.raises(SetupError, match="no driver for the SMU model"):
        model_name(model)


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
