"""Limits of scripts on a virtual Keithley 2600: time, memory, and no way out of the interpreter."""

from __future__ import annotations

import gc
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn.circuit.topology import Topology
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.channel import Connection, VirtualChannel
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.tsp.capabilities import SERIES
from hwlearn_sim.instruments.tsp.keithley2600 import VirtualKeithley2600
from hwlearn_sim.instruments.tsp.script.sandbox import ScriptLimits
from hwlearn_sim.plane.plane import AnalogPlane

ENDLESS = {
    "loop": "while true do end",
    "repeat": "repeat until false",
    "numeric for": "for i = 1, 1e15 do end",
    "tail call": "local function f() return f() end f()",
    "pcall": "while true do pcall(function() while true do end end) end",
    "nested pcall": "local function f() pcall(f) while true do pcall(f) end end f()",
    "xpcall": "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "xpcall handler": "xpcall(function() error('x') end, function() while true do end end)",
    "rep": "while true do string.rep('x', 1e6) end",
    "method rep": "local s = 'x' while true do local t = s:rep(1e6) end",
    "huge rep": "string.rep('x', 1e12)",
    "rep of nothing": "while true do string.rep('', 2^31 - 1) end",
    "insert far below": "while true do pcall(table.insert, {}, -2e9, 1) end",
    "metatable of globals": "setmetatable(_G, {__index = function() while true do end end}) x = nothing",
    "find": "string.find(string.rep('a', 28), string.rep('a?', 28)..string.rep('a', 28))",
    "find of runs": "string.find(string.rep('a', 30000), string.rep('.-', 9)..'b')",
    "plain find": (
        "local s = string.rep('a', 1e6) while true do string.find(s, string.rep('a', 5e5)..'b', 1, true) end"
    ),
    "gsub": "string.gsub(string.rep('a', 28), string.rep('a?', 28)..string.rep('a', 28), '')",
    "gsub function": "string.gsub(string.rep('a', 10), 'a', function() while true do end end)",
    "gfind": "for w in string.gfind(string.rep('a', 28), string.rep('a*', 28)..'b') do end",
    "balanced": "local s = string.rep('(', 1e6) while true do string.find(s, '%b()') end",
    "concat": "local t = {} for i = 1, 1e5 do t[i] = 'x' end while true do table.concat(t) end",
    "format": "local s = string.rep('x', 1e6) while true do string.format('%s%s', s, s) end",
    "upper": "local s = string.rep('x', 1e6) s = s..s..s..s while true do string.upper(s) end",
    "compare": "local a = string.rep('x', 1e6) local b, c = a..'1', a..'2' while true do local d = b < c end",
    "sort": "local t = {} for i = 1, 1e5 do t[i] = i end table.sort(t, function(a, b) while true do end end)",
    "sort of long texts": (
        "local a, t = string.rep('x', 1e6), {} local b, c = a..'1', a..'2' "
        "for i = 1, 1e5 do t[i] = math.mod(i, 2) == 0 and b or c end table.sort(t)"
    ),
    "insert": "local t = {} for i = 1, 2e5 do t[i] = i end while true do table.insert(t, 1, 0) end",
    "index": "local t = setmetatable({}, {__index = function(t, k) while true do end end}) local x = t.a",
    "newindex": "local t = setmetatable({}, {__newindex = function() while true do end end}) t.a = 1",
    "tostring": "print(setmetatable({}, {__tostring = function() while true do end end}))",
    "eq": "local m = {__eq = function() while true do end end} print(setmetatable({}, m) == setmetatable({}, m))",
    "call": "setmetatable({}, {__call = function() while true do end end})()",
    "concat method": "local x = setmetatable({}, {__concat = function() while true do end end})..'a'",
    "generic for": "for k in function() return 1 end do end",
    "loadstring": "while true do loadstring('local x = 1')() end",
    "collectgarbage": "local t = {} for i = 1, 1e5 do t[i] = {} end while true do collectgarbage() end",
    "readings": "while true do smua.measure.v() end",
    "settings": "while true do smua.source.levelv = 0 end",
    "delay": "while true do delay(1) end",
    "print": "while true do print('x') end",
    "errors": "while true do smua.source.levelv = 1e6 end",
    "getter": "local g = makegetter(smua.source, 'levelv') while true do g() end",
    "data queue": "while true do dataqueue.add('x') dataqueue.next() end",
    "script": "script.new('while true do end', 'endless') endless()",
    "sweep of the factory": "while true do SweepVLinMeasureI(smua, 0, 1, 0, 10) end",
    "timers": (
        "trigger.timer[1].count = 0 trigger.timer[1].delay = 0 "
        "trigger.timer[1].stimulus = trigger.generator[1].EVENT_ID trigger.generator[1].assert() "
        "while true do delay(1) end"
    ),
}
FULL = {
    "doubled text": "s = 'x' while true do s = s..s end",
    "doubled text in pcall": "s = 'x' while true do pcall(function() s = s..s end) end",
    "growing table": "t = {} while true do table.insert(t, 1) end",
    "tables": "t = {} for i = 1, 1e9 do t[i] = {1, 2, 3} end",
    "formatted": "s = 'ab' while true do s = string.format('%s%s', s, s) end",
    "concatenated": "t = {} for i = 1, 1e5 do t[i] = string.rep('x', 1000) end s = table.concat(t)",
    "closures": "t = {} for i = 1, 1e9 do t[i] = function() return i end end",
    "texts": "s = string.rep('ab', 1e5) t = {} for i = 1, 1e6 do t[i] = s..i end",
    "user strings": "s = string.rep('x', 1e5) for i = 1, 1e6 do userstring.add('k'..i, s..i) end",
    "scripts": "for i = 1, 1e6 do script.new('x = '..i..string.rep(' ', 10000), 's'..i) end",
    "buffers": "t = {} for i = 1, 1e6 do t[i] = smua.makebuffer(10) end",
}


