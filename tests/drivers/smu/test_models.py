"""Exact messages of every model for the same calls."""

import numpy as np
import pytest
from smu_traffic import (
    AMPERES_2400,
    B2902A,
    CHANNEL_LIMIT,
    CLOSE_2400,
    K2400,
    K2450,
    K2612B,
    OPEN_2400,
    SOURCE_2400,
    VOLTS_2400,
    limit,
    scpi,
    together,
    tsp,
    tsp_limit,
    tsp_together,
)  # fmt: skip

from hwlearn_drivers.errors import InstrumentError, UnknownInstrumentError
from hwlearn_drivers.smu.models.keithley2400 import Keithley2400
from hwlearn_drivers.smu.models.keithley2450 import Keithley2450
from hwlearn_drivers.smu.models.keithley2600 import Keithley2600
from hwlearn_drivers.smu.models.keysight_b2900 import KeysightB2900


def test_keithley_2400(scripted):
    transport, link = scripted(
        [
            *OPEN_2400,
            *scpi(":SENS:CURR:NPLC 0.1", ":SYST:RSEN 1"),
            # voltage source: current limit, range, level, then the function
            *limit(":SENS:CURR:PROT", 0.0005, "5.000000E-04"),
            *scpi(":SOUR:VOLT:RANG:AUTO 1", ":SOUR:VOLT 0.0"),
            *together(":SOUR:FUNC VOLT", ":SENS:CURR:RANG:AUTO 1"),
            (VOLTS_2400, "0;VOLT;0.000000E+00;5.000000E-04"),
            *scpi(":OUTP 1"),
            (":SOUR:VOLT 0.25", None),
            (":SYST:ERR?", '0,"No error"'),
            (
                f":READ?;:SENS:CURR:PROT:TRIP?;{VOLTS_2400}",
                "+2.500012E-01,+1.250000E-05;0;1;VOLT;2.500000E-01;5.000000E-04",
            ),
            # change to a current source while on: voltage limit first; state and change in one message
            *limit(":SENS:VOLT:PROT", 1.5, "1.500000E+00"),
            *scpi(":SOUR:CURR:RANG:AUTO 1", ":SOUR:CURR 1.25e-05"),
            (f"{VOLTS_2400};:SOUR:FUNC CURR;:OUTP?", "1;VOLT;2.500000E-01;5.000000E-04;1"),
            *together(":SENS:VOLT:RANG:AUTO 1"),
            (":SENS:VOLT:PROT:TRIP?", "1"),
            # the example of the manual has spaces after the semicolons
            (
                f":READ?;:SENS:VOLT:PROT:TRIP?;{AMPERES_2400}",
                "+9.910000E+37,-9.900000E+37; 1; 1; CURR; 1.250000E-05; 1.500000E+00",
            ),
            *scpi(":SOUR:CURR:RANG 0.001", ":SENS:VOLT:RANG:AUTO 1"),
            *scpi(":OUTP 0"),
            *CLOSE_2400,
        ]
    )
    with Keithley2400(transport, K2400, {1: CHANNEL_LIMIT}) as smu:
        channel = smu.channel(1)
        channel.nplc = 0.1
        channel.four_wire = True
        channel.voltage_source(0.0, 5e-4)
        channel.on()
        channel.set_level(0.25)
        channel.check_errors()
        reading = channel.read()
        assert (reading.volts, reading.amperes) == (0.2500012, 1.25e-5)
        assert not reading.limited
        channel.current_source(1.25e-5, 1.5)
        assert channel.limited()
        beyond = channel.read()
        assert beyond.limited
        assert np.isnan(beyond.volts)
        assert beyond.amperes == -np.inf
        channel.current_range = 1e-3
        channel.off()
    assert link.closed


def test_keithley_2400_list_sweep(scripted):
    transport, _ = scripted(
        [
            *OPEN_2400,
            *SOURCE_2400,
            *scpi(":SOUR:LIST:VOLT 0.1,-0.2,5e-07", ":SOUR:VOLT:MODE LIST", ":TRIG:COUN 3"),
            (":OUTP?;:READ?;:OUTP?", "1;0.1,1E-6,-0.2,-2E-6,5E-7,5E-12;1"),
            *scpi(":TRIG:COUN 1", ":SOUR:VOLT:MODE FIX", ":OUTP 0"),
            *CLOSE_2400,
        ]
    )
    with Keithley2400(transport, K2400, {1: CHANNEL_LIMIT}) as smu:
        smu.channel(1).voltage_source(0.0, 1e-3)
        sweep = smu.channel(1).sweep([0.1, -0.2, 5e-7])
    np.testing.assert_array_equal(sweep.volts, [0.1, -0.2, 5e-7])
    np.testing.assert_array_equal(sweep.amperes, [1e-6, -2e-6, 5e-12])


