"""The four models with their command sets, connected to 1 kohm, behave as their manuals state."""

from __future__ import annotations

import numpy as np
import pytest

from hwlearn_sim.instruments.capability import Meters

NAN = 9.91e37
ON = {
    "2400": ":SOUR:FUNC VOLT;:SENS:CURR:PROT 1e-2;:SOUR:VOLT 0.5;:OUTP 1",
    "2450": ":SOUR:FUNC VOLT;:SOUR:VOLT:ILIM 1e-2;:SOUR:VOLT 0.5;:OUTP 1",
    "2612B": "smua.source.func=1 smua.source.limiti=1e-2 smua.source.levelv=0.5 smua.source.output=1",
    "B2902A": ":SOUR1:FUNC:MODE VOLT;:SENS1:CURR:PROT 1e-2;:SOUR1:VOLT 0.5;:OUTP1 1",
}
LIMIT = {
    "2400": ":SENS:CURR:PROT {}",
    "2450": ":SOUR:VOLT:ILIM {}",
    "2612B": "smua.source.limiti={}",
    "B2902A": ":SENS1:CURR:PROT {}",
}
TRIPPED = {
    "2400": ":SENS:CURR:PROT:TRIP?",
    "2450": ":SOUR:VOLT:ILIM:TRIP?",
    "2612B": "print(smua.source.compliance)",
    "B2902A": ":SENS1:CURR:PROT:TRIP?",
}
READ_A = {
    "2400": ":FORM:ELEM CURR;:READ?",
    "2450": ':SENS:FUNC "CURR";:READ?',
    "2612B": "print(smua.measure.i())",
    "B2902A": ":MEAS:CURR? (@1)",
}
LEVEL = {
    "2400": ":SOUR:VOLT {}",
    "2450": ":SOUR:VOLT {}",
    "2612B": "smua.source.levelv={}",
    "B2902A": ":SOUR1:VOLT {}",
}
MODELS = list(ON)


@pytest.mark.parametrize("model", MODELS)
def test_source_measure_compliance_and_range_errors(model, rack):
    one = rack(model, (1,))
    one.write(ON[model])
    assert one.numbers(READ_A[model])[-1] == pytest.approx(5e-4, abs=1e-8)
    assert one.query(TRIPPED[model]) in ("0", "false")
    one.write(LIMIT[model].format("1e-4"))
    assert one.query(TRIPPED[model]) in ("1", "true")
    assert one.numbers(READ_A[model])[-1] == pytest.approx(1e-4, abs=1e-9)
    assert one.errors() == []
    one.write(LEVEL[model].format("1000"))
    one.write(LIMIT[model].format("50"))
    assert one.errors() == [-222, -222]
    assert one.numbers(READ_A[model])[-1] == pytest.approx(1e-4, abs=1e-9), "a rejected command changed a setting"


@pytest.mark.parametrize("model", MODELS)
def test_reset_switches_output_off_and_restores_defaults(model, rack):
    one = rack(model, (1,))
    one.write(ON[model], "*RST" if model != "2612B" else "reset()")
    assert one.plane.channels()[0].operating_point.volts == 0.0
    question = {"2612B": "print(smua.source.levelv)", "B2902A": ":SOUR1:VOLT?"}.get(model, ":SOUR:VOLT?")
    assert one.numbers(question) == [0.0]


@pytest.mark.parametrize(
    ("model", "identity"),
    [
        ("2400", "KEITHLEY INSTRUMENTS INC.,MODEL 2400,"),
        ("2450", "KEITHLEY INSTRUMENTS,MODEL 2450,"),
        ("2612B", "Keithley Instruments Inc., Model 2612B,"),
        ("B2902A", "Keysight Technologies,B2902A,"),
    ],
)
def test_common_commands_are_answered(model, identity, rack):
    one = rack(model)
    assert one.query("*IDN?").startswith(identity)
    assert one.query("*OPC?") == "1"
    assert one.query("*TST?") == "0"
    assert one.query("*ESE 5;*ESE?") == "5"
    one.write("*CLS", "*WAI", "*NOPE")
    assert one.query("*ESR?") == "32"
    assert one.errors() == [-113]


