"""Command sequences on a virtual B2902A with 1 kohm, and what its SCPI Command Reference (edition 2) says."""

from __future__ import annotations

import pytest

NAN = 9.91e37
ON = ":SENS:CURR:PROT 0.1;:OUTP ON"

SEQUENCES = {
    # --- sweeps -----------------------------------------------------------------------------------------
    "a double stair goes there and back": [
        ON, ":SOUR:VOLT:STAR 0;STOP 1;POIN 3;MODE SWE;:SOUR:SWE:STA DOUB;:TRIG:COUN 6", ":INIT (@1)",
        (":FETC:ARR:VOLT? (@1)", [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]),
    ],
    "a sweep downward goes from stop to start, p. 4-108": [
        ON, ":SOUR:VOLT:STAR 0;STOP 1;POIN 3;MODE SWE;:SWE:DIR DOWN;:TRIG:COUN 3",
        (":READ:ARR:SOUR? (@1)", [1.0, 0.5, 0.0]), (":SWE:DIR?", "DOWN"),
    ],
    "step, points and span are coupled, p. 4-98 and 4-108": [
        ON, ":VOLT:STAR 0;STOP 1;STEP 0.3;MODE SWE", (":VOLT:POIN?;:SWE:POIN?", "4;4"), ":TRIG:COUN 4",
        (":READ:ARR:SOUR? (@1)", [0.0, 0.3, 0.6, 0.9]), ":SWE:POIN 3", (":VOLT:STEP?", [0.5]), ":VOLT:STOP 2",
        (":VOLT:STEP?;POIN?", [1.0, 3.0]), (":VOLT:STEP -1", -221), ":VOLT:CENT 0;SPAN 4",
        (":VOLT:STAR?;STOP?", [-2.0, 2.0]), (":VOLT:STEP 1e-4", -222),
    ],
    "a list begins at its start location": [
        ON, ":LIST:VOLT 0.1,0.2,0.3;:LIST:VOLT:STAR 2;:VOLT:MODE LIST;:TRIG:COUN 2",
        (":READ:ARR:SOUR? (@1)", [0.2, 0.3]), ":LIST:VOLT:STAR 4", (":INIT (@1)", -221),
    ],
    "a sweep beyond its fixed source range is refused": [
        ON, ":VOLT:RANG 0.2;:SWE:RANG FIX;:LIST:VOLT 0.1,1;:VOLT:MODE LIST;:TRIG:COUN 2", (":INIT (@1)", -222),
        ":SWE:RANG BEST", (":READ:ARR:VOLT? (@1)", [0.1, 1.0]),
    ],
    "the last level is kept if triggered output is continuous": [
        ON, ":LIST:VOLT 0.1,0.2;:VOLT:MODE LIST;:TRIG:COUN 2", ":INIT (@1)", (":VOLT?", [0.0]),
        ":FUNC:TRIG:CONT ON", ":INIT (@1)", (":VOLT?;:MEAS:VOLT? (@1)", [0.2, 0.2]),
    ],
    "a triggered level is set by the trigger, p. 4-93": [
        ON, ":VOLT 0.1;:VOLT:TRIG 0.7", (":MEAS:VOLT? (@1)", [0.1]), (":READ:VOLT? (@1)", [0.7]),
        (":VOLT?", [0.7]),
    ],
    "transient and acquire triggers have their own counts": [
        ON, ":LIST:VOLT 0.1,0.2,0.3;:VOLT:MODE LIST;:TRIG:TRAN:COUN 3;:TRIG:ACQ:COUN 2",
        (":READ:ARR:VOLT? (@1)", [0.1, 0.2]), ":INIT:TRAN (@1)", (":FETC:ARR:VOLT? (@1)", [NAN]), ":INIT:ACQ (@1)",
        (":FETC:ARR:VOLT? (@1)", [0.0, 0.0]),
    ],
    # --- pulses -----------------------------------------------------------------------------------------
    "a pulse goes from the base to the peak and back": [
        ON, ":FUNC:SHAP PULS;:PULS:DEL 1e-3;:PULS:WIDT 50e-3;:VOLT 0.1;:VOLT:TRIG 1;:TRIG:ACQ:DEL 2e-3",
        ":SENS:VOLT:NPLC 0.1;:SENS:CURR:NPLC 0.1", ":INIT (@1)", (":FETC:VOLT? (@1)", [1.0]),
        (":VOLT?;:MEAS:VOLT? (@1)", [0.1, 0.1]), ":TRIG:ACQ:DEL 0.1", (":READ:VOLT? (@1)", [0.1]),
        (":FUNC:SHAP?;:PULS:WIDT?", "PULS;+5.000000E-02"), (":PULS:WIDT 1e-5", -222),
    ],
    "a measurement that is partly inside a pulse integrates both": [
        ON, ":FUNC:SHAP PULS;:PULS:WIDT 1e-3;:VOLT 0;:VOLT:TRIG 1;:SENS:FUNC:OFF 'CURR';:SENS:VOLT:NPLC 0.1",
        (":READ:VOLT? (@1)", [0.5]),
    ],
    "pulses of a sweep": [
        ON, ":FUNC:SHAP PULS;:PULS:WIDT 0.1;:LIST:VOLT 1,2;:VOLT:MODE LIST;:TRIG:COUN 2;:VOLT 0.5",
        (":READ:ARR:VOLT? (@1)", [1.0, 2.0]), (":MEAS:VOLT? (@1)", [0.5]),
    ],
    # --- triggers ---------------------------------------------------------------------------------------
    "bus triggers are waited for": [
        ON, ":TRIG:SOUR BUS;:TRIG:COUN 2;:VOLT 0.1", ":INIT (@1)", (":FETC:ARR:VOLT? (@1)", ""), "*TRG",
        ("*TRG", [0.1, 0.1]),
    ],
    "a forgotten trigger holds the answer until ABORt": [
        ON, ":ARM:SOUR LAN", (":READ:VOLT? (@1)", ""), ("*OPC?", ""), (":INIT (@1)", ""),
        (":ABOR", "+9.910000E+37\n1"),
    ],
    "an immediate trigger replaces an event": [
        ON, ":TRIG:SOUR EXT3;:VOLT 0.1", ":INIT (@1)", (":IDLE?", ""), (":TRIG1:ACQ", "1"),
        (":FETC:VOLT? (@1)", [0.1]),
    ],
    "timers space the triggers": [
        ON, ":SYST:TIME:TIM:COUN:RES", ":TRIG:SOUR TIM;:TRIG:TIM 0.5;:TRIG:COUN 3", ":SENS:FUNC:OFF 'VOLT'",
        (":READ:ARR:TIME? (@1)", [0.02, 0.52, 1.02]),
    ],
    "delays of the acquire trigger": [
        ON, ":SYST:TIME:TIM:COUN:RES", ":TRIG:ACQ:DEL 0.5;:SENS:FUNC:OFF 'VOLT'", (":READ:TIME? (@1)", [0.52]),
    ],
    "a bypassed event is not waited for the first time": [
        ON, ":TRIG:SOUR BUS;:TRIG:BYP ONCE;:VOLT 0.1", (":READ:VOLT? (@1)", [0.1]),
    ],
    "arm and trigger counts multiply": [ON, ":ARM:COUN 2;:TRIG:COUN 3", (":READ:ARR:VOLT? (@1)", [0.0] * 6)],
    "the measurement waits after a change of the source": [
        ON, ":SYST:TIME:TIM:COUN:RES", ":SENS:WAIT:AUTO OFF;:SENS:WAIT:OFFS 0.1;:SENS:FUNC:OFF 'VOLT'",
        (":READ:TIME? (@1)", [0.12]), ":SYST:TIME:TIM:COUN:RES;:SENS:WAIT OFF", (":READ:TIME? (@1)", [0.02]),
        ":SENS:WAIT:GAIN 2",
    ],
    "the source waits before it changes again": [
        ON, ":SYST:TIME:TIM:COUN:RES;:SENS:FUNC:OFF 'VOLT'", ":SOUR1:WAIT:OFFS 0.5;:TRIG:COUN 3",
        (":READ:ARR:TIME? (@1)", [0.02, 0.52, 1.02]),
    ],
    "other modes of autorange are refused": [
        ":SENS:CURR:RANG:AUTO:MODE NORM", (":SENS:CURR:RANG:AUTO:MODE SPE", -241),
        (":SENS:CURR:RANG:AUTO:THR 50", -241),
    ],
    # --- traces, data -----------------------------------------------------------------------------------
    "the trace buffer, p. 4-145 to 4-149": [
        ON, ":VOLT 0.1;:TRAC:FEED SENS;:TRAC:POIN 2;:TRAC:FEED:CONT NEXT;:FORM:ELEM:SENS VOLT,SOUR;:TRIG:COUN 3",
        (":TRAC:POIN 5", -221), ":INIT (@1)", (":TRAC:POIN:ACT?;:TRAC:FEED:CONT?;:TRAC:FREE?", "2;NEV;0,2"),
        (":TRAC:DATA?", [0.1, 0.1, 0.1, 0.1]), (":TRAC:DATA? 1,1", [0.1, 0.1]),
        (":TRAC:STAT:FORM MAX;:TRAC:STAT:DATA?", [0.1, 0.1]), (":TRAC:FEED MATH", -241), ":TRAC:CLE",
        (":TRAC2:POIN:ACT?", "0"),
    ],
    "time stamps of the trace buffer begin at its first reading, p. 4-149": [
        ON, ":TRAC:FEED:CONT NEXT;:FORM:ELEM:SENS TIME;:SENS:FUNC:OFF 'VOLT';:TRIG:COUN 3", ":INIT (@1)",
        (":TRAC:DATA?", [0.0, 0.02, 0.04]), ":TRAC:TST:FORM DELT", (":TRAC:DATA?", [0.0, 0.02, 0.02]),
    ],
    "measurement data are read by offset and size, B2961A p. 4-91": [
        ON, ":LIST:VOLT 0.1,0.2,0.3;:VOLT:MODE LIST;:TRIG:COUN 3;:FORM:ELEM:SENS VOLT", ":INIT (@1)",
        (":SENS:DATA?", [0.1, 0.2, 0.3]), (":SENS:DATA? 1,1", [0.2]), (":SENS:DATA? CURR", [0.3]),
        (":SENS:DATA:LAT?", [0.3]), ":SENS:DATA:CLE", (":SENS:DATA?", [NAN]),
    ],
    # --- ohms, output -----------------------------------------------------------------------------------
    "automatic ohms source by range": [
        ":SENS:RES:MODE AUTO;:SENS:FUNC 'RES';:OUTP ON;:FORM:ELEM:SENS RES,CURR", (":MEAS? (@1)", [1e-3, 1000.0]),
        (":SENS:RES:RANG?;:SOUR:FUNC:MODE?", "+2.000000E+03;CURR"), ":SENS:RES:MODE MAN",
        (":SOUR:FUNC:MODE?", "VOLT"), ":SENS:RES:OCOM ON",
    ],
    "protection switches the output off in compliance": [
        ":OUTP:PROT ON;:VOLT 1;:OUTP ON", (":MEAS:CURR? (@1)", [1e-4]), (":OUTP?", "0"),
    ],
    "automatic output switches, B2961A p. 4-67": [
        (":MEAS:VOLT? (@1)", [0.0]), (":OUTP?", "0"), (":READ:VOLT? (@1);:OUTP?", "+0.000000E+00;1"),
        ":OUTP:OFF:AUTO ON", (":READ:VOLT? (@1);:OUTP?", "+0.000000E+00;0"), ":OUTP:ON:AUTO 0",
    ],
    "limits of autorange": [
        ":SENS:CURR:RANG:AUTO:LLIM 1e-3", (":SENS:CURR:RANG?", [1e-3]), (":SENS:CURR:RANG:AUTO:ULIM 1e-4", -221),
        ":SENS:CURR:RANG:AUTO:ULIM 1e-2", (":SENS:CURR:RANG:AUTO:LLIM?;ULIM?", [1e-3, 1e-2]),
    ],
    "setups are saved and recalled with the outputs off": [
        ":VOLT 0.3;:SOUR2:VOLT 0.4;:OUTP ON;*SAV 1", "*RST", "*RCL 1",
        (":VOLT?;:SOUR2:VOLT?;:OUTP?", [0.3, 0.4, 0.0]),
        ("*RCL 2", -221),
    ],
    "accepted without an effect here": [
        ":OUTP:FILT ON;:OUTP:LOW FLO;:OUTP:HCAP ON;:SOUR1:WAIT:OFFS 0.1", (":OUTP:FILT?;:OUTP:LOW?", "1;FLO"),
    ],
    "what this model does not have is refused": [
        (":SOUR3:VOLT:STAR?", -114), (":SENS:CURR:PROT:POS 1e-3", -113), (":FUNC:SHAP ARB", -224),
        (":TRIG:SOUR NOSUCH", -224),
    ],
}  # fmt: skip


@pytest.mark.share(12)
@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence_does_what_the_manual_says(name, rack, follow):
    follow(rack("B2902A", (1,)), SEQUENCES[name])


@pytest.mark.parametrize("pin", [1, 14])
def test_trigger_pin_starts_reading(pin, rack):
    one = rack("B2902A", (1,))
    one.write(f":TRIG:SOUR EXT{pin};:VOLT 0.05;:OUTP ON;:INIT (@1)")
    one.instrument.trigger_pin(2)
    assert one.instrument.execute(b":FETC:VOLT? (@1)") == b"", "another pin started the reading"
    one.instrument.trigger_pin(pin)
    assert one.numbers("") == [0.05], "the answer to the query that waited"