slow = partial(pytest.param, marks=pytest.mark.slow)


def limited(limits: ScriptLimits) -> VirtualKeithley2600:
    """Return a 2612B at a voltage divider, whose scripts have these limits."""
    plane = AnalogPlane(Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0), [1e-3, 1e-3])
    row, clock = SERIES["2612B"], Clock()
    channels = [
        VirtualChannel(
            Connection(plane, node, f"channel {node}"),
            row.capability,
            clock,
            np.random.default_rng(0),
            Meters(0.0),
        )
        for node in (1, 2)
    ]
    return VirtualKeithley2600(row, channels, clock, limits=limits)


def works(instrument: VirtualKeithley2600) -> bool:
    """Return whether the instrument answers, keeps variables and measures.

    It has two tries: a pause of this program, such as a garbage collection, counts as time of its script.
    """
    return _works(instrument) or _works(instrument)


def _works(instrument: VirtualKeithley2600) -> bool:
    instrument.execute(b"reset() smua.source.levelv = 0.25 smua.source.output = 1 sum = 1 + 1")
    reply = instrument.execute(b"print(sum, smua.measure.v())")
    return instrument.execute(b"*IDN?").startswith(b"Keithley") and reply == b"2.00000e+00\t2.50000e-01\n"


@pytest.fixture
def hasty(rack):
    """An instrument whose scripts have little time."""
    one = rack("2612B")
    one.instrument = limited(ScriptLimits(seconds=0.1))
    return one


@pytest.fixture(autouse=True)
def _no_garbage_collection():
    """A collection in the process of all tests takes as long as a script may run."""
    gc.collect(0)
    gc.disable()
    yield
    gc.enable()