@pytest.mark.parametrize(
    ("model", "none"), [("2400", '0,"No error"'), ("2450", '0,"No error;0;0 0"'), ("B2902A", '+0,"No error"')]
)
def test_scpi_error_queue(model, none, rack):
    one = rack(model)
    for variant in (":SYST:ERR?", "syst:err:next?", ":SYSTem:ERRor:NEXT?", ":SYST:ERR:ALL?"):
        assert one.query(variant) == none
    one.write(":FOO", ":SYST:BAR 1")
    assert one.query(":SYST:ERR:COUN?") == "2"
    assert one.query(":SYST:ERR:CODE?") == "-113"
    assert one.query(":SYST:ERR?").startswith('-113,"Undefined header')


@pytest.mark.parametrize("model", ["2400", "2450", "B2902A"])
def test_min_and_max_are_accepted(model, rack):
    one = rack(model)
    assert one.numbers(":SENS:CURR:NPLC? MAX") == [100.0 if model == "B2902A" else 10.0]
    one.write(":SENS:CURR:NPLC MIN")
    assert one.numbers(":SENS:CURR:NPLC?") == [4e-4 if model == "B2902A" else 0.01]
    one.write(":SENS:CURR:NPLC 1000")
    assert one.errors() == [-222]


# --- 2400 ------------------------------------------------------------------------------------------------


def test_2400_elements_have_fixed_order(rack):
    one = rack("2400")
    one.write(ON["2400"], ":FORMAT:ELEMENTS STATUS, TIME, CURRENT, VOLTAGE, RESISTANCE")
    volts, amps, ohms, seconds, status = one.numbers(":READ?")
    assert (volts, amps, ohms, seconds) == (0.5, 5e-4, NAN, 0.021)  # with 1 ms of automatic source delay
    assert int(status) == (1 << 12) + (1 << 14)  # current measured, voltage sourced
    one.write(":SENS:RES:MODE MAN", ":SENS:FUNC 'RES','VOLT'")
    assert one.numbers(":READ?")[2] == pytest.approx(1000.0)
    one.write(":SENS:CURR:PROT 1e-5")
    assert int(one.numbers(":READ?")[4]) & 8
    one.write(":SOUR:FUNC CURR;:SENS:FUNC:OFF:ALL;:SENS:FUNC 'CURR'")
    assert one.numbers(":READ?")[0] == NAN  # neither source nor sense function


def test_2400_returns_setpoint_if_source_is_not_measured(rack):
    one = rack("2400")
    one.write(ON["2400"], ":SENS:CURR:PROT 1e-4", ":FORM:ELEM VOLT,CURR")
    assert one.numbers(":READ?") == [0.5, 1e-4]
    one.write(":SENS:FUNC 'VOLT'")
    assert one.numbers(":READ?") == [pytest.approx(0.1), 1e-4]


def test_2400_refuses_reading_with_output_off(rack):
    one = rack("2400")
    assert one.instrument.execute(b":READ?") == b""
    assert one.errors() == [803]
    one.write(":SOUR:VOLT 0.5;:SENS:CURR:PROT 1e-2;:SOUR:CLE:AUTO ON")
    assert one.numbers(":READ?")[1] == 5e-4
    assert one.query(":OUTP?") == "0"


def test_2400_restores_level_after_sweep(rack):
    one = rack("2400")
    one.write(
        ON["2400"],
        ":FORM:ELEM VOLT,CURR",
        ":SOUR:LIST:VOLT 0.1,-0.2,0.3",
        ":SOUR:VOLT:MODE LIST",
        ":TRIG:COUN 3",
    )
    assert one.numbers(":READ?") == pytest.approx([0.1, 1e-4, -0.2, -2e-4, 0.3, 3e-4])
    assert one.plane.channels()[0].source.volts == 0.5
    assert one.query(":SOUR:LIST:VOLT:POIN?") == "3"
    one.write(":SOUR:VOLT:START 0;STOP 0.4;MODE SWE;:SOUR:SWE:POIN 5;:TRIG:COUN 5")
    assert one.numbers(":READ?")[::2] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_2400_buffer_statistics_and_status(rack):
    one = rack("2400")
    one.write(ON["2400"], ":STAT:PRES;*CLS;*SRE 1;:STAT:MEAS:ENAB 512;", ":FORM:ELEM CURR")
    one.write(":TRAC:CLE;:TRAC:POIN 4", ":TRIG:COUN 4", ":TRAC:FEED SENS;:TRAC:FEED:CONT NEXT;")
    assert int(one.query("*STB?")) == 0
    one.write(":INIT")
    assert int(one.query("*STB?")) & 65 == 65
    assert one.numbers(":TRAC:DATA?") == [5e-4] * 4
    assert one.numbers(":CALC3:FORM MEAN;:CALC3:DATA?") == [5e-4]
    assert one.numbers(":CALC3:FORM SDEV;:CALC3:DATA?") == [0.0]
    assert one.query(":TRAC:FEED:CONT?") == "NEV"
    assert one.numbers(":FETC?") == [5e-4] * 4


