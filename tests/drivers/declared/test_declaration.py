"""Declarations of text protocols: fields, scales, checksums, and mistakes with their line and key."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn.errors import SetupError
from hwlearn_drivers.declared.checksum import KINDS, Checksum
from hwlearn_drivers.declared.declaration import BOARDS, load_declaration, parse_declaration
from hwlearn_drivers.declared.scale import Scale
from hwlearn_drivers.declared.template import Template

FIELDS = ("channel", "any", "volts", "millivolts", "code")
LEAST = """
[source]
set = "DAC {channel} {volts}"
channels = 2
range = ["-1 V", "1 V"]

[off]
send = ["ALL 0"]
"""


@pytest.mark.parametrize("name", sorted(path.stem for path in BOARDS.glob("*.toml")))
def test_shipped_declaration_is_valid(name):
    assert load_declaration(name).source is not None


@pytest.mark.parametrize(
    ("text", "line", "channel", "numbers"),
    [
        ("DAC {channel} {volts:.4f}", "DAC a 0.1250", "a", [0.125]),
        ("SET,{channel},{volts}", "SET,3,5e-07", "3", [5e-7]),
        ("{code:04X}", "0FA0", None, [4000]),
        ("P{channel}={code:d}", "P12=7", "12", [7]),
        ("{millivolts:.1f,...} mV", "1.0,-2.5 mV", None, [1.0, -2.5]),
        ("POTS {code:02X ...}", "POTS 00 FF 0A", None, [0, 255, 10]),
    ],
)
def test_template_writes_and_reads_the_same_line(text, line, channel, numbers):
    made = Template(text, FIELDS)
    given_number = [int(x) for x in numbers] if "code" in text else numbers
    values = {"channel": channel or "", "number": given_number if made.is_array else given_number[0]}
    assert made.render(values) == line
    found = made.parse(line)
    assert found["number"] == numbers
    assert found.get("channel") == channel


@pytest.mark.parametrize(
    ("reply", "line", "tolerance"),
    [
        ("{volts}", "0.10", 0.005),
        ("{code}", "2048", 0.5),
        ("{code:04X}", "0FA0", 0.5),
        ("{millivolts,...}", "1.25,3", 0.5),
        ("{volts}", "1.5e-3", 0.5e-4),
    ],
)
def test_tolerance_of_a_number_is_half_of_its_last_digit(reply, line, tolerance):
    assert Template(reply, FIELDS).parse(line)["tolerance"] == pytest.approx([tolerance])


def test_template_does_not_take_one_command_for_another():
    assert Template("DAC {channel} {volts}", FIELDS).parse("DAC? 0") is None
    assert Template("ADC {channel} {volts} V", FIELDS).parse("ADC 1 0.5") is None
    assert Template("V={volts};{any}", FIELDS).parse("V=0.5;ok 17")["number"] == [0.5]


@given(volts=st.floats(-0.5, 0.5), most=st.floats(1e-3, 0.5))
def test_no_number_exceeds_the_limit(volts, most):
    """Rounding to codes or digits never carries a voltage beyond the limit of the bench."""
    volts = float(np.clip(volts, -most, most))
    codes = Scale.of(Template("{code}", FIELDS).number, (-1.0, 1.0), None, (0.7e-3, -1.0, 4096))
    digits = Scale.of(Template("{millivolts:.0f}", FIELDS).number, (-1.0, 1.0), None, None)
    for scale in (codes, digits):
        number = scale.number(volts, most)
        assert abs(scale.volts(number)) <= most * (1 + 1e-9)
        assert abs(scale.volts(number) - volts) <= 1.01 * scale.step_V


def test_codes_outside_the_range_are_not_used():
    scale = Scale.of(Template("{code}", FIELDS).number, (-0.5, 0.5), None, (1e-3, -2.0, 4096))
    assert (scale.low, scale.high) == (1500, 2500)
    falling = Scale.of(Template("{code}", FIELDS).number, (-0.5, 0.5), None, (-1e-3, 2.0, 4096))
    assert falling.volts(falling.number(0.25)) == pytest.approx(0.25)
    assert falling.range_V == pytest.approx((-0.5, 0.5))


@pytest.mark.parametrize("kind", KINDS)
def test_checksum_accepts_its_own_lines_and_no_changed_one(kind):
    checksum = Checksum(kind, "*{checksum:04X}")
    line = checksum.add("DAC 1 0.5000")
    assert checksum.checked(line) == "DAC 1 0.5000"
    for k in range(len(line)):
        changed = line[:k] + ("7" if line[k] != "7" else "8") + line[k + 1 :]
        assert checksum.checked(changed) is None, changed
    assert checksum.checked("DAC 1 0.5000") is None


def test_nmea_sentence_has_its_published_checksum():
    assert Checksum("xor", "*{checksum:02X}", "$").add("$GPGLL,5057.970,N,00146.110,E,142451,A").endswith("*27")


MISTAKES = {
    "unknown key": (
        LEAST.replace("channels", "chanels"),
        r"line 4: unknown key source\.chanels, did you mean 'channels'",
    ),
    "unknown table": (LEAST + "[sorce]\n", r"line 9: unknown table sorce, did you mean 'source'\?"),
    "unknown field": (LEAST.replace("{volts}", "{volt}"), r"line 3.*unknown field \{volt\}, did you mean 'volts'"),
    "no field": (LEAST.replace(" {volts}", ""), r"line 3: source\.set.*must contain \{volts\}"),
    "no channel": (LEAST.replace(" {channel}", ""), r"must contain \{channel\}"),
    "format": (LEAST.replace("{volts}", "{volts:d}"), "the format 'd' does not fit volts"),
    "no off": (LEAST.split("[off]")[0], r"\[off\] is missing"),
    "empty off": (LEAST.replace('["ALL 0"]', "[]"), r"line 8: off\.send"),
    "range": (LEAST.replace('"-1 V"', '"0.1 V"'), "must contain 0 V"),
    "unit": (LEAST.replace('"-1 V"', '"-1 A"'), r"line 5: source\.range"),
    "codes": (LEAST.replace("{volts}", "{code}"), "needs codes"),
    "twice": (LEAST.replace("channels = 2", 'channels = ["a", "a"]'), "listed twice"),
    "brace": (LEAST.replace("{volts}", "{volts"), "brace"),
    "newline": (LEAST.replace("{volts}", "{volts}\\n"), "printable ASCII"),
    "expression": (LEAST + '[error]\npattern = "("\n', "regular expression"),
    "type": (LEAST.replace("channels = 2", "channels = true"), r"line 4: source\.channels"),
    "toml": ("[source\n", "not valid TOML"),
    "nothing": ("[link]\nbaud = 9600\n", "declares no role"),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_named_with_its_place(text, message):
    with pytest.raises(SetupError, match=message) as caught:
        parse_declaration(text, "board.toml")
    assert "board.toml" in str(caught.value)
    assert "\n" not in str(caught.value)