@pytest.mark.share(12)
@pytest.mark.parametrize("script", [*ENDLESS.values(), *FULL.values()], ids=[*ENDLESS, *FULL])
def test_runaway_script_ends_with_error_and_instrument_works_afterwards(script):
    instrument = limited(ScriptLimits(seconds=0.15))
    start = time.thread_time()  # not the wall clock: other programs may use the processor
    instrument.execute(script.encode())
    assert time.thread_time() - start < 3.0  # processor time grows too on a busy machine
    codes = [instrument.errors.next()[0] for _ in range(len(instrument.errors))]
    assert codes[-1] in (-286, -350), "the queue holds 100 errors"
    assert works(instrument)


@pytest.mark.share(1)
@pytest.mark.parametrize("name", ["loop", "gsub", *map(slow, ("nested pcall", "sort of long texts", "timers"))])
def test_runaway_script_ends_within_two_seconds(name):
    instrument = limited(ScriptLimits())
    start = time.thread_time()
    instrument.execute(ENDLESS[name].encode())
    assert time.thread_time() - start < 2.0
    assert instrument.errors.next()[0] == -286
    assert works(instrument)


def test_long_series_of_readings_is_not_a_runaway_script():
    instrument = limited(ScriptLimits(seconds=0.02))
    instrument.execute(b"smua.source.output = 1 smua.measure.count = 2000 smua.measure.v(smua.nvbuffer1) x = 5")
    instrument.execute(b"smua.trigger.source.linearv(0, 1, 2000) smua.trigger.source.action = 1")
    instrument.execute(b"smua.trigger.measure.v(smua.nvbuffer2) smua.trigger.measure.action = 1")
    instrument.execute(
        b"smua.measure.count = 1 smua.trigger.count = 2000 smua.trigger.initiate() waitcomplete() y = 6"
    )
    reply = instrument.execute(b"print(x, y, smua.nvbuffer1.n, smua.nvbuffer2.n)")
    assert reply == b"5.00000e+00\t6.00000e+00\t2.00000e+03\t2.00000e+03\n"
    assert not len(instrument.errors)


def test_script_that_is_too_long_is_refused(rack):
    one = rack("2612B")
    one.instrument.execute(b"loadscript long")
    for _ in range(11):
        one.instrument.execute(b"x = 1 " * 20_000)
    assert one.errors()[0] == -225
    one.instrument.execute(b"endscript")
    assert one.query("print(1)") == "1.00000e+00"


def test_long_loop_is_quick(rack):
    one = rack("2612B")
    start = time.thread_time()
    assert one.numbers("s = 0 for i = 1, 1e6 do s = s + i end print(s)") == pytest.approx([5.000005e11], rel=1e-5)
    assert time.thread_time() - start < 0.5  # 10 times the loop that took 0.5 s in the former interpreter


def test_runaway_script_cannot_hide_its_end_from_the_instrument(hasty):
    hasty.write("reached = false pcall(function() while true do end end) reached = true")
    assert hasty.errors() == [-286]
    assert hasty.query("print(reached)") == "false"


@pytest.mark.parametrize(
    "name",
    [
        "python", "io.open", "require", "module", "package", "load", "loadfile", "dofile", "debug", "newproxy",
        "getfenv", "setfenv", "coroutine", "os.execute", "os.remove", "os.getenv", "os.exit", "string.dump",
    ],
)  # fmt: skip
def test_functions_that_leave_the_interpreter_do_not_exist(name, rack):
    one = rack("2612B")
    reply = one.instrument.execute(f"print({name} == nil)".encode())
    assert reply == b"true\n" or one.errors() == [-286]


@pytest.mark.parametrize("source", ["print({}.__class__)", "print({}.__globals__)", "print({}.__self__)"])
@pytest.mark.parametrize("thing", ["print", "delay", "smua.measure.v", "pcall", "errorqueue.next"])
def test_functions_have_no_python_attributes(source, thing, rack):
    one = rack("2612B")
    one.write(source.replace("{}", thing))
    assert one.errors() == [-286]


