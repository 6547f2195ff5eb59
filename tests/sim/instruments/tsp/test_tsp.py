"""Keithley's script language on the 2612B: statements, values, buffers, sweeps, errors."""

from __future__ import annotations

import struct

import pytest


@pytest.mark.share(9)
@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("print(1)", "1.00000e+00"),
        ("print(1+2*3^2-4/2, -2^2, (1+2)*3)", "1.70000e+01\t-4.00000e+00\t9.00000e+00"),
        ("print(0x1F, 1e-7, .5)", "3.10000e+01\t1.00000e-07\t5.00000e-01"),
        ("print('a'..'b'..1, nil, true, not true)", "ab1\tnil\ttrue\tfalse"),
        ("print(1 == 1, 1 ~= 1, 2 < 3, 3 <= 2)", "true\tfalse\ttrue\tfalse"),
        ("print('a' < 'b', 1 == '1')", "true\tfalse"),
        ("print(nil or 2, false and 3, 1 and 4)", "2.00000e+00\tfalse\t4.00000e+00"),
        ("a, b = 1, 2 a, b = b, a print(a, b)", "2.00000e+00\t1.00000e+00"),
        ("t = {4, 5, k = 6} print(t[2], t.k, t[3])", "5.00000e+00\t6.00000e+00\tnil"),
        ("t = {} t.x = 7 t[10] = 8 print(t['x'], t[10])", "7.00000e+00\t8.00000e+00"),
        ("s = 0 for i = 1, 10 do s = s + i end print(s)", "5.50000e+01"),
        ("s = 0 for i = 10, 1, -3 do s = s + i end print(s)", "2.20000e+01"),
        ("i = 0 while true do i = i + 1 if i == 4 then break end end print(i)", "4.00000e+00"),
        ("if 1 > 2 then print('a') elseif 2 > 1 then print('b') else print('c') end", "b"),
        ("x = 1 do local x = 2 end print(x)", "1.00000e+00"),
        ("print(1/0, -1/0)", "inf\t-inf"),
        ("-- a comment\nprint('x') --[[ another\none ]]", "x"),
        ("print(string.format('%d of %s: %.2f', 3, 'x', 0.5))", "3 of x: 0.50"),
        ("print(math.floor(2.7), math.min(2, 1))", "2.00000e+00\t1.00000e+00"),
        ("print(math.sqrt(-1), math.exp(1e9))", "nan\tinf"),
        ("print(string.format('%s is 100%%', 'it'))", "it is 100%"),
        ("print(tonumber('x'), tonumber(2))", "nil\t2.00000e+00"),
        ("print(2^1000^2, math.pi)", "inf\t3.14159e+00"),
        ("print(math.sqrt(16), math.max(1, 5, 3), tonumber('0.5'))", "4.00000e+00\t5.00000e+00\t5.00000e-01"),
        ("format.asciiprecision = 12 print(1/3)", "3.33333333333e-01"),
        ("print(type(smua), type(print), tostring(2))", "table\tfunction\t2.00000e+00"),
        ("print(localnode.model, localnode.linefreq)", "2612B\t5.00000e+01"),
    ],
)  # fmt: skip
def test_script_results(script, printed, rack):
    assert rack("2612B").query(script) == printed


@pytest.mark.share(9)
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("x = ", -285),
        ("print(1", -285),
        ("for i = 1 do end", -285),
        ("break", -285),
        ("1 = 2", -285),
        ("x = 'open", -285),
        ("function f( end", -285),
        ("print(nosuch.thing)", -286),
        ("nosuch()", -286),
        ("print(1 + nil)", -286),
        ("print({} .. 'a')", -286),
        ("print(1 < 'a')", -286),
        ("smua.nosuch = 1", -286),
        ("smua.source.compliance = true", -286),
        ("smua.source.nosuch = 1", -286),
        ("smua.source.levelv = 'abc'", -286),
        ("smua.source.levelv = 1000", -222),
        ("smua.source.limiti = 0", -222),
        ("smua.measure.nplc = 100", -222),
        ("smua.source.func = 7", -224),
        ("format.data = 9", -222),
        ("delay(-1)", -222),
        ("delay()", -109),
        ("delay(1, 2)", -108),
        ("printbuffer(1, 1, smua.nvbuffer1)", -222),
        ("string.format('%999999d', 1)", -286),
    ],
)
def test_script_errors(script, code, rack):
    one = rack("2612B")
    one.write(script)
    assert one.errors() == [code]
    assert one.query("print(errorqueue.next())") == "0.00000e+00\tQueue Is Empty\t0.00000e+00\tnil"


def test_script_stops_at_error(rack):
    one = rack("2612B")
    one.write("a = 1 b = nosuch.x c = 3")
    assert one.query("print(a, b, c)") == "1.00000e+00\tnil\tnil"
    assert one.query("print(errorqueue.count)") == "1.00000e+00"
    code, text, severity, node = one.query("print(errorqueue.next())").split("\t")
    assert (float(code), float(severity), float(node)) == (-286, 20, 1)
    assert text.startswith("TSP Runtime error at line 1: attempt to index")