@pytest.mark.parametrize(
    ("model", "setting", "kind", "question", "skip"),
    [
        ("2400", ":FORM REAL,32", ">f4", ":FORM:ELEM VOLT,CURR;:READ?", 2),
        ("2400", ":FORM:DATA REAL,32;BORD SWAP", "<f4", ":FORM:ELEM VOLT,CURR;:READ?", 2),
        ("2450", ":FORM REAL", "<f8", ':READ? "defbuffer1",SOUR,READ', 2),
        ("B2902A", ":FORM REAL,64", ">f8", ":FORM:ELEM:SENS VOLT,CURR;:MEAS? (@1)", 4),
    ],
)
def test_readings_in_binary_format(model, setting, kind, question, skip, rack):
    one = rack(model, (1,))
    one.write(ON[model], setting)
    reply = one.instrument.execute(question.encode())
    assert reply[:1] == b"#"
    assert np.frombuffer(reply[skip:-1], dtype=kind) == pytest.approx([0.5, 5e-4], rel=1e-7)


# --- 2450 ------------------------------------------------------------------------------------------------


def test_2450_source_read_back_can_be_disabled(rack):
    one = rack("2450")
    one.write(ON["2450"], ":SOUR:VOLT:ILIM 1e-4")
    assert one.numbers(':READ? "defbuffer1",SOUR,READ') == [pytest.approx(0.1), 1e-4]
    one.write(":SOUR:VOLT:READ:BACK OFF")
    assert one.numbers(':READ? "defbuffer1",SOUR,READ') == [0.5, 1e-4]
    assert one.query(':FETC? "defbuffer1",UNIT,READ') == "Amp DC,1.000000E-04"


def test_2450_buffers(rack):
    one = rack("2450")
    one.write(ON["2450"], ":TRAC:MAKE 'mine', 20, ", ":SENS:COUN 5")
    assert one.numbers(":READ? 'mine'") == [5e-4]
    assert one.query(":TRAC:ACT? 'mine'") == "5"
    assert one.numbers(':TRAC:DATA? 2,4,"mine"') == [5e-4] * 3
    assert one.numbers(":TRAC:STAT:AVER? 'mine'") == [5e-4]
    one.write(":TRAC:CLE 'mine'", ":TRAC:DEL 'mine'", ":TRAC:DEL 'defbuffer1'", ":READ? 'mine'")
    assert one.errors() == [-224, -224]


def test_2450_sweeps(rack):
    one = rack("2450")
    one.write(
        ":SOUR:VOLT:ILIM 1e-2;:SOUR:LIST:VOLT 0.1,0.2;:SOUR:LIST:VOLT:APP 0.3;:SOUR:SWE:VOLT:LIST 1,0",
        ":INIT;*WAI",
    )
    assert one.numbers(':TRAC:DATA? 1,3,"defbuffer1",SOUR,READ') == pytest.approx(
        [0.1, 1e-4, 0.2, 2e-4, 0.3, 3e-4]
    )
    assert one.query(":OUTP?") == "0", "the 2450's sweeps leave the output off"
    one.write(":SOUR:VOLT:ILIM 1.5e-4;:SOUR:SWE:VOLT:LIN 0,0.4,5,0,1,AUTO,ON;:INIT")
    assert one.query(":TRAC:ACT?") == "3", "a sweep ends where the limit trips"
    one.write("*RST;:INIT")
    assert one.errors() == [-200]