@pytest.mark.parametrize("thing", ["smua", "smua.nvbuffer1", "status", "localnode", "smua.nvbuffer1.readings"])
def test_objects_have_no_python_attributes(thing, rack):
    assert rack("2612B").query(f"print({thing}.__class__, {thing}._rows, type({thing}))") == "nil\tnil\ttable"


def test_no_value_that_scripts_can_reach_is_a_python_object(rack):
    """A walk over all tables, metatables and function results finds Lua values only."""
    one = rack("2612B")
    walk = """
        local seen, found = {}, {}
        local function visit(value, path, depth)
          if type(value) == 'userdata' or type(value) == 'thread' then table.insert(found, path) end
          if type(value) ~= 'table' or seen[value] or depth > 12 then return end
          seen[value] = true
          for key, item in pairs(value) do
            visit(key, path..'.key', depth + 1)
            visit(item, path..'.'..tostring(key), depth + 1)
          end
          visit(getmetatable(value), path..'.meta', depth + 1)
        end
        visit(_G, '_G', 0)
        visit(getmetatable(''), 'text', 0)
        local ok, message = pcall(function() smua.source.levelv = {} end)
        visit(message, 'error', 0)
        visit({pcall(function() return lan.x end)}, 'refused', 0)
        print(table.concat(found, ' ')..'none')
    """
    source = " ".join(walk.split())
    reply = one.instrument.execute(source.encode())
    assert reply == b"none\n", one.errors()


@pytest.mark.parametrize(
    "script",
    [
        "loadstring('\\27Lua')()",
        "script.new('\\27LuaQ', 'x')",
        "\x1bLuaQ",
    ],
)
def test_compiled_chunks_are_refused(script, rack):
    one = rack("2612B")
    one.write(script)
    assert one.errors()[0] in (-285, -286)


@pytest.mark.slow
def test_variables_survive_a_runaway_script_but_not_a_full_memory(rack):
    one = rack("2612B")
    one.write("kept = 5", "while true do end")
    assert one.errors() == [-286]
    assert one.query("print(kept)") == "5.00000e+00"
    one.write("loadscript mine", "print('mine')", "endscript")
    one.write("kept = {} while true do table.insert(kept, {}) end")
    assert [text for _, text in [one.instrument.errors.next()]] == [
        "TSP Runtime error: not enough memory; all variables were removed"
    ]
    assert one.query("print(kept)") == "nil"
    assert one.query("mine()") == "mine", "scripts that were loaded are kept"


def test_garbage_alone_does_not_fill_the_memory(rack):
    one = rack("2612B")
    assert one.query("s = string.rep('x', 1e5) for i = 1, 2000 do local t = s..i end print('done')") == "done"
    assert one.errors() == []


def test_metatable_of_globals_cannot_run_outside_of_a_chunk(rack):
    one = rack("2612B")
    one.write("setmetatable(_G, {__newindex = function() while true do end end})")
    one.write("loadscript mine", "print('mine')", "endscript")
    assert one.errors() == []
    assert one.query("mine()") == "mine"


@pytest.mark.share(2)
@pytest.mark.parametrize("name", ["string.byte", "string.find", "tostring", "type", "error", "select", "rawget"])
def test_replaced_functions_do_not_open_the_sandbox(name, hasty):
    hasty.write(f"{name} = function() return nil end")
    assert hasty.query("print(loadstring('\\27Lua') == nil, pcall(function() x() end) == false)") == "true\ttrue"
    hasty.write("while true do pcall(function() while true do end end) end")
    assert hasty.errors() == [-286]
    assert hasty.numbers("print(smua.source.levelv)") == [0]


@pytest.mark.parametrize("script", ["again.run()", "again()", "pcall(again)"])
def test_script_that_runs_itself_is_refused(script, rack):
    one = rack("2612B")
    one.write("loadscript again", script, "endscript", "again.run()")
    assert set(one.errors()) <= {-286}
    assert one.query("print(1)") == "1.00000e+00"


