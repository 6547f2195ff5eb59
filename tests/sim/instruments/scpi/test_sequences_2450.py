"""Command sequences on a virtual 2450 with 1 kohm, and what its Reference Manual (2450-901-01) says of them."""

from __future__ import annotations

import pytest

OVER = 9.9e37
ON = ":SOUR:VOLT:ILIM 0.1;:OUTP ON"

SEQUENCES = {
    # --- ohms, protection -------------------------------------------------------------------------------
    "ohms need no source command, User's Manual 2450-900-01 section 5": [
        '*RST', ':SENS:FUNC "RES"', ":SENS:RES:RSEN ON", ":SENS:RES:OCOM ON", ":OUTP ON", (":READ?", [1000.0]),
        (":SOUR:FUNC?;:SOUR:CURR?;:SENS:RES:RANG?", "CURR;1.000000E-03;2.000000E+03"),
    ],
    "a source command ends automatic ohms": [
        ':SENS:FUNC "RES"', ":SOUR:FUNC VOLT;:SOUR:VOLT 0.5", ON, (':READ? "defbuffer1",SOUR,READ', [0.5, 1000.0]),
    ],
    "another function restores the source": [
        ":SOUR:VOLT 0.5", ':SENS:FUNC "RES"', (":SOUR:FUNC?", "CURR"), ':SENS:FUNC "CURR"',
        (":SOUR:FUNC?;:SOUR:VOLT?", "VOLT;5.000000E-01"),
    ],
    "a resistance beyond a fixed range overflows, p. 6-53": [
        ':SENS:FUNC "RES";:SENS:RES:RANG 200', ":OUTP ON", (":READ?", [OVER]), ":SENS:RES:RANG:AUTO ON",
        (":READ?", [1000.0]),
    ],
    "limits of the ohms autorange, p. 6-51": [
        (":SENS:RES:RANG:AUTO:LLIM?;ULIM?", [20.0, 2e8]), ":SENS:RES:RANG:AUTO:LLIM 2e4",
        (":SENS:RES:RANG:AUTO:ULIM 2e3", -221),
    ],
    "the output never exceeds the overvoltage protection, p. 6-73": [
        ":SOUR:VOLT:PROT PROT20;:SOUR:VOLT 50;:SENS:FUNC 'VOLT'", ON, (":READ?", [20.0]),
        (":SOUR:VOLT:PROT:TRIP?;:SOUR:VOLT:PROT?", "1;PROT20"), ":SOUR:VOLT -50", (":READ?", [-20.0]),
        ":SOUR:VOLT:PROT NONE", (":READ?", [-50.0]), (":SOUR:VOLT:PROT PROT3", -224),
    ],
    "overvoltage protection holds in the current source, p. 6-73": [
        ":SOUR:FUNC CURR;:SOUR:CURR 0.05;:SOUR:CURR:VLIM 100;:SOUR:VOLT:PROT PROT10;:SENS:FUNC 'VOLT';:OUTP ON",
        (":READ?", [10.0]), (":SOUR:CURR:PROT:TRIP?", "1"),
    ],
    # --- trigger model ----------------------------------------------------------------------------------
    "a simple loop switches on, measures and switches off, p. 6-160": [
        ":SOUR:VOLT 0.5;:SOUR:VOLT:ILIM 0.01", ':TRIG:LOAD "SimpleLoop", 5, 0.01', ":INIT;*WAI",
        (":TRAC:ACT?;:OUTP?", "5;0"), (':TRAC:DATA? 1,2,"defbuffer1",SOUR', [0.5, 0.5]),
        (":TRIG:STAT?", "IDLE;IDLE;6"),
    ],
    "the example of the measure block takes 15 readings, p. 6-144": [
        "TRIG:BLOC:BUFF:CLEAR 1", "TRIG:BLOC:MEAS 2", "TRIG:BLOC:BRAN:COUN 3, 5, 2", "TRIG:BLOC:DEL:CONS 4, 1",
        "TRIG:BLOC:BRAN:COUN 5, 3, 2", ":INIT", (":TRAC:ACT?", "15"),
    ],
    "a wait block waits for a command trigger, p. 6-148": [
        ":TRIG:BLOC:WAIT 1, COMM", ":TRIG:BLOC:MEAS 2", ":TRIG:BLOC:BRAN:COUN 3, 2, 1", ":OUTP ON", ":INIT",
        (":TRAC:ACT?;:TRIG:STAT?", "0;WAITING;WAITING;1"), ("*WAI;:TRAC:ACT?", ""), "*TRG", ("*TRG", "2"),
    ],
    "a forgotten trigger holds *OPC? until ABORt": [
        ":TRIG:BLOC:WAIT 1, DIG3", ":TRIG:BLOC:MEAS 2", ":INIT", ("*OPC?", ""), ("*IDN?;:ABOR", ""),
        (":ABOR", "1\nKEITHLEY INSTRUMENTS,MODEL 2450,04000001,1.7.12b"),
    ],
    "an event that came before its block is used, p. 6-148": [
        ":TRIG:BLOC:WAIT 1, COMM", ":TRIG:BLOC:NOT 2, 1", ":TRIG:BLOC:WAIT 3, NOT1", ":TRIG:BLOC:MEAS 4", ":INIT",
        "*TRG", (":TRAC:ACT?", "1"),
    ],
    "branches on limits and on the first pass, p. 6-132": [
        ":SOUR:VOLT 0.5", ON, ":TRIG:BLOC:MEAS 1", ":TRIG:BLOC:BRAN:LIM:CONS 2, ABOV, 0, 1e-4, 5",
        ":TRIG:BLOC:MEAS 3", ":TRIG:BLOC:MEAS 4", ":TRIG:BLOC:BRAN:ONCE 5, 1", ":INIT", (":TRAC:ACT?", "2"),
    ],
    "an endless loop runs until ABORt": [
        ":TRIG:BLOC:MEAS 1", ":TRIG:BLOC:BRAN:ALW 2, 1", ":INIT", (":TRIG:STAT?", "WAITING;WAITING;2"),
        (":INIT", -213),
        ":ABOR", (":TRIG:STAT?", "IDLE;IDLE;2"),
    ],
    "other templates": [
        ':TRIG:LOAD "DurationLoop", 0.05, 0.01', ":INIT;*WAI", (":OUTP?", "0"), ':TRIG:LOAD "Empty"',
        (":INIT", -200),
        ':TRIG:LOAD "LogicTrigger", 1, 2, 3', ":INIT", ("*OPC?", ""), (":ABOR", "1"),
        (':TRIG:LOAD "NoSuch"', -224), (':TRIG:LOAD "GradeBinning", 1', -241), (":TRIG:BLOC:DIG:IO 1, 2", -241),
        (":TRIG:BLOC:MEAS 99", -222), (":TRIG:BLOC:WAIT 1, NOSUCH", -224),
    ],
    # --- configuration lists, sweeps --------------------------------------------------------------------
    "configuration lists store and recall the source, p. 3-31": [
        ':SOUR:VOLT:ILIM 0.1;:SOUR:CONF:LIST:CRE "a"', ':SOUR:VOLT 0.5;:SOUR:CONF:LIST:STOR "a"',
        ':SOUR:VOLT 0.7;:SOUR:CONF:LIST:STOR "a"',
        ':SOUR:FUNC CURR;:SOUR:CONF:LIST:REC "a",1', (":SOUR:FUNC?;:SOUR:VOLT?", "VOLT;5.000000E-01"),
        (':SOUR:CONF:LIST:SIZE? "a";CAT?', '2;"a"'), (':SOUR:CONF:LIST:REC "a",3', -222),
        (':SOUR:CONF:LIST:REC "b"', -224), ':SENS:CONF:LIST:CRE "m";:SENS:CURR:NPLC 5;:SENS:CONF:LIST:STOR "m"',
        ":SENS:CURR:NPLC 1", ':TRIG:LOAD "ConfigList","m","a"', ":INIT",
        (':TRAC:DATA? 1,2,"defbuffer1",SOUR', [0.5, 0.7]), (":SENS:CURR:NPLC?", [5.0]),
        ':SOUR:CONF:LIST:DEL "a"', (':SOUR:CONF:LIST:SIZE? "a"', -224),
    ],
    "a configuration block steps through a list, p. 6-137": [
        ':SOUR:VOLT:ILIM 0.1;:SOUR:CONF:LIST:CRE "a"', ':SOUR:VOLT 0.1;:SOUR:CONF:LIST:STOR "a"',
        ':SOUR:VOLT 0.2;:SOUR:CONF:LIST:STOR "a"',
        ':TRIG:BLOC:CONF:NEXT 1, "a"', ":TRIG:BLOC:MEAS 2", ":TRIG:BLOC:BRAN:COUN 3, 4, 1", ":OUTP ON", ":INIT",
        (':TRAC:DATA? 1,4,"defbuffer1",SOUR', [0.1, 0.2, 0.1, 0.2]),
    ],
    "a linear sweep by its step, p. 6-83": [
        ":SOUR:VOLT:ILIM 0.1;:SOUR:SWE:VOLT:LIN:STEP 1, 0, 0.25", ":INIT",
        (':TRAC:DATA? 1,5,"defbuffer1",SOUR', [1.0, 0.75, 0.5, 0.25, 0.0]),
        (":SOUR:SWE:VOLT:LIN:STEP 0,1,0", -222),
    ],
    "sweeps: dual, delayed, repeated, endless, p. 6-81": [
        ":SOUR:VOLT:ILIM 0.1;:SOUR:SWE:VOLT:LIN 0,1,2,0,2,BEST,OFF,ON", ":INIT", (":TRAC:ACT?", "8"),
        (':TRAC:DATA? 1,4,"defbuffer1",SOUR', [0.0, 1.0, 1.0, 0.0]), (":SOUR:SWE:VOLT:LIN 0,1,2,1e-6", -222),
        ":SOUR:SWE:VOLT:LIN 0,1,2,0,0", ":INIT", (":OUTP?", "1"), ":ABOR", (":OUTP?", "0"),
    ],
    "beyond a fixed source range, a sweep gives the largest level of the range, p. 6-82": [
        ":SOUR:VOLT:ILIM 0.1;:SOUR:VOLT:RANG 0.2;:SOUR:SWE:VOLT:LIN 0,1,3,0,1,FIX", ":INIT",
        (':TRAC:DATA? 1,3,"defbuffer1",SOUR', [0.0, 0.21, 0.21]), (":OUTP?", "0"),
    ],
    # --- measurements -----------------------------------------------------------------------------------
    "relative offsets are subtracted, p. 6-56": [
        ":SOUR:VOLT 0.5", ON, ":SENS:CURR:REL 1e-4;:SENS:CURR:REL:STAT ON", (":READ?", [4e-4]),
        ":SENS:CURR:REL:ACQ",
        (":SENS:CURR:REL?;:READ?", [5e-4, 0.0]), ":SENS:CURR:REL:STAT OFF", (":READ?", [5e-4]),
    ],
    "units of readings, p. 6-61": [
        ":SOUR:VOLT 0.5", ON, ":SENS:CURR:UNIT OHM", (":READ?", [1000.0]), (':FETC? "defbuffer1",UNIT', "Ohm"),
        ":SENS:CURR:UNIT WATT", (":READ?", [2.5e-4]), (":SENS:CURR:UNIT VOLT", -224),
    ],
    "math and limits of readings, p. 6-11": [
        ":SOUR:VOLT 0.5", ON, ":CALC1:CURR:MATH:FORM MXB;:CALC1:CURR:MATH:MMF 2;:CALC1:CURR:MATH:MBF 1",
        ":CALC1:CURR:MATH:STAT ON", (":READ?", [1.001]), ":CALC2:CURR:LIM1:UPP 1;:CALC2:CURR:LIM1:STAT ON",
        (":READ?;:CALC2:CURR:LIM1:FAIL?", "1.001000E+00;HIGH"), ":CALC1:CURR:MATH:STAT OFF",
        (":READ?;:CALC2:CURR:LIM1:FAIL?", "5.000000E-04;NONE"),
    ],
    "the lower limit of autorange, p. 6-51": [
        ":SENS:CURR:RANG:AUTO:LLIM 15e-3", (":SENS:CURR:RANG:AUTO:LLIM?", [0.1]), ":OUTP ON", ":READ?",
        (":SENS:CURR:RANG?", [0.1]),
    ],
    "defaults of ranges, p. 6-53 and 6-74": [
        (":SENS:CURR:RANG?;:SENS:VOLT:RANG?;:SENS:RES:RANG?", [1e-4, 20.0, 2e5]), (":SOUR:VOLT:RANG?", [0.02]),
        (":SENS:CURR:RANG? MIN", [1e-8]), ":SOUR:VOLT:RANG MAX", (":SOUR:VOLT:RANG?", [200.0]),
    ],
    "the sourced quantity is measured in the range of the source, p. 6-53": [
        ":SENS:VOLT:RANG 0.2;:SENS:FUNC 'VOLT';:SOUR:VOLT 5", ON, (":READ?", [5.0]), (":SENS:VOLT:RANG?", [0.2]),
    ],
    "automatic and user delays, p. 2-111 and 6-67": [
        (":SOUR:VOLT:DEL?;:SOUR:VOLT:DEL:AUTO?", [1e-3, 1.0]), ":SOUR:VOLT:DEL 0.5",
        (":SOUR:VOLT:DEL?;:SOUR:VOLT:DEL:AUTO?", [0.5, 0.0]), ":SOUR:VOLT:DEL:AUTO ON;:SOUR:VOLT:HIGH:CAP ON",
        (":SOUR:VOLT:DEL?", [1e-2]), (":SENS:CURR:DEL:USER9 1", -114), ":SENS:CURR:DEL:USER2 0.5",
        ":TRIG:BLOC:MEAS 1;:TRIG:BLOC:DEL:DYN 2, MEAS2;:TRIG:BLOC:MEAS 3", ":INIT",
        (':TRAC:DATA? 1,2,"defbuffer1",REL', [0.0, 0.54]),
    ],
    # --- buffers, system --------------------------------------------------------------------------------
    "buffers that keep their oldest or their newest readings, p. 6-113": [
        ':TRAC:MAKE "b",10', (':TRAC:FILL:MODE? "b";:TRAC:FILL:MODE?', "ONCE;CONT"), ":OUTP ON;:SENS:COUN 11",
        (':READ? "b"', 4915), (':TRAC:ACT? "b"', "10"), ':TRAC:FILL:MODE CONT, "b"', ':READ? "b"',
        (':TRAC:ACT? "b"', "10"),
    ],
    "statistics, p. 6-121": [
        ON, ":READ?", ":SOUR:VOLT 1", ":READ?", (":TRAC:STAT:PK2P?;MAX?;MIN?;AVER?", [1e-3, 1e-3, 0.0, 5e-4]),
    ],
    "date and time, p. 6-110": [
        (":SYST:TIME?", "946684800"), ":SYST:TIME 2026, 1, 2, 3, 4, 5",
        (":SYST:TIME? 1", "Fri Jan 02 03:04:05 2026"),
        (":SYST:TIME 2026, 2, 30, 0, 0, 0", -222), (":SYST:TIME 1", -109), (":SYST:ACC?", "FULL"),
    ],
    "digits of readings, p. 6-27": [
        ":SOUR:VOLT 0.5", ON, ":FORM:ASC:PREC 3", (":READ?", "5.00E-04"), ":FORM:ASC:PREC 0",
        (":READ?", "5.000000E-04"),
    ],
    "setups are saved and recalled with the output off": [
        ":SOUR:VOLT 0.3;:SOUR:VOLT:ILIM 0.1;:OUTP ON;*SAV 2", "*RST", "*RCL 2", (":SOUR:VOLT?;:OUTP?", [0.3, 0.0]),
        ("*RCL 3", -221),
    ],
    "hardware that is not there is refused": [
        (":DIG:LINE1:MODE DIG,OUT", -241), (':TRAC:SAVE "/usb1/x.csv"', -241), (":TRIG:PAUS", -113),
    ],
}  # fmt: skip


@pytest.mark.share(12)
@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence_does_what_the_manual_says(name, rack, follow):
    follow(rack("2450"), SEQUENCES[name])
