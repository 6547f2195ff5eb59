"""Scripts of a virtual Keithley 2600: idioms of Lua, and the pattern matcher that limits can interrupt."""

from __future__ import annotations

from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lupa.lua51 import LuaError, LuaRuntime
from shares import examples

IDIOMS = {
    "function": ("function f(a, b) return a + b end print(f(1, 2))", "3.00000e+00"),
    "local function": ("local function f(a) return a * 2 end print(f(4))", "8.00000e+00"),
    "closure": (
        "function counter() local n = 0 return function() n = n + 1 return n end end "
        "c = counter() c() print(c(), counter()())",
        "2.00000e+00\t1.00000e+00",
    ),
    "repeat": ("i = 0 repeat i = i + 1 until i == 3 print(i)", "3.00000e+00"),
    "pairs": ("n = 0 for k, v in pairs({a = 1, b = 2, 3}) do n = n + v end print(n)", "6.00000e+00"),
    "ipairs": ("n = 0 for k, v in ipairs({5, 6, nil, 7}) do n = n + k * v end print(n)", "1.70000e+01"),
    "table after in": ("n = 0 for k, v in {5, 6} do n = n + v end print(n)", "1.10000e+01"),
    "next": ("print(next({}), next({7}))", "nil\t1.00000e+00\t7.00000e+00"),
    "varargs": ("function f(...) return arg.n, arg[2] end print(f(1, 'b', 3))", "3.00000e+00\tb"),
    "unpack": ("print(unpack({1, 'x', true}))", "1.00000e+00\tx\ttrue"),
    "select": ("print(select('#', 1, nil, 3), (select(2, 'a', 'b', 'c')))", "3.00000e+00\tb"),
    "several results": ("function f() return 1, 2 end a, b = f() print(b, (f()))", "2.00000e+00\t1.00000e+00"),
    "format": (
        "print(string.format('%5.2f|%-4s|%03d|%x|%q', 3.14159, 'ab', 7, 255, 'q'))",
        ' 3.14|ab  |007|ff|"q"',
    ),
    "find": (
        "print(string.find('hello world', 'o w'), string.find('key = 5', '(%w+)%s*=%s*(%d+)'))",
        "5.00000e+00\t1.00000e+00\t7.00000e+00\tkey\t5",
    ),
    "gsub": ("print(string.gsub('a-b-c', '-', '+'))", "a+b+c\t2.00000e+00"),
    "gfind": ("for w in string.gfind('one two', '%a+') do print(w) end", "one\ntwo"),
    "text functions": (
        "print(string.upper('ab'), string.sub('hello', 2, -2), string.len('abc'), string.rep('x', 3))",
        "AB\tell\t3.00000e+00\txxx",
    ),
    "insert and concat": ("t = {1} table.insert(t, 2) table.insert(t, 1, 0) print(table.concat(t, ','))", "0,1,2"),
    "sort": (
        "t = {3, 1, 2} table.sort(t) print(t[1], t[3]) table.sort(t, function(a, b) return a > b end) print(t[1])",
        "1.00000e+00\t3.00000e+00\n3.00000e+00",
    ),
    "remove and getn": (
        "t = {4, 5, 6} print(table.remove(t), table.remove(t, 1), table.getn(t))",
        "6.00000e+00\t4.00000e+00\t1.00000e+00",
    ),
    "pcall and error": ("ok, e = pcall(function() error('oops', 0) end) print(ok, e)", "false\toops"),
    "error with a table": ("ok, e = pcall(error, {code = 5}) print(ok, e.code)", "false\t5.00000e+00"),
    "metatables": (
        "v = setmetatable({x = 1}, {__add = function(a, b) return a.x + b.x end, __index = {y = 9}}) "
        "print(v + v, v.y)",
        "2.00000e+00\t9.00000e+00",
    ),
    "methods": ("o = {n = 2} function o:get(k) return self.n * k end print(o:get(5))", "1.00000e+01"),
    "nested tables": ("t = {a = {b = {1, 2, {c = 'deep'}}}} print(t.a.b[3].c)", "deep"),
    "steps": ("s = '' for i = 10, 1, -4 do s = s..i..' ' end print(s)", "10 6 2 "),
    "while and break": ("i = 0 while true do i = i + 1 if i > 4 then break end end print(i)", "5.00000e+00"),
    "multiple assignment": ("a, b, c = 1, 2 a, b = b, a print(a, b, c)", "2.00000e+00\t1.00000e+00\tnil"),
    "and and or": ("x = nil print(x or 'none', x and 1, false or nil, 1 and 2)", "none\tnil\tnil\t2.00000e+00"),
    "escapes": ("print('tab\\tquote\\'\\65\\\\')", "tab\tquote'A\\"),
    "long texts": ("print([[a 'long' \"text\"]])", "a 'long' \"text\""),
    "comments": ("print(1) -- print(2)", "1.00000e+00"),
    "conversions": (
        "print(tonumber('0x1F'), tonumber('ff', 16), tostring(1), type(nil), type('x'))",
        "3.10000e+01\t2.55000e+02\t1.00000e+00\tnil\tstring",
    ),
    "mathematics": (
        "print(math.mod(7, 3), math.floor(-1.5), math.pow(2, 5), math.max(1, 9, 3), math.abs(-2))",
        "1.00000e+00\t-2.00000e+00\t3.20000e+01\t9.00000e+00\t2.00000e+00",
    ),
    "recursion": (
        "function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end print(fib(15))",
        "6.10000e+02",
    ),
    "loadstring": ("print(loadstring('return 1 + 1')(), (loadstring('x x')))", "2.00000e+00\tnil"),
    "functions in tables": (
        "t = {f = function(x) return x + 1 end} print(t['f'](1), t.f(2))",
        "2.00000e+00\t3.00000e+00",
    ),
    "hexadecimal and exponents": ("print(0xff, 1e3, .5e-1)", "2.55000e+02\t1.00000e+03\t5.00000e-02"),
    "global table": ("_G['made up'] = 3 print(_G['made up'], _G._G == _G)", "3.00000e+00\ttrue"),
}