VOLTS_2450 = ":OUTP?;:SOUR:FUNC?;:SOUR:VOLT?;:SOUR:VOLT:ILIM?"
AMPERES_2450 = ":OUTP?;:SOUR:FUNC?;:SOUR:CURR?;:SOUR:CURR:VLIM?"


def test_keithley_2450(scripted):
    transport, _ = scripted(
        [
            (":OUTP 0", None),
            ("*LANG?", "SCPI"),
            *scpi("*CLS", "*RST"),
            *scpi(":SENS:VOLT:NPLC 1.0", ":SENS:CURR:NPLC 1.0", ":SENS:VOLT:RSEN 0", ":SENS:CURR:RSEN 0"),
            *scpi(":SENS:VOLT:NPLC 2.0", ":SENS:CURR:NPLC 2.0", ":SENS:VOLT:RSEN 1", ":SENS:CURR:RSEN 1"),
            *limit(":SOUR:VOLT:ILIM", 0.0005, "5.000000E-04"),
            *scpi(":SOUR:VOLT:RANG:AUTO 1", ":SOUR:VOLT 0.0"),
            *together(':SENS:FUNC "CURR"', ":SOUR:FUNC VOLT", ":SENS:CURR:RANG:AUTO 1"),
            (VOLTS_2450, "0;VOLT;0;0.0005"),
            *scpi(":OUTP 1"),
            (
                f':READ? "defbuffer1",SOUR,READ;:SOUR:VOLT:ILIM:TRIP?;{VOLTS_2450}',
                "1.000000E-01,2.000000E-06;0;1;VOLT;0;0.0005",
            ),
            # a model that switches off when the source changes: OFF is read back before ON
            *limit(":SOUR:CURR:VLIM", 1.5, "1.5"),
            *scpi(":SOUR:CURR:RANG:AUTO 1", ":SOUR:CURR 2e-06"),
            (f'{VOLTS_2450};:SENS:FUNC "VOLT";:SOUR:FUNC CURR;:OUTP?', "1;VOLT;0;0.0005;0"),
            *scpi(":OUTP 1"),
            *together(":SENS:VOLT:RANG:AUTO 1"),
            (
                f':READ? "defbuffer1",SOUR,READ;:SOUR:CURR:VLIM:TRIP?;{AMPERES_2450}',
                "2.000000E-06,1.000000E-01;1;1;CURR;2E-06;1.5",
            ),
            (":SOUR:CURR:VLIM:TRIP?", "1"),
            (AMPERES_2450, "1;CURR;2E-06;1.5"),
            *scpi(':TRAC:CLE "defbuffer1"', ":SOUR:LIST:CURR 1e-06,2e-06", ":SOUR:SWE:CURR:LIST 1,0"),
            (AMPERES_2450, "1;CURR;2E-06;1.5"),
            (":OUTP?;:INIT", "1"),
            ("*WAI", None),
            (':TRAC:DATA? 1,2,"defbuffer1",SOUR,READ', "1E-6,0.1,2E-6,0.2"),
            (":SYST:ERR?", '0,"No error;0;0 0"'),
            *scpi(":OUTP 0"),
            (":OUTP 0", None),
            (":OUTP?", "0"),
        ]
    )
    with Keithley2450(transport, K2450, {1: CHANNEL_LIMIT}) as smu:
        channel = smu.channel(1)
        channel.nplc = 2
        channel.four_wire = True
        channel.voltage_source(0.0, 5e-4)
        channel.on()
        reading = channel.read()
        assert (reading.volts, reading.amperes) == (0.1, 2e-6)
        assert not reading.limited
        channel.current_source(2e-6, 1.5)
        turned = channel.read()
        assert (turned.volts, turned.amperes) == (0.1, 2e-6)
        assert channel.limited()
        sweep = channel.sweep([1e-6, 2e-6])
    np.testing.assert_array_equal(sweep.volts, [0.1, 0.2])
    np.testing.assert_array_equal(sweep.amperes, [1e-6, 2e-6])


def test_keithley_2450_with_another_command_set_is_rejected(scripted):
    transport, link = scripted(
        [(":OUTP 0", None), ("*LANG?", "TSP"), (":OUTP 0", None), (":OUTP?", "0")],
    )
    with pytest.raises(UnknownInstrumentError, match=r"'TSP'.*\*LANG SCPI"):
        Keithley2450(transport, K2450, {1: CHANNEL_LIMIT})
    assert link.closed


