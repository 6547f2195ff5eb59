"""Command sequences on a virtual 2400 with 1 kohm, and what its User's Manual (2400S-900-01) says of them.

Each sequence is a list of messages, expected replies and expected errors. Numbers are compared as numbers.
"""

from __future__ import annotations

import pytest

ON = ":SENS:CURR:PROT 0.1;:OUTP ON"
NAN, OVER = 9.91e37, 9.9e37

SEQUENCES = {
    # --- ohms -------------------------------------------------------------------------------------------
    "auto ohms source by range, table 4-3 and table 4-1": [
        "*RST", 'FUNC "RES"', "RES:MODE AUTO", "RES:RANG 20E3", ":SYST:RSEN ON", ":FORM:ELEM VOLT,CURR,RES",
        ":OUTP ON", (":READ?", [0.1, 1e-4, 1000.0]), ":OUTP OFF",
    ],
    "auto ohms are the default and find their range, p. 4-4": [
        ":SENS:FUNC 'RES'", ":OUTP ON", ":FORM:ELEM CURR,RES", (":READ?", [1e-3, 1000.0]),
        (":SENS:RES:RANG?", [2100.0]), (":SOUR:FUNC?", "CURR"),
    ],
    "a resistance beyond a fixed ohms range overflows, p. 7-2": [
        ":SENS:FUNC 'RES';:SENS:RES:RANG 200;:OUTP ON;:FORM:ELEM RES", (":READ?", [OVER]),
    ],
    "the source cannot be changed during auto ohms, p. 4-3": [
        ":SENS:FUNC 'RES'", (":SOUR:CURR 1e-3", 825), (":SOUR:FUNC VOLT", 825), (":SENS:VOLT:RANG 2", 825),
        ":SENS:FUNC:OFF 'RES'", ":SOUR:FUNC CURR", ":SOUR:CURR 1e-3",
    ],
    "manual ohms divide what the user's source gives, p. 18-61": [
        ":SENS:RES:MODE MAN;:SENS:FUNC 'RES';:SOUR:VOLT 0.5", ON, ":FORM:ELEM VOLT,CURR,RES",
        (":READ?", [0.5, 5e-4, 1000.0]), (":SENS:RES:RANG 2e3", -221),
    ],
    "ohms ranges step up and down, and autorange has limits, p. 18-64": [
        ":SENS:RES:RANG 2E3", ":SENS:RES:RANG UP", (":SENS:RES:RANG?", [2.1e4]), ":SENS:RES:RANG DOWN",
        (":SENS:RES:RANG?", [2.1e3]), (":SENS:RES:RANG:AUTO?", "0"), (":SENS:RES:RANG? MIN", [21.0]),
        ":SENS:RES:RANG:AUTO:ULIM 2e4;LLIM 2e3", (":SENS:RES:RANG:AUTO:ULIM?;LLIM?", [2.1e4, 2.1e3]),
    ],
    "offset-compensated ohms, p. 4-9": [
        ":SENS:RES:MODE MAN;:SENS:FUNC 'RES';:SENS:RES:OCOM ON;:SOUR:VOLT 0.5", ON, ":FORM:ELEM RES",
        (":READ?", [1000.0]), (":CONF:RES;:SENS:RES:OCOM?", "0"),
    ],
    # --- protection, ranges, defaults -------------------------------------------------------------------
    "the output never exceeds the overvoltage protection, p. 18-81": [
        ":SOUR:VOLT:PROT 20", ":SOUR:VOLT 50", ":SENS:FUNC 'VOLT'", ON, ":FORM:ELEM VOLT", (":READ?", [20.0]),
        (":SOUR:VOLT:PROT:TRIP?", "1"), (":SOUR:VOLT?", [50.0]), ":SOUR:VOLT -50", (":READ?", [-20.0]),
        ":SOUR:VOLT:PROT NONE;:SOUR:VOLT 50", (":READ?", [50.0]), (":SOUR:VOLT:PROT:TRIP?", "0"),
    ],
    "protection limits are the next lower ones, and hold in the current source too, p. 18-81": [
        ":SOUR:VOLT:PROT 110;:SOUR:VOLT:PROT?", (":SOUR:VOLT:PROT?", [100.0]), ":SOUR:VOLT:PROT 1",
        (":SOUR:VOLT:PROT?", [20.0]), (":SOUR:VOLT:PROT? MAX", [210.0]), ":SOUR:VOLT:PROT -45",
        (":SOUR:VOLT:PROT?", [40.0]), ":SOUR:VOLT:PROT 20;:SENS:VOLT:PROT 100;:SENS:FUNC 'VOLT'",
        ":SOUR:FUNC CURR;:SOUR:CURR 0.05;:OUTP ON;:FORM:ELEM VOLT", (":READ?", [20.0]),
        (":SOUR:VOLT:PROT:TRIP?", "1"),
    ],
    "defaults after a reset, p. 18-64, 18-75 and 18-82": [
        "*RST", (":SENS:CURR:RANG?;:SENS:VOLT:RANG?", [1.05e-4, 21.0]),
        (":SOUR:CURR:RANG?;:SOUR:VOLT:RANG?", [1.05e-4, 21.0]),
        (":SENS:CURR:PROT?;:SENS:VOLT:PROT?", [1.05e-4, 21.0]),
        (":SOUR:DEL?;:SOUR:DEL:AUTO?", [1e-3, 1.0]), (":SENS:RES:MODE?;:SENS:RES:RANG?", "AUTO;2.100000E+05"),
        (":SENS:FUNC?", '"CURR:DC"'), (":SOUR:SWE:POIN?", [2500.0]), (":SOUR:VOLT:PROT?", [210.0]),
    ],
    "ranges are read back with their 5 percent, p. 18-64": [
        ":SOUR:VOLT:RANG 0.5", (":SOUR:VOLT:RANG?", [2.1]), ":SENS:CURR:PROT 0.1", ":SENS:CURR:RANG 5e-3",
        (":SENS:CURR:RANG?", [0.0105]), (":SENS:CURR:RANG:AUTO?", "0"),
    ],
    "ranges step up and down and have bounds, p. 18-64 and 18-76": [
        ":SENS:CURR:RANG DOWN", (":SENS:CURR:RANG?", [1.05e-5]), ":SOUR:VOLT:RANG UP",
        (":SOUR:VOLT:RANG?", [210.0]),
        (":SOUR:VOLT:RANG UP", -222), (":SENS:CURR:RANG? MIN", [1.05e-6]), (":SENS:CURR:RANG? MAX", [1.05]),
        (":SENS:CURR:RANG? DEF", [1.05e-4]), ":SOUR:CURR:RANG MAX", (":SOUR:CURR:RANG?", [1.05]),
    ],
    "measuring ranges of the sourced quantity or beyond compliance, p. 18-62": [
        (":SENS:VOLT:RANG 2", 823), (":SENS:CURR:RANG 1", 824), ":SENS:CURR:PROT 1", ":SENS:CURR:RANG 1",
    ],
    "the lower limit of autorange, p. 18-66": [
        (":SENS:CURR:RANG:AUTO:LLIM 1e-3", -221), ":SENS:CURR:PROT 0.1", ":SENS:CURR:RANG:AUTO:LLIM 1e-2",
        (":SENS:CURR:RANG:AUTO:ULIM?", [0.105]), ":SOUR:VOLT 0.5;:OUTP ON;:FORM:ELEM CURR", (":READ?", [5e-4]),
        (":SENS:CURR:RANG?", [0.0105]),
    ],
    "a source delay switches automatic delay off, p. 18-82": [
        ":SOUR:DEL 0.5", (":SOUR:DEL?;:SOUR:DEL:AUTO?", [0.5, 0.0]), ":OUTP ON;:FORM:ELEM TIME;:SYST:TIME:RES",
        (":READ?", [0.52]), ":SOUR:DEL:AUTO ON", (":SOUR:DEL?", [1e-3]),
    ],
    # --- one-shot measurements --------------------------------------------------------------------------
    "MEASure switches the output on and leaves it on, p. 17-5": [
        ":SOUR:VOLT 0.05;:FORM:ELEM CURR", (":OUTP?", "0"), (":MEAS:CURR?", [5e-5]), (":OUTP?", "1"),
    ],
    "CONFigure switches the output on and selects the function, table 17-1": [
        ":CONF:VOLT", (":OUTP?", "1"), (":CONF?", '"VOLT:DC"'), (":TRIG:COUN?;:ARM:SOUR?", "1;IMM"),
    ],
    "READ needs an output that is on, p. 17-5": [(":READ?", 803), (":INIT", 803), (":FETC?", -230)],
    "with automatic output-off, MEASure switches the output off, p. 17-5": [
        ":SOUR:CLE:AUTO ON;:SOUR:VOLT 0.05;:FORM:ELEM CURR", (":MEAS:CURR?", [5e-5]), (":OUTP?", "0"),
        (":READ?", [5e-5]), (":OUTP?", "0"), ":SOUR:CLE:AUTO:MODE TCO", (":READ?", [5e-5]), (":OUTP?", "0"),
    ],
    "MEASure of ohms drives the sample with a test current, p. 17-2 and 4-3": [
        ":FORM:ELEM CURR,RES", (":MEAS:RES?", [1e-3, 1000.0]), (":SOUR:FUNC?;:OUTP?", "CURR;1"),
    ],
    # --- sweeps -----------------------------------------------------------------------------------------
    "a sweep downward goes from stop to start, p. 18-18": [
        ":FORM:ELEM VOLT;:SENS:FUNC 'VOLT'", ON, ":SOUR:VOLT:STAR 0;STOP 1;MODE SWE;:SOUR:SWE:POIN 3;DIR DOWN",
        ":TRIG:COUN 3", (":READ?", [1.0, 0.5, 0.0]), (":SOUR:SWE:DIR?", "DOWN"),
    ],
    "step and points are coupled, p. 18-88": [
        ":FORM:ELEM VOLT;:SENS:FUNC 'VOLT'", ON, ":SOUR:VOLT:STAR 0;STOP 1;STEP 0.5;MODE SWE",
        (":SOUR:SWE:POIN?", "3"), ":TRIG:COUN 3", (":READ?", [0.0, 0.5, 1.0]), ":SOUR:SWE:POIN 5",
        (":SOUR:VOLT:STEP?", [0.25]),
    ],
    "a step that is sent before the ends, p. 18-88": [
        ":SOUR:VOLT:STEP 0.25;STAR 0;STOP 1;MODE SWE", (":SOUR:SWE:POIN?", "5"),
        ":FORM:ELEM VOLT;:SENS:FUNC 'VOLT'",
        ON, ":TRIG:COUN 5", (":READ?", [0.0, 0.25, 0.5, 0.75, 1.0]),
    ],
    "center and span are coupled to start and stop, p. 18-87": [
        ":SOUR:VOLT:CENT 10;SPAN 4", (":SOUR:VOLT:STAR?;STOP?", [8.0, 12.0]), ":SOUR:VOLT:STAR 6;STOP 8",
        (":SOUR:VOLT:CENT?;SPAN?", [7.0, 2.0]), (":SOUR:VOLT:CENT 300", -221),
    ],
    "a list sweep begins at its start location, p. 18-18": [
        ":SOUR:LIST:VOLT 0.1,0.2,0.3;:SOUR:LIST:VOLT:STAR 2;:SOUR:VOLT:MODE LIST;:SENS:FUNC 'VOLT'", ON,
        ":TRIG:COUN 2;:FORM:ELEM VOLT", (":READ?", [0.2, 0.3]), ":SOUR:LIST:VOLT:STAR 4", (":READ?", -221),
    ],
    "a sweep aborts early or late in compliance, p. 18-18": [
        ":SOUR:VOLT:STAR 0;STOP 2;MODE SWE;:SOUR:SWE:POIN 3;:TRIG:COUN 3;:FORM:ELEM VOLT",
        ":SENS:CURR:PROT 1.5e-3;:OUTP ON", ":SOUR:SWE:CAB EARL", (":READ?", [0.0, 1.0]), ":SOUR:SWE:CAB LATE",
        (":READ?", [0.0, 1.0, 2.0]),
    ],
    "beyond a fixed source range, a sweep gives the largest level of the range, p. 18-84": [
        ":SOUR:VOLT:RANG 0.2;:SOUR:SWE:RANG FIX;:SENS:FUNC 'VOLT';:FORM:ELEM VOLT", ON,
        ":SOUR:VOLT:STAR 0;STOP -1;MODE SWE;:SOUR:SWE:POIN 3;:TRIG:COUN 3", (":READ?", [0.0, -0.21, -0.21]),
        ":SOUR:SWE:RANG AUTO", (":READ?", [0.0, -0.5, -1.0]),
        (":SOUR:VOLT:RANG?;:SOUR:VOLT:RANG:AUTO?", [0.21, 0.0]),
    ],
    "a triggered level is set when the source is triggered, p. 18-79": [
        ":SENS:FUNC 'VOLT'", ON, ":SOUR:VOLT 0.1;:SOUR:VOLT:TRIG 0.7;:FORM:ELEM VOLT",
        (":SOUR:VOLT?;:SOUR:VOLT:TRIG?", [0.1, 0.7]), (":READ?", [0.7]), (":SOUR:VOLT?", [0.7]),
    ],
    "a source memory sweep recalls stored setups, p. 10-22": [
        ":SENS:FUNC 'VOLT'", ON, ":SOUR:VOLT 0.1;:SOUR:MEM:SAVE 1;:SOUR:VOLT 0.2;:SOUR:MEM:SAVE 2",
        ":SOUR:FUNC MEM;:SOUR:MEM:POIN 2;:TRIG:COUN 4;:FORM:ELEM VOLT", (":READ?", [0.1, 0.2, 0.1, 0.2]),
        (":SOUR:FUNC?", "MEM"), (":SOUR:MEM:REC 50", -221), ":SOUR:FUNC VOLT", (":SOUR:FUNC?", "VOLT"),
    ],
    # --- triggers ---------------------------------------------------------------------------------------
    "a bus trigger is waited for; other messages are queued, p. 11-11": [
        ":ARM:SOUR BUS;:SOUR:VOLT 0.05;:FORM:ELEM CURR;:OUTP ON", ":INIT", (":FETC?", ""),
        ("*TRG", [5e-5]),
    ],
    "a trigger line proceeds with a pulse, and ABORt ends the wait, section 11": [
        ":ARM:SOUR TLIN;:ARM:ILIN 3;:OUTP ON;:FORM:ELEM VOLT", ":INIT", (":FETC?", ""), (":ABOR", -230),
    ],
    "READ cannot wait for the bus, appendix B": [":ARM:SOUR BUS;:OUTP ON", (":READ?", -214), (":OUTP?", "1")],
    "each arm waits for its own trigger, section 11": [
        ":ARM:SOUR BUS;:ARM:COUN 2;:SOUR:VOLT 0.05;:FORM:ELEM CURR;:OUTP ON", ":INIT", "*TRG", "*TRG",
        (":FETC?", [5e-5, 5e-5]),
    ],
    "a query behind a forgotten trigger gets no answer until ABORt, p. 11-11": [
        ":TRIG:SOUR TLIN;:OUTP ON", ":INIT", (":OUTP?", ""), ("*IDN?;:OUTP 0", ""), ("*STB?", ""),
        (":ABOR;*OPC", "1\nKEITHLEY INSTRUMENTS INC.,MODEL 2400,1000001,C33   Mar 31 2015 09:32:39/A02  /K/J\n0"),
    ],
    "the timer spaces the arms, section 11": [
        ":ARM:SOUR TIM;:ARM:TIM 2;:ARM:COUN 3;:FORM:ELEM TIME;:SYST:TIME:RES:AUTO ON;:OUTP ON",
        (":READ?", [0.021, 2.021, 4.021]), (":READ?", [0.021, 2.021, 4.021]),
    ],
    "a trigger delay comes before each source action, section 11": [
        ":TRIG:DEL 0.5;:TRIG:COUN 2;:FORM:ELEM TIME;:OUTP ON", (":READ?", [0.521, 1.042]),
    ],
    "an endless arm count runs until ABORt, p. 18-123": [
        ":ARM:COUN INF", (":ARM:COUN?", [9.9e37]), ":OUTP ON;:FORM:ELEM CURR", ":INIT", ":ABOR",
        (":ARM:COUN 2500;:TRIG:COUN 2;:INIT", -221),
    ],
    # --- calculations, buffer, system -------------------------------------------------------------------
    "math, null and limits, p. 18-27 to 18-40": [
        ":SENS:FUNC 'VOLT','CURR';:SOUR:VOLT 0.5", ON, ":FORM:ELEM CURR", (":READ?", [5e-4]),
        ':CALC1:MATH:NAME "POWER";:CALC1:STAT ON', (":CALC1:DATA?", [2.5e-4]), ':CALC1:MATH:NAME "R"',
        ":CALC1:MATH (VOLT/CURR)", (":CALC1:DATA?", [1000.0]), (":CALC1:MATH (VOLT/NOSUCH)", -171),
        ":CALC2:FEED CURR;:CALC2:NULL:ACQ;:CALC2:NULL:STAT ON", (":CALC2:DATA?", [0.0]),
        ":CALC2:NULL:STAT OFF;:CALC2:LIM2:UPP 1e-4;STAT ON", (":CALC2:LIM2:FAIL?", "1"), ":CALC2:LIM2:UPP 1e-3",
        (":CALC2:LIM2:FAIL?", "0"),
    ],
    "elements of calculated readings, p. 18-47": [
        ":SENS:FUNC 'VOLT','CURR';:SOUR:VOLT 0.5;:SYST:TIME:RES:AUTO ON", ON,
        ":FORM:ELEM CURR;ELEM:CALC CALC,TIME", ":CALC1:STAT ON", (":READ?;:CALC1:DATA?", [5e-4, 2.5e-4, 0.041]),
        (":FORM:ELEM:CALC?", "CALC,TIME"),
    ],
    "a program that sets every part of the trigger model, section 11": [
        "*RST", "trig:cle", "arm:dir acc;coun 1;sour imm;outp none;olin 3;ilin 1", "trig:dir sour;coun 2;del 0",
        "trig:sour tlin;ilin 1;olin 2;inp sour;outp sens,del", "outp on", "form:elem volt", (":INIT", None),
        (":FETC?", ""), (":ABOR", [0.0]),
    ],
    "the data store is not changed while it is filling, and by no reset, p. 18-21": [
        ":TRAC:POIN 2;:TRAC:FEED:CONT NEXT", (":TRAC:POIN 3", 800), "*RST", (":TRAC:POIN?", "2"),
        ":OUTP ON;:TRIG:COUN 2",
        ":INIT", (":TRAC:POIN:ACT?;:TRAC:FEED:CONT?", "2;NEV"), ":FORM:ELEM TIME", (":TRAC:DATA?", [0.0, 0.021]),
        ":TRAC:TST:FORM DELT", (":DATA:DATA?", [0.0, 0.021]),
    ],
    "setups are saved and recalled with the output off, p. 16-4": [
        ":SOUR:VOLT 0.3;:SENS:CURR:PROT 0.1;:TRIG:COUN 7;:OUTP ON;*SAV 2", "*RST", "*RCL 2",
        (":SOUR:VOLT?;:TRIG:COUN?;:OUTP?", "3.000000E-01;7;0"), "*RCL 4", (":TRIG:COUN?", "1"),
        ("*RCL 9", -222),
    ],
    "the output enable line blocks an output without a fixture, p. 18-51": [
        ":OUTP:ENAB ON", (":OUTP ON", 802), (":OUTP?;:OUTP:ENAB:TRIP?", "0;0"), (":MEAS:CURR?", 802),
        ":OUTP:ENAB OFF;:OUTP ON",
    ],
    "changing the terminals switches the output off, p. 18-52": [
        ":OUTP ON;:ROUT:TERM REAR", (":OUTP?;:ROUT:TERM?", "0;REAR"),
    ],
    "status registers in other formats, p. 18-48": [
        ":FORM:SREG HEX", (":STAT:OPER:COND?", "#H0400"), ":FORM:SREG ASC", (":STAT:OPER:COND?", "1024"),
    ],
    "the operation register tells that the instrument is idle again, section 15": [
        ":STAT:OPER:ENAB 1024", "*SRE 128;:OUTP ON;:ARM:SOUR BUS", ":INIT",
        "*TRG", ("*STB?", "192"), (":STAT:OPER?", "1024"), ("*STB?", "0"),
    ],
    "commands without an effect here are accepted, section 18": [
        ":SYST:LOC;:SYST:REM;:SYST:RWL;:SYST:GUAR OHMS;:SYST:AZER ONCE", (":SYST:GUAR?;:SYST:MEP?", "OHMS;0"),
        ":SOUR2:TTL 3;:SOUR2:TTL4:MODE BUSY", (":SOUR2:TTL?", "3"), ":DISP:WIND1:TEXT:DATA 'HI';:DISP:CND",
        (":DISP:TEXT:DATA?", '"HI"'), ":DISP:WIND2:TEXT:STAT ON", (":STAT:QUE?", '0,"No error"'), ":SYST:PRES",
    ],
    "what this model does not have is refused": [
        (":SOUR:FUNC:SHAP PULS", -113), (":SOUR:PULS:WIDT 1e-3", -113), (":SYST:KEY 24", -241),
        (":SYST:CCH ON", -241),
        (":TRIG:SOUR TIM", -224), (":SENS:FUNC 'TEMP'", -224),
    ],
    "a moving filter takes one conversion for each reading, a repeating one all, p. 7-12": [
        ":SENS:AVER ON;:SENS:AVER:COUN 10;TCON MOV;:FORM:ELEM TIME;:SYST:TIME:RES:AUTO ON;:OUTP ON",
        (":READ?", [0.021]), ":SENS:AVER:TCON REP", (":READ?", [0.201]),
    ],
    "functions are counted and queried, p. 18-59": [
        (":SENS:FUNC:STAT? 'CURR'", "1"), ":FUNC:CONC OFF", (":FUNC 'VOLT','CURR'", -221), ":FUNC 'VOLT'",
        (":FUNC?", '"VOLT:DC"'), (":FUNC:COUN?", "1"), (":FUNC:OFF?", '"CURR:DC","RES"'),
    ],
    "compliance and its range are synchronised, p. 18-68": [
        ":SENS:CURR:PROT:RSYN ON;:SENS:CURR:PROT 5e-3", (":SENS:CURR:RANG?;:SENS:CURR:RANG:AUTO?", [0.0105, 0.0]),
    ],
    "the line frequency sets the length of a power-line cycle, p. 18-111": [
        ":SYST:LFR 60;:FORM:ELEM TIME;:OUTP ON;:SOUR:DEL 0", (":READ?", [1 / 60]), (":SYST:LFR:AUTO?", "0"),
        ":SYST:LFR:AUTO ON", (":SYST:LFR?", "50"),
    ],
}  # fmt: skip


@pytest.mark.share(26)
@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence_does_what_the_manual_says(name, rack, follow):
    follow(rack("2400"), SEQUENCES[name])


@pytest.mark.parametrize("line", [1, 3])
def test_pulse_on_trigger_line_starts_reading(line, rack):
    one = rack("2400")
    one.write(f":ARM:SOUR TLIN;:ARM:ILIN {line};:SOUR:VOLT 0.05;:FORM:ELEM CURR;:OUTP ON", ":INIT")
    one.instrument.trigger_line(5 - line - 1)
    assert one.instrument.execute(b":FETC?") == b"", "another line started the reading"
    one.instrument.trigger_line(line)
    assert one.numbers("") == [5e-5], "the answer to the query that waited"
