"""The SCPI parser: message units, headers and parameters, and robustness against arbitrary text."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn_sim.instruments.errors import ErrorQueue, VirtualInstrumentError
from hwlearn_sim.instruments.scpi.instrument import ScpiInstrument
from hwlearn_sim.instruments.scpi.language import (
    CommandTree,
    as_block,
    block,
    channel_list,
    short_form,
    spelled,
    split,
    unquoted,
)
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Text, Whole

# --- text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A;B", ["A", "B"]),
        ("A 'x;y';B", ["A 'x;y'", "B"]),
        ('A "x;y";B', ['A "x;y"', "B"]),
        ("A (@1;2);B", ["A (@1;2)", "B"]),
        ("A #14;;;;;B", ["A #14;;;;", "B"]),
        ("A #H1F;B", ["A #H1F", "B"]),
        ("A;", ["A", ""]),
        ("", [""]),
    ],
)
def test_split_ignores_separators_in_quotes_parentheses_and_blocks(text, parts):
    assert list(split(text, ";")) == parts


@pytest.mark.parametrize(("text", "code"), [("A 'x", -151), ("A #15ab", -161), ("A (1", -171), ("A #2x", -161)])
def test_split_refuses_unterminated_text(text, code):
    with pytest.raises(VirtualInstrumentError) as caught:
        list(split(text, ";"))
    assert caught.value.code == code


@given(st.binary(max_size=400))
def test_blocks_preserve_any_byte(data):
    assert block(as_block(data)) == data
    assert list(split(f"A {as_block(data)};B", ";")) == [f"A {as_block(data)}", "B"]


@pytest.mark.parametrize(("text", "channels"), [("(@1)", [1]), ("( @ 1,2 )", [1, 2]), ("(@2:1)", [2, 1])])
def test_channel_lists_are_parsed(text, channels):
    assert channel_list(text) == channels


@pytest.mark.parametrize(("text", "code"), [("(@)", -171), ("(@1:2:3)", -171), ("1", -104), ("(@100)", -171)])
def test_invalid_channel_lists_are_refused(text, code):
    with pytest.raises(VirtualInstrumentError) as caught:
        channel_list(text)
    assert caught.value.code == code


def test_short_and_long_forms_are_recognised():
    assert short_form("VOLTage") == "VOLT"
    assert short_form("CALCulate3") == "CALC3"
    assert spelled("volt", "VOLTage")
    assert spelled("VoLtAgE", "VOLTage")
    assert not spelled("volta", "VOLTage")
    assert unquoted("'it''s'") == "it's"


# --- parameters ------------------------------------------------------------------------------------------

VOLTS = Number(-210.0, 210.0, 1.5, "V")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0), ("+.5E-1", 0.05), ("10 mV", 0.01), ("10mv", 0.01), ("2 KV", None), ("1e-3 V", 1e-3),
        ("MIN", -210.0), ("maximum", 210.0), ("DEF", 1.5), ("#H1F", 31.0), ("#B101", 5.0), ("211", None),
        ("INF", None), ("-5e-324", -5e-324), ("1E400", None), ("0.1", 0.1),
    ],
)  # fmt: skip
def test_numbers_are_parsed_and_checked(text, value):
    if value is None:
        with pytest.raises(VirtualInstrumentError) as caught:
            VOLTS.read(text)
        assert caught.value.code == -222
    else:
        assert VOLTS.read(text) == value


@pytest.mark.parametrize(
    ("text", "code"), [("abc", -104), ("1 A", -131), ("1,2", -104), ("", -104), ("#HXY", -104)]
)
def test_invalid_numbers_are_refused(text, code):
    with pytest.raises(VirtualInstrumentError) as caught:
        VOLTS.read(text)
    assert caught.value.code == code


@given(st.floats(-210, 210))
def test_shortest_decimal_text_is_read_exactly(value):
    assert VOLTS.read(repr(value)) == value


def test_flags_integers_choices_and_text_are_parsed():
    assert [Flag().read(text) for text in ("ON", "off", "1", "0", "2.6")] == [True, False, True, False, True]
    assert Whole(1, 10).read("2.4") == 2
    modes = Choice(("VOLTage", "CURRent"))
    assert modes.read("'curr'") == modes.read("CURRENT") == "CURR"
    assert Text().read('"a"') == "a"
    for kind, text, code in (
        (modes, "RES", -224),
        (modes, "12", -104),
        (Flag(), "yes", -104),
        (Text(), "a", -104),
    ):
        with pytest.raises(VirtualInstrumentError) as caught:
            kind.read(text)
        assert caught.value.code == code


# --- headers ---------------------------------------------------------------------------------------------


def received(message: str) -> list[tuple[str, tuple[int, ...], list[str]]]:
    """Return the commands that a small instrument received, in order."""
    calls: list[tuple[str, tuple[int, ...], list[str]]] = []
    instrument = _Small(calls)
    instrument.execute(message.encode())
    return calls


class _Small(ScpiInstrument):
    def __init__(self, calls) -> None:
        super().__init__("SMALL", 5)
        for name in (
            "[SOURce#:]VOLTage[:LEVel]:AMPLitude",
            "SOURce#:CURRent",
            "OUTPut#[:STATe]",
            "DISPlay:TEXT",
        ):
            self.command(name, lambda suffixes, arguments, n=name: calls.append((n, suffixes, arguments)))

    def reset(self) -> None:
        """Do nothing: there are no settings."""


@pytest.mark.parametrize(
    "header",
    [
        "SOURCE:VOLTAGE:LEVEL:AMPLITUDE", ":SOUR:VOLT:LEV:AMPL", "sour1:volt:ampl", "Volt:AmPl",
        ":volt:level:ampl", "SOUR:voltage:LEV:AMPLITUDE",
    ],
)  # fmt: skip
def test_long_short_and_optional_forms_are_equal(header):
    assert received(f"{header} 1") == [("[SOURce#:]VOLTage[:LEVel]:AMPLitude", (1,), ["1"])]


def test_suffixes_and_parameters_are_parsed():
    assert received("SOUR2:CURR 1 , 'a,b' ,(@1,2)") == [("SOURce#:CURRent", (2,), ["1", "'a,b'", "(@1,2)"])]


def test_compound_messages_keep_header_path():
    calls = received(":SOUR2:CURR 1;CURR 2;*CLS;CURR 3;:OUTP2 1;;OUTP 0;")
    assert calls == [
        ("SOURce#:CURRent", (2,), ["1"]),
        ("SOURce#:CURRent", (2,), ["2"]),
        ("SOURce#:CURRent", (2,), ["3"]),
        ("OUTPut#[:STATe]", (2,), ["1"]),
        ("OUTPut#[:STATe]", (1,), ["0"]),
    ]


@pytest.mark.parametrize(
    "message", ["FOO", ":FOO:BAR?", "VOLT?", "OUTP5X 1", "*FOO", "SOUR:CURRE 1", "DISP:TEXT?"]
)
def test_unknown_headers_are_refused(message):
    instrument = _Small([])
    assert instrument.execute(message.encode()) == b""
    assert instrument.execute(b"SYST:ERR?") == b'-113,"Undefined header"\n'
    assert instrument.execute(b":SYSTem:ERRor:NEXT?") == b'0,"No error"\n'


def test_rest_of_message_is_ignored_after_command_error():
    assert received("FOO;OUTP 1") == []
    calls: list = []
    instrument = _Small(calls)
    instrument.command("FAIL", _fail)
    instrument.execute(b"FAIL;:OUTP 1")
    assert len(calls) == 1  # after an execution error, the rest of the message is executed


def _fail(*_) -> None:
    raise VirtualInstrumentError(-222)


@pytest.mark.parametrize("pattern", ["[SOURce#:]VOLTage", "VOLTage", "VOLTmeter:X", "SOURce:X", "BAD["])
def test_conflicting_patterns_are_refused(pattern):
    tree = CommandTree()
    tree.add("[SOURce#:]VOLTage", write=_fail)

    def use() -> None:
        tree.add(pattern, write=_fail)
        tree.parse("VOLT 1", ())

    with pytest.raises(ValueError, match=r"conflict|numbered|pattern"):
        use()


# --- status and errors -----------------------------------------------------------------------------------


def test_error_queue_overflows_with_350():
    queue = ErrorQueue(3)
    for _ in range(7):
        queue.push(VirtualInstrumentError(-113))
    assert [queue.next()[0] for _ in range(4)] == [-113, -113, -350, 0]


def test_status_registers():
    instrument = _Small([])

    def query(text):
        return instrument.execute(text.encode()).decode().strip()

    assert query("*ESR?") == "128"
    assert query("*ESR?") == "0"
    instrument.execute(b"FOO")
    assert query("*STB?") == "4"
    assert query("*ESE 32;*ESE?") == "32"
    assert query("*STB?") == "36"
    assert query("*SRE 32;*STB?") == "100"
    assert query("*ESR?") == "32"
    assert query("SYST:ERR:COUN?") == "1"
    assert query("*OPC;*ESR?") == "1"
    assert query("*CLS;SYST:ERR:COUN?;*OPC?;*TST?") == "0;1;0"
    instrument.execute(b"*ESE 256")
    assert query("SYST:ERR:ALL?") == '-222,"Parameter data out of range"'


# --- any text at all -------------------------------------------------------------------------------------

WORDS = st.sampled_from([
    "SOUR", "SENS", "VOLT", "CURR:RANG", "FUNC", "READ?", "MEAS?", "OUTP1", ":TRIG:COUN", "LIST:VOLT", "PROT",
    "TRIP?", "ILIM", "NPLC", "*RST", "*IDN?", "TRAC:DATA?", ":FORM", "REAL,64", ":INIT", "FETC?", "AUTO",
    "3", "0.1", "1,2", "1,1", "1e99", "-1", "9999999999999", "ON", "MIN", "'x", '"', "(", ")", "(@1)",
    "#14abcd", "#0", ";", ",", "*", "?", ":", "::", "\t", "'VOLT'",
    "print(", "smua", "source", "levelv", "measure.iv()", "end", "for", "if", "=", "{", "while", "do",
])  # fmt: skip
MESSAGES = st.one_of(
    st.lists(WORDS, max_size=12).map(" ".join),
    st.lists(WORDS, max_size=12).map(":".join),
    st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=60),
)


@pytest.mark.parametrize("model", ["2400", "2450", "2612B", "B2902A"])
def test_no_message_breaks_an_instrument(model, rack):
    one = rack(model)

    @settings(max_examples=examples(150), deadline=None)
    @given(MESSAGES)
    @example("SYST:ERR?" * 50)
    @example("#" * 70)
    @example("((((((" * 30)
    @example("print(" + "(" * 200 + "1" + ")" * 200 + ")")
    @example("*RST")
    def check(text: str) -> None:
        one.instrument.execute(text.encode("latin-1"))
        if model == "2612B":
            one.instrument.execute(b"endscript")
        assert one.instrument.execute(b"*RST;*CLS;*OPC?").endswith(b"1\n")

    check()


ROOTS_OF_2400 = frozenset([
    "ABOR", "ABORT", "ARM", "CONF", "CONFIGURE", "DISP", "DISPLAY", "FETC", "FETCH", "FORM", "FORMAT", "INIT",
    "INITIATE", "MEAS", "MEASURE", "OUTP", "OUTPUT", "READ", "ROUT", "ROUTE", "SENS", "SENSE", "SOUR",
    "SOURCE", "STAT", "STATUS", "SYST", "SYSTEM", "TRAC", "TRACE", "TRIG", "TRIGGER",
])  # fmt: skip


def test_unknown_header_queues_error_113(rack):
    one = rack("2400")

    words = st.lists(st.text(string.ascii_uppercase, min_size=1, max_size=12), min_size=1, max_size=4)
    ends = st.sampled_from(["", "?", " 7", "? 7", " 123", "? 123"])

    @settings(max_examples=examples(200), deadline=None)
    @given(st.sampled_from(["", ":"]), words, ends)
    def check(start: str, header: list[str], end: str) -> None:
        message = start + ":".join(header) + end
        reply = one.instrument.execute(message.encode())
        codes = one.errors()
        if message.strip(":").split(" ")[0].rstrip("?").split(":")[0] not in ROOTS_OF_2400:
            assert (reply, codes) == (b"", [-113])

    check()