def test_objects_of_the_instrument_cannot_be_replaced_from_inside(rack):
    one = rack("2612B")
    for script in (
        "setmetatable(smua, {})",
        "rawset(smua.source, 'levelv', 5)",
        "smua.source = 1",
        "smua.measure.v = print",
    ):
        one.write(script)
        assert one.errors() == [-286], script
    one.write("getmetatable(smua.source).Setters.levelv = nil", "smua.source.levelv = 0.5")
    assert one.numbers("print(smua.source.levelv)") == [0.5]


# --- random lines -------------------------------------------------------------------------------------------

NAMES_TEXT = (
    "smua smub smua.source smua.measure smua.trigger smua.nvbuffer1 trigger trigger.timer display "
    "status localnode errorqueue format digio bit timer node lan tsplink setup script dataqueue "
    "userstring string table math os _G print pcall xpcall error tostring tonumber type next pairs "
    "ipairs unpack select rawget rawset setmetatable getmetatable loadstring collectgarbage delay "
    "waitcomplete reset exit printbuffer printnumber makegetter opc SweepVLinMeasureI "
    "ConfigPulseIMeasureV InitiatePulseTest smua.measure.iv smua.makebuffer x y"
)
NAMES = st.sampled_from(NAMES_TEXT.split())
FIELDS_TEXT = (
    "levelv leveli limiti output func nplc count delay rangev autorangei n readings clear run new "
    "source measure v iv initiate stimulus action listv timer stimulus reset condition enable event "
    "rep find gsub format sort concat insert __index __class__ Getters data asciiprecision prompts "
    "writebit test save recall"
)
FIELDS = st.sampled_from(FIELDS_TEXT.split())
ATOMS = st.one_of(
    NAMES,
    st.sampled_from(
        ["nil", "true", "false", "{}", "{1,2,3}", "0/0", "1e308", "-1", "0", "'%b()'", "'a?a?'", "..."]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-5, 70000).map(str),
    st.text("ab%[]^$*+-?.()\\0\x1b\xff", max_size=6).map(lambda text: "'" + text.replace("\\", "\\\\") + "'"),
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, FIELDS).map(".".join),
        st.tuples(inner, st.lists(inner, max_size=3)).map(lambda call: f"{call[0]}({', '.join(call[1])})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]})[{pair[1]}]"),
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "^", "..", "==", "<", "and", "or"]), inner).map(
            lambda parts: "({} {} {})".format(*parts)
        ),
        inner.map(lambda body: f"function(...) return {body} end"),
    ),
    max_leaves=8,
)
STATEMENTS = st.one_of(
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(" = ".join),
    st.tuples(NAMES, FIELDS, EXPRESSIONS).map(lambda parts: "{}.{} = {}".format(*parts)),
    st.tuples(NAMES, st.lists(EXPRESSIONS, max_size=4)).map(lambda call: f"{call[0]}({', '.join(call[1])})"),
    EXPRESSIONS.map(lambda body: f"print({body})"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(lambda parts: "for k in {} do print({}) end".format(*parts)),
    EXPRESSIONS.map(lambda body: f"pcall(function() x = {body} end)"),
    st.sampled_from(["loadscript x", "endscript", "loadandrunscript", "abort", "*TRG", "*RST", "reset()"]),
)
LINES = st.one_of(STATEMENTS, st.lists(STATEMENTS, min_size=1, max_size=3).map(" ".join), st.text(max_size=30))


@settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(LINES, min_size=1, max_size=4))
def test_random_lines_give_instrument_errors_only(lines):
    one = limited(ScriptLimits(seconds=0.2))
    for line in lines:
        one.execute(line.encode("latin-1", "replace").replace(b"\n", b" "))
    one.execute(b"endscript")
    one.execute(b"localnode.prompts = 0 localnode.showerrors = 0")
    assert one.execute(b"*IDN?").startswith(b"Keithley Instruments Inc.")