def test_measurement_and_compliance(rack):
    one = rack("2612B")
    one.write("smua.source.func = smua.OUTPUT_DCVOLTS", "smua.source.levelv = 0.5 smua.source.limiti = 1e-2")
    one.write("smua.source.output = smua.OUTPUT_ON", "format.asciiprecision = 9")
    assert one.numbers("print(smua.measure.iv())") == pytest.approx([1e-3, 0.5])  # smub is off and holds 0 V
    one.write("smub.source.offmode = smub.OUTPUT_HIGH_Z")
    assert one.numbers("print(smua.measure.iv())") == pytest.approx([5e-4, 0.5])
    assert one.numbers("print(smua.measure.r(), smua.measure.p())") == pytest.approx([1000.0, 2.5e-4])
    question = "print(smua.measure.i(), status.measurement.instrument.smua.condition)"
    assert one.numbers(question) == [pytest.approx(5e-4), 0.0]
    one.write("smua.source.limiti = 1e-4")
    assert one.numbers(question) == [pytest.approx(1e-4), 2.0]
    assert one.query("print(smua.source.compliance, smub.source.compliance)") == "true\tfalse"
    one.write("smua.source.func = 0 smua.source.limitv = 0.2 smua.source.leveli = 1e-3")
    assert one.numbers(question) == [pytest.approx(2e-4), 1.0]
    one.write("smua.source.func = 1 smua.source.limiti = 1 smua.measure.rangei = 1e-6")
    assert one.numbers(question)[0] == 9.91e37
    assert int(one.numbers(question)[1]) & 128


def test_reading_buffers(rack):
    one = rack("2612B", (1,))
    one.write("smua.source.limiti = 1e-2 smua.source.output = 1 smua.nvbuffer1.appendmode = 1")
    one.write("for k = 1, 4 do smua.source.levelv = k * 0.1 smua.measure.i(smua.nvbuffer1) end")
    assert one.numbers("print(smua.nvbuffer1.n, smua.nvbuffer1[2], smua.nvbuffer1.readings[3])") == pytest.approx(
        [4, 2e-4, 3e-4]
    )
    assert one.numbers("printbuffer(2, 3, smua.nvbuffer1, smua.nvbuffer1.sourcevalues)") == pytest.approx(
        [2e-4, 0.2, 3e-4, 0.3]
    )
    one.write("smua.nvbuffer1.appendmode = 0 smua.measure.count = 2 smua.measure.v(smua.nvbuffer1)")
    assert one.numbers("printbuffer(1, smua.nvbuffer1.n, smua.nvbuffer1.readings)") == pytest.approx([0.4, 0.4])
    one.write("b = smua.makebuffer(1) smua.measure.v(b)")
    assert one.errors() == [-223]
    one.write("format.data = format.REAL32 format.byteorder = format.LITTLEENDIAN")
    reply = one.instrument.execute(b"printbuffer(1, 2, smua.nvbuffer1)")
    assert struct.unpack("<2f", reply[2:-1]) == pytest.approx((0.4, 0.4))
    assert one.query("print(1)") == "1.00000e+00", "print is always text"


def test_multi_line_scripts(rack):
    one = rack("2612B")
    one.write("loadandrunscript", "for k = 1, 2 do", "  x = k", "end")
    assert one.instrument.execute(b"endscript") == b""
    assert one.query("print(x)") == "2.00000e+00"
    one.write("loadscript mine\r", "print('ran')\r", "endscript\r")
    assert one.query("mine.run()") == "ran"


def test_sweeps_of_both_channels_are_synchronised(rack):
    one = rack("2612B")
    one.write("smua.source.limiti = 0.01 smua.source.output = 1 smub.source.func = 0 smub.source.output = 1")
    one.write(
        "smua.trigger.source.listv({0.1, 0.2, 0.3}) smua.trigger.source.action = smua.ENABLE",
        "smua.trigger.count = 3 smua.trigger.measure.iv(smua.nvbuffer1, smua.nvbuffer2)",
        "smua.trigger.measure.action = 1",
        "smub.trigger.count = 3 smub.trigger.measure.v(smub.nvbuffer1) smub.trigger.measure.action = 1",
        "smua.trigger.initiate() smub.trigger.initiate() waitcomplete()",
    )
    assert one.numbers("printbuffer(1, 3, smua.nvbuffer1, smua.nvbuffer2, smub.nvbuffer1)") == pytest.approx(
        [1e-4, 0.1, 0.1, 2e-4, 0.2, 0.2, 3e-4, 0.3, 0.3]
    )
    assert one.plane.channels()[0].source.volts == 0.0, "an idle source must return to its level"
    one.write("smua.trigger.endsweep.action = smua.SOURCE_HOLD smua.trigger.source.linearv(0, 0.4, 3)")
    one.write("smua.trigger.initiate()")
    assert one.numbers("printbuffer(1, 3, smua.nvbuffer1)") == pytest.approx([0.0, 2e-4, 4e-4])
    assert one.plane.channels()[0].source.volts == 0.4
    one.write("reset() smua.trigger.source.action = 1 smua.trigger.initiate()")
    assert one.errors() == [-221]


def test_script_that_runs_itself_is_refused(rack):
    one = rack("2612B")
    one.write("loadscript again", "again.run()", "endscript", "again.run()")
    assert one.errors() == [-286]
    assert one.query("print(1)") == "1.00000e+00"


@pytest.mark.share(1)
@pytest.mark.parametrize(
    "script",
    [
        "s = 'ab' for i = 1, 17 do s = s..s end for i = 1, 1e5 do print(s) end",
        "for i = 1, 1e6 do print(" + "nil, " * 200 + "nil) end",
    ],
)
def test_one_line_cannot_print_without_bound(script, rack):
    one = rack("2612B")
    assert len(one.instrument.execute(script.encode())) < 20e6
    assert one.errors() == [-286]
    assert one.query("print(1)") == "1.00000e+00"