def test_2450_off_state_is_set_per_source_function(rack):
    one = rack("2450")
    one.write(":OUTP:VOLT:SMOD HIMP")
    assert one.query(":OUTP:VOLT:SMOD?;:OUTP:CURR:SMOD?") == "HIMP;NORM"
    assert one.plane.channels()[0].source.__class__.__name__ == "Open"
    one.write(":SOUR:FUNC CURR")
    assert one.plane.channels()[0].source.__class__.__name__ == "VoltageSource"


# --- B2902A ----------------------------------------------------------------------------------------------


def test_b2902_channels_and_elements(rack):
    one = rack("B2902A")
    one.write(ON["B2902A"], ":SOUR2:FUNC:MODE CURR;:SOUR2:CURR 0;:OUTP2 1")
    assert one.numbers(":MEAS? (@1)") == [0.5, 5e-4, NAN, pytest.approx(0.04), 0.0, 0.5]
    assert one.numbers(":MEAS:VOLT? (@1,2)") == [0.5, 0.5]
    one.write(":FORM:ELEM:SENS SOUR,CURR", ":OUTP3 1", ":MEAS? (@3)")
    assert one.errors() == [-114, -224]
    assert one.numbers(":MEAS? (@2)") == [0.0, 0.0]
    assert one.numbers(":FETC:ARR:VOLT? (@1)") == [0.5]


def test_b2902_sweeps_channels_synchronously(rack):
    one = rack("B2902A")
    one.write(ON["B2902A"], ":SOUR2:FUNC:MODE CURR;:SOUR2:CURR 0;:OUTP2 1")
    one.write(":LIST:VOLT 0.1,0.2,0.3;:VOLT:MODE LIST;:TRIG1:COUN 3;:TRIG2:COUN 3", ":INIT (@1,2)")
    assert one.numbers(":FETC:ARR:VOLT? (@2)") == pytest.approx([0.1, 0.2, 0.3])
    one.write(":FORM:ELEM:SENS CURR", ":TRIG2:ACQ:COUN 1")
    assert one.numbers(":READ:ARR? (@1,2)") == [
        pytest.approx(1e-4),
        0.0,
        pytest.approx(2e-4),
        NAN,
        pytest.approx(3e-4),
        NAN,
    ]


def test_b2902_switches_output_on_automatically(rack):
    one = rack("B2902A", (1,))
    one.write(":SOUR1:VOLT 0.5;:SENS1:CURR:PROT 1e-2")
    assert one.numbers(":MEAS:CURR? (@1)") == [0.0]
    assert one.numbers(":READ:CURR? (@1)") == [5e-4]
    assert one.query(":OUTP1?") == "1"
    one.write("*RST;:OUTP1:ON:AUTO 0;:SOUR1:VOLT 0.5")
    assert one.numbers(":READ:CURR? (@1)") == [0.0]


def test_b2902_measures_selected_functions(rack):
    one = rack("B2902A", (1,))
    one.write(ON["B2902A"], ":FORM:ELEM:SENS VOLT,CURR,RES", ":SENS1:FUNC:OFF 'VOLT'")
    assert one.query(":SENS1:FUNC?;:SENS2:FUNC?") == '"CURR";"VOLT","CURR"'
    assert one.numbers(":MEAS? (@1)") == [NAN, 5e-4, NAN]
    one.write(":SENS1:FUNC:OFF:ALL", ":SENS1:FUNC 'RES'")
    assert one.numbers(":MEAS? (@1)") == [NAN, NAN, pytest.approx(1000.0)]
    one.write(":SENS1:FUNC:ALL")
    assert one.numbers(":MEAS? (@1)") == [0.5, 5e-4, pytest.approx(1000.0)]
    one.write(":SENS1:CURR:PROT 1e-4", ":FORM:ELEM:SENS STAT")
    assert one.numbers(":MEAS? (@1)") == [2.0]