VOLTS_2600 = "smub.source.output,smub.source.func,smub.source.levelv,smub.source.limiti"
AMPERES_2600 = "smub.source.output,smub.source.func,smub.source.leveli,smub.source.limitv"


def test_keithley_2600(scripted):
    transport, _ = scripted(
        [
            ("smua.source.output=0", None),
            ("smub.source.output=0", None),
            ("errorqueue.clear()", None),
            *tsp("reset()", "format.asciiprecision=16", "smub.measure.nplc=1.0", "smub.sense=0"),
            *tsp("smub.measure.nplc=0.01", "smub.sense=1"),
            *tsp_limit("smub.source.limiti", 0.0005, "5.0000e-04"),
            *tsp("smub.source.rangev=2.0", "smub.source.levelv=0.0"),
            *tsp_together("smub.source.func=1", "smub.measure.autorangei=1"),
            (f"print({VOLTS_2600})", "0.0e+00\t1.0e+00\t0.0e+00\t5.0e-04"),
            *tsp("smub.source.output=1"),
            ("smub.source.levelv=5e-07", None),
            ("print(errorqueue.count)", "0"),
            (
                f"local i,v=smub.measure.iv() print(i,v,smub.source.compliance,{VOLTS_2600},errorqueue.count)",
                "1.250000000000000e-05\t2.500012000000000e-01\tfalse\t1\t1\t5.0e-07\t5.0e-04\t0",
            ),
            *tsp_limit("smub.source.limitv", 1.5, "1.5"),
            *tsp("smub.source.autorangei=1", "smub.source.leveli=1.25e-05"),
            (
                f"local s,f,l,m={VOLTS_2600} if s==1 and f==1 then smub.source.func=0 "
                "if smub.source.output==0 then smub.source.output=1 end end print(s,f,l,m,smub.source.output)",
                "1\t1\t5.0e-07\t5.0e-04\t1",
            ),
            *tsp_together("smub.measure.rangev=2.0"),
            ("print(smub.source.compliance)", "true"),
            (f"print({AMPERES_2600})", "1\t0\t1.25e-05\t1.5"),
            *tsp("smub.nvbuffer1.clear()", "smub.nvbuffer2.clear()"),
            *tsp(
                "smub.trigger.source.listi({1e-06,2e-06})",
                "smub.trigger.source.action=1",
                "smub.trigger.measure.iv(smub.nvbuffer1,smub.nvbuffer2)",
                "smub.trigger.measure.action=1",
                "smub.trigger.endsweep.action=0",
                "smub.trigger.count=2",
            ),
            (
                "local s=smub.source.output if s==1 then smub.trigger.initiate() end waitcomplete() "
                "print(s,smub.source.output)",
                "1\t1",
            ),
            ("printbuffer(1,2,smub.nvbuffer1.readings)", "1e-06, 2e-06"),
            ("printbuffer(1,2,smub.nvbuffer2.readings)", "0.1, 0.2"),
            ("print(errorqueue.count)", "0"),
            *tsp("smub.source.output=0"),
            ("smua.source.output=0", None),
            ("smub.source.output=0", None),
            ("print(smua.source.output)", "0"),
            ("print(smub.source.output)", "0"),
        ]
    )
    with Keithley2600(transport, K2612B, {2: CHANNEL_LIMIT}) as smu:
        channel = smu.channel(2)
        channel.nplc = 0.01
        channel.four_wire = True
        channel.voltage_range = 2.0
        channel.voltage_source(0.0, 5e-4)
        channel.on()
        channel.set_level(5e-7)
        channel.check_errors()
        reading = channel.read()
        assert (reading.volts, reading.amperes) == (0.2500012, 1.25e-5)
        assert not reading.limited
        channel.current_source(1.25e-5, 1.5)
        assert channel.limited()
        sweep = channel.sweep([1e-6, 2e-6])
    np.testing.assert_array_equal(sweep.volts, [0.1, 0.2])
    np.testing.assert_array_equal(sweep.amperes, [1e-6, 2e-6])


def test_keithley_2600_error_queue(scripted):
    transport, _ = scripted(
        [
            ("smua.source.output=0", None),
            ("smub.source.output=0", None),
            ("errorqueue.clear()", None),
            *tsp("reset()", "format.asciiprecision=16", "smua.measure.nplc=1.0", "smua.sense=0"),
            ("smua.measure.nplc=5.0", None),
            ("print(errorqueue.count)", "1.000000000000000e+00"),
            (
                "print(errorqueue.next())",
                "-2.850000000000000e+02\tTSP Syntax error at line 1\t2.0e+01\t1.0e+00",
            ),
            ("print(errorqueue.count)", "0"),
            ("smua.source.output=0", None),
            ("smub.source.output=0", None),
            ("print(smua.source.output)", "0"),
            ("print(smub.source.output)", "0"),
        ]
    )
    with Keithley2600(transport, K2612B, {1: CHANNEL_LIMIT}) as smu:
        with pytest.raises(InstrumentError, match=r"'smua.measure.nplc=5.0' with error -285") as raised:
            smu.channel(1).nplc = 5
        assert (raised.value.code, raised.value.text) == (-285, "TSP Syntax error at line 1")