@pytest.mark.share(13)
@pytest.mark.parametrize("idiom", IDIOMS)
def test_idiom_of_lua_works(idiom, rack):
    script, printed = IDIOMS[idiom]
    one = rack("2612B")
    assert one.query(script) == printed
    assert one.errors() == []


@pytest.mark.parametrize(
    ("lines", "line", "code"),
    [
        (["x = 1", "y = nosuch.z"], 2, -286),
        (["for k in {1} do", "  print(k.x.y)", "end"], 2, -286),
        (["smua.source.levelv = 0.1", "", "smua.nosuch = 1"], 3, -286),
        (["x = 1", "if x then"], 2, -285),
    ],
)
def test_errors_name_the_line(lines, line, code, rack):
    one = rack("2612B")
    one.instrument.execute(b"loadandrunscript")
    for text in [*lines, "endscript"]:
        one.instrument.execute(text.encode())
    found = [one.instrument.errors.next() for _ in range(len(one.instrument.errors))]
    assert {number for number, _ in found} == {code}
    assert all(f"at line {line}:" in text for _, text in found)


def test_settings_that_are_rejected_do_not_end_the_chunk(rack):
    """As on the instrument: its published example of the error queue collects several errors in one loop."""
    one = rack("2612B")
    one.write("for x = 1, 5 do smua.measure.autozero = x end smua.source.output = 1")
    assert one.errors() == [-222, -222, -222]
    assert one.numbers("print(smua.source.output)") == [1]


@pytest.mark.share(2)
@pytest.mark.parametrize(
    ("source", "printed"),
    [
        ("for k, v in ({5}) do print(v) end", "5.00000e+00"),
        ("local t = {1} for k in t do for j in {2} do print(k + j) end end", "2.00000e+00"),
        ("for k in (function() local t = {3} for j in t do end return t end)() do print(k) end", "1.00000e+00"),
        ("print('for k in t do') for k in {1} do print(k) end -- in do", "for k in t do\n1.00000e+00"),
        ("local t = setmetatable({}, {__call = function(self, s, c) if not c then return 7 end end}) "
         "for k in t do print(k) end", "7.00000e+00"),
        ("inside = 1 print(inside) for k in {1} do local do_it = k print(do_it) end", "1.00000e+00\n1.00000e+00"),
    ],
)  # fmt: skip
def test_tables_after_in_are_iterated(source, printed, rack):
    assert rack("2612B").query(source) == printed


# --- the matcher against the native functions -----------------------------------------------------------------


class Matchers:
    """The native functions and the matcher in Lua, called with the same arguments."""

    def __init__(self) -> None:
        lua = LuaRuntime(unpack_returned_tuples=True, encoding="latin-1")
        source = (files("hwlearn_sim.instruments.tsp.script") / "lua" / "patterns.lua").read_text("utf-8")
        names = ("byte", "sub", "find", "char")
        library = ", ".join(f"{name} = string.{name}" for name in names)
        natives = f"return {{{library}, concat = table.concat}}"
        self.mine = lua.compile(source)(lua.execute(natives))
        native = "return {find = string.find, match = string.match, gsub = string.gsub, gmatch = string.gmatch}"
        self.native = lua.execute(native)
        self.every = lua.execute(
            "return function(f, s, p) local t = {} for a, b in f(s, p) do "
            "t[#t + 1] = tostring(a)..':'..tostring(b) "
            "if #t > 50 then break end end return table.concat(t, ' ') end"
        )

    def outcome(self, functions, name, *arguments):
        try:
            if name == "gmatch":
                return self.every(functions[name], *arguments)
            return functions[name](*arguments)
        except LuaError:
            return "error"


MATCHERS = Matchers()
ITEM_TEXTS = (
    "a b . %a %d %s %w %p %A [ab] [^a] [a-c] [%d_] [^%s] %% %. %b() %f[%w] %f[%W] ( ) () %1 ^ $ - [ ] []] [^]a] %"
)
ITEMS = st.sampled_from(ITEM_TEXTS.split(" "))
PATTERNS = st.lists(st.tuples(ITEMS, st.sampled_from(["", "", "", "*", "+", "-", "?"])), max_size=5).map(
    lambda parts: "".join(item + repeat for item, repeat in parts)
)
TEXTS = st.text("aabbc (1)_%.]-", max_size=12)


@settings(max_examples=examples(600), deadline=None)
@given(TEXTS, PATTERNS, st.integers(-4, 14))
def test_matcher_finds_what_the_native_functions_find(text, pattern, init):
    for name, arguments in (("find", (text, pattern, init)), ("match", (text, pattern, init))):
        mine, native = (MATCHERS.outcome(one, name, *arguments) for one in (MATCHERS.mine, MATCHERS.native))
        assert mine == native, name


@settings(max_examples=examples(600), deadline=None)
@given(TEXTS, PATTERNS, st.sampled_from(["", "x", "<%0>", "%1", "%%", "%2"]), st.none() | st.integers(-1, 3))
def test_matcher_replaces_what_the_native_functions_replace(text, pattern, replacement, most):
    mine, native = (
        MATCHERS.outcome(one, "gsub", text, pattern, replacement, most) for one in (MATCHERS.mine, MATCHERS.native)
    )
    assert mine == native
    if not pattern.startswith("^"):
        each = [MATCHERS.outcome(one, "gmatch", text, pattern) for one in (MATCHERS.mine, MATCHERS.native)]
        assert each[0] == each[1]