@pytest.mark.parametrize(
    ("model", "prepare", "question"),
    [
        (
            "2400",
            ":SOUR:VOLT:STAR 0.01;STOP 1;MODE SWE;:SOUR:SWE:SPAC LOG;POIN 3;:TRIG:COUN 3;:FORM:ELEM CURR",
            ":READ?",
        ),
        ("2450", ":SOUR:SWE:VOLT:LOG 0.01,1,3;:INIT", ":TRAC:DATA? 1,3"),
        (
            "2612B",
            "smua.trigger.source.logv(0.01, 1, 3) smua.trigger.source.action=1 smua.trigger.count=3 "
            "smua.trigger.measure.i(smua.nvbuffer1) smua.trigger.measure.action=1 smua.trigger.initiate()",
            "printbuffer(1,3,smua.nvbuffer1)",
        ),
        (
            "B2902A",
            ":VOLT:STAR 0.01;STOP 1;POIN 3;MODE SWE;:SWE:SPAC LOG;:TRIG1:COUN 3;:INIT (@1)",
            ":FETC:ARR:CURR? (@1)",
        ),
    ],
)
def test_logarithmic_sweeps_of_all_models(model, prepare, question, rack):
    one = rack(model, (1,))
    one.write(ON[model], prepare)
    assert one.numbers(question) == pytest.approx([1e-5, 1e-4, 1e-3])
    one.write(prepare.replace("0.01", "-0.01").replace(";:INIT", ";").replace(" (@1)", ""))
    one.instrument.execute(question.encode())
    if model == "B2902A":
        one.write(":INIT (@1)")
    assert -221 in one.errors(), "a logarithmic sweep cannot pass through zero"


@pytest.mark.parametrize("model", MODELS)
def test_fixed_range_and_autorange_of_all_models(model, rack):
    one = rack(model, (1,))
    # a 2400 reports ranges with their 5 %, and has no measuring range of the quantity that it sources
    quantity = "CURR" if model == "2400" else "VOLT"
    fix, auto, ask = {
        "2612B": ("smua.{}.rangev=1.5", "smua.{}.autorangev={}", "print(smua.{}.rangev)"),
        "B2902A": (":{}1:VOLT:RANG 1.5", ":{}1:VOLT:RANG:AUTO {}", ":{}1:VOLT:RANG?"),
    }.get(model, (":{}:VOLT:RANG 1.5", ":{}:VOLT:RANG:AUTO {}", ":{}:VOLT:RANG?"))
    lowest, fixed = {"2450": (0.02, 2.0), "2400": (0.21, 2.1)}.get(model, (0.2, 2.0))
    for part in ("source", "measure") if model == "2612B" else ("SOUR", "SENS"):
        if model == "2400" and part == "SENS":
            fix, auto, ask = (text.replace("VOLT", quantity) for text in (fix, auto, ask))
            one.write(":SENS:CURR:PROT 1e-2")
            fix, lowest, fixed = fix.replace("1.5", "5e-3"), 1.05e-6, 1.05e-2
        one.write(auto.format(part, 1))
        assert one.numbers(ask.format(part)) == [lowest]
        one.write(fix.format(part))
        assert one.numbers(ask.format(part)) == [fixed]
        one.write(auto.format(part, 1), auto.format(part, 0))
        assert one.numbers(ask.format(part)) == [lowest]
    assert one.errors() == []


def test_b2902_aperture_is_integration_time(rack):
    one = rack("B2902A")
    one.write(":SENS1:CURR:APER 0.1")
    assert one.numbers(":SENS1:CURR:NPLC?") == [5.0]


# --- faults seen in readings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "value"), [("2400", 9.9e37), ("2450", 9.9e37), ("2612B", NAN), ("B2902A", 9.9e37)]
)
def test_forced_overflow_is_reported(model, value, rack):
    one = rack(model)
    one.write(ON[model])
    one.instrument.channels[0].forced = "over-range"
    assert one.numbers(READ_A[model])[-1] == value


@pytest.mark.parametrize("model", MODELS)
def test_forced_compliance_is_reported(model, rack):
    one = rack(model)
    one.write(ON[model])
    one.instrument.channels[0].forced = "compliance"
    assert one.query(TRIPPED[model]) in ("1", "true")
    assert one.numbers(READ_A[model])[-1] == 1e-2


def test_noise_depends_on_nplc(rack):
    one = rack("2400", meters=Meters())
    one.write(ON["2400"], ":SENS:CURR:NPLC 0.01", ":FORM:ELEM CURR", ":TRIG:COUN 500")
    slow = np.std(one.numbers(":SENS:CURR:NPLC 10;:READ?"))
    fast = np.std(one.numbers(":SENS:CURR:NPLC 0.01;:READ?"))
    assert fast == pytest.approx(3e-6 * 1e-3 * 10, rel=0.2)
    assert fast > 5 * slow