VOLTS_B2900 = ":OUTP2?;:SOUR2:FUNC:MODE?;:SOUR2:VOLT?;:SENS2:CURR:PROT?"
AMPERES_B2900 = ":OUTP2?;:SOUR2:FUNC:MODE?;:SOUR2:CURR?;:SENS2:VOLT:PROT?"


def test_keysight_b2900(scripted):
    transport, _ = scripted(
        [
            (":OUTP1 0", None),
            (":OUTP2 0", None),
            *scpi("*CLS", "*RST", ":FORM:ELEM:SENS VOLT,CURR"),
            *scpi(
                ":OUTP1:ON:AUTO 0",
                ':SENS1:FUNC "VOLT","CURR"',
                ":OUTP2:ON:AUTO 0",
                ':SENS2:FUNC "VOLT","CURR"',
            ),
            *scpi(":SENS2:VOLT:NPLC 1.0", ":SENS2:CURR:NPLC 1.0", ":SENS2:REM 0"),
            *scpi(":SENS2:VOLT:NPLC 0.001", ":SENS2:CURR:NPLC 0.001", ":SENS2:REM 1"),
            *limit(":SENS2:CURR:PROT", 0.0005, "+5.000000E-04"),
            *scpi(":SOUR2:VOLT:RANG 2.0", ":SOUR2:VOLT 0.0"),
            *together(":SOUR2:FUNC:MODE VOLT", ":SENS2:CURR:RANG:AUTO 1"),
            (VOLTS_B2900, "0;VOLT;+0.000000E+00;+5.000000E-04"),
            *scpi(":OUTP2 1"),
            (
                f":MEAS? (@2);:SENS2:CURR:PROT:TRIP?;{VOLTS_B2900}",
                "+2.500012E-01,+1.250000E-05;0;1;VOLT;+0.000000E+00;+5.000000E-04",
            ),
            *limit(":SENS2:VOLT:PROT", 1.5, "+1.500000E+00"),
            *scpi(":SOUR2:CURR:RANG:AUTO 1", ":SOUR2:CURR 1.25e-05"),
            (f"{VOLTS_B2900};:SOUR2:FUNC:MODE CURR;:OUTP2?", "1;VOLT;+0.000000E+00;+5.000000E-04;1"),
            *together(":SENS2:VOLT:RANG 2.0"),
            (":SENS2:VOLT:PROT:TRIP?", "1"),
            (AMPERES_B2900, "1;CURR;+1.250000E-05;+1.500000E+00"),
            *scpi(":SOUR2:LIST:CURR 1e-06,2e-06", ":SOUR2:CURR:MODE LIST", ":TRIG2:COUN 2"),
            (":OUTP2?;:INIT (@2)", "1"),
            (":FETC:ARR:VOLT? (@2)", "+1.000000E-01,+2.000000E-01"),
            (":OUTP2?;:FETC:ARR:CURR? (@2);:OUTP2?", "1;+1.000000E-06,+9.910000E+37;1"),
            (":SYST:ERR?", '+0,"No error"'),
            *scpi(":TRIG2:COUN 1", ":SOUR2:CURR:MODE FIX", ":OUTP2 0"),
            (":OUTP1 0", None),
            (":OUTP2 0", None),
            (":OUTP1?", "0"),
            (":OUTP2?", "0"),
        ]
    )
    with KeysightB2900(transport, B2902A, {2: CHANNEL_LIMIT}) as smu:
        channel = smu.channel(2)
        channel.nplc = 1e-3
        channel.four_wire = True
        channel.voltage_range = 2
        channel.voltage_source(0.0, 5e-4)
        channel.on()
        reading = channel.read()
        assert (reading.volts, reading.amperes) == (0.2500012, 1.25e-5)
        assert not reading.limited
        channel.current_source(1.25e-5, 1.5)
        assert channel.limited()
        sweep = channel.sweep([1e-6, 2e-6])
    np.testing.assert_array_equal(sweep.volts, [0.1, 0.2])
    np.testing.assert_array_equal(sweep.amperes, [1e-6, np.nan])
