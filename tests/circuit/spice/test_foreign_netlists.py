"""Netlists of other programs: what LTspice, KiCad and PySpice export, and what people write by hand."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.spice import read_spice
from hwlearn.circuit.spice.lines import looks_like_card
from hwlearn.errors import CircuitError, HwlearnError, TopologyError

LTSPICE = """* C:\\Users\\physik\\Documents\\LTspice\\teiler.asc
V1 in 0 2 Rser=0
R1 in N001 4.7k
R2 N001 0 100R tol=1 pwr=0.1
R3 N001 N002 {load}
R4 N002 0 1Meg
.param load=2k
.tran 1
.temp 27
.meas OP vout FIND V(N001) AT 0
.save V(N001) I(R1)
.backanno
.end
"""
KICAD = """.title KiCad schematic
.save all
.probe alli
R1 /in /mid 4.7k
R2 Net-(R2-Pad1) /mid 100
R3 Net-(R2-Pad1) 0 1k
V1 /in 0 DC 5 AC 1
.print tran v(/mid) v(Net-(R2-Pad1))
.tran 1u 10m
.end
"""
PYSPICE = """.title Voltage Divider
.options TEMP = 25C
.options TNOM = 25C
Vinput in 0 10V
R1 in out 9kOhm
R2 out 0 1kOhm
.dc Vinput 0 10 1
.ic v(out)=0
.control
print v(out)
.endc
.end
"""


@pytest.mark.parametrize(
    ("text", "nodes", "outputs", "ohms", "volts"),
    [
        (LTSPICE, ["in", "n001", "0", "n002"], ["n001"], [4700.0, 100.0, 2000.0, 1e6], [2.0]),
        (KICAD, ["/in", "/mid", "net-(r2-pad1)", "0"], ["/mid", "net-(r2-pad1)"], [4700.0, 100.0, 1000.0], [5.0]),
        (PYSPICE, ["in", "out", "0"], ["out"], [9000.0, 1000.0], [10.0]),
    ],
    ids=["LTspice", "KiCad", "PySpice"],
)
def test_row_23_export_of_other_programs_is_read(text, nodes, outputs, ohms, volts):
    read = read_spice(text)
    names = read.topology.names
    assert list(names) == nodes
    assert [names[n] for n in read.topology.outputs] == outputs
    np.testing.assert_array_equal(read.conductances, 1 / np.array(ohms))
    assert read.input_volts.tolist() == volts
    assert read.notes


def test_row_23_what_is_ignored_is_noted_with_its_line():
    notes = read_spice(LTSPICE).notes
    for line, words in ((8, ".tran 1"), (9, ".temp 27"), (10, ".meas"), (12, ".backanno"), (4, "tol = 1")):
        assert any(note.startswith(f"line {line}: ") and words in note for note in notes), notes
    assert (
        read_spice("t\nV1 a 0 1\nR1 a b 1k\nR2 b 0 1k\n.options reltol=1e-9\n.op\n.print op v(b)\n.end").notes
        == ()
    )


IGNORED = [
    ".tran 1n 1u", ".dc V1 0 1 0.1", ".ac dec 10 1 1k", ".noise v(out) V1 dec 9 1 1k", ".tf v(out) V1",
    ".temp 50", ".backanno", ".ends", ".lib C:\\standard.dio", ".model rm R(tc1=1)", ".meas tran x avg v(out)",
    ".ic v(out)=1", ".nodeset v(out)=1", ".step param x 1 2 1", ".four 1k v(out)", ".width out=80",
    ".global gnd", ".func f(x) {2*x}", ".subckt block a b\nR9 a b 1k\n.ends",
    ".control\nalter r1 = 5\n.endc",
    ".control\ntran 1n 1u\nplot v(out)\n.endc", ".control\nprint v(out)*2\n.endc",
]  # fmt: skip


@pytest.mark.parametrize("card", IGNORED)
def test_row_23_card_that_does_not_change_the_circuit_is_ignored_with_a_note(card):
    text = f"divider\nV1 in 0 1\nR1 in out 1k\n{card}\nR2 out 0 3k\n.print op v(out)\n.end\n"
    read = read_spice(text)
    assert read.conductances.tolist() == [1 / 1000.0, 1 / 3000.0]
    line = r"line [45]: " if ".control" in card else r"line 4: "
    assert re.match(line, read.notes[0])


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (".include other.cir", r"line 3: '.include other.cir' is not part of a resistor network"),
        (".subckt block a b", r"line 3: '.subckt block a b' is not part .* no .ends"),
        ("R9 in out 1k tc1=1e-3", r"line 3: .* tc1 = 1e-3 would change the element"),
        ("R9 in out 1k tc=1e-3,0", r"line 3: .* is not of the form"),
        ("R9 in out 1k m=2", r"line 3: .* m = 2 would change the element"),
        ("R9 in out 1k foo=2", r"line 3: .*'foo' is not known"),
        ("V9 out 0 1 Rser=5", r"line 3: .* rser = 5 would change the element"),
        ("V9 out 0 AC 1", r"line 3: .* it has no DC value"),
        ("v9 out 0", r"line 3: .* it has no DC value"),
        ("V9 out 0 PULSE(0 1 0 1n 1n 1 2)", r"line 3: .* it has no DC value"),
        ("V9 out 0 1 2", r"line 3: .* '2' is not known"),
        ("V9 out 0 1e400", r"line 3: '1e400' is not a value in V"),
        ("R9 in out {no}", r"line 3: '{no}' is not a value in ohm"),
        (".param", r"line 3: '.param' is not of the form"),
        (".param a", r"line 3: '.param a' is not of the form"),
        ("C9 out 0 1n", r"line 3: 'c9"),
        ("R9 (in out) 1k", r"line 3: '\(in' is no name of a node"),
        ("R9 in, out 1k", r"line 3: 'in,' is no name of a node"),
        ("R9 in out {1k*2}", r"line 3: '\{1k\*2\}' is not a value in ohm"),
    ],
)
def test_row_23_card_that_would_change_the_circuit_is_refused_by_line(card, message):
    with pytest.raises((TopologyError, CircuitError), match=message):
        read_spice(f"t\nV1 in 0 1\n{card}\nR1 in out 1k\nR2 out 0 1k\n.print op v(out)\n.end\n")


@pytest.mark.parametrize(
    "source", ["DC 1 AC 1", "1 AC 1 90", "DC=1", "1 SIN(0 1 1k)", "dc 1 pulse(0 1 0 1n 1n 1 2)"]
)
def test_d6_dc_value_of_a_source_is_used_beside_others(source):
    read = read_spice(f"t\nV1 in 0 {source}\nR1 in out 1k\nR2 out 0 1k\n.print op v(out)\n")
    assert read.input_volts.tolist() == [1.0]
    assert bool(read.notes) == (source != "DC=1")


def test_d6_parameters_are_understood_before_and_after_their_use():
    text = (
        "t\n.param low={1k}, high = {4k7}\nV1 in 0 {u}\nR1 in out low\nR2 out 0 '{}'\n.param u=2\n.print v(out)\n"
    )
    read = read_spice(text.replace("'{}'", "'high'"))
    assert read.conductances.tolist() == [1 / 1000.0, 1 / 4700.0]
    assert read.input_volts.tolist() == [2.0]
    with pytest.raises(TopologyError, match=r"line 3: the parameter 'a' is given twice"):
        read_spice("t\n.param a=1\n.param a=2\nR1 b 0 {a}\n")
    with pytest.raises(CircuitError, match=r"line 3: '\{b\}' is not a value"):
        read_spice("t\n.param a=1 b={2*a}\nR1 b 0 {b}\n")


def test_d6_ammeter_of_0_volts_makes_its_nodes_one():
    cards = (
        "V1 in 0 1",
        "R1 in a 1k",
        "Vam a b 0",
        "Vbm b c DC 0",
        "R2 c 0 3k",
        "I1 0 b 1u",
        ".print v(c) i(vam)",
    )
    read = read_spice("\n".join(["t", *cards, ""]))
    assert read.topology.names == ("in", "a", "0")
    V = Kirchhoff(read.topology, read.conductances).solve(read.input_volts, injected=read.output_amperes)
    assert V[0, read.topology.outputs[0]] == pytest.approx(0.75 + 1e-6 * 750)
    assert [note[:6] for note in read.notes] == ["line 4", "line 5"]
    assert read_spice("\n".join(["t", *cards, ""]), outputs=["B"]).topology.outputs.tolist() == [1]


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        (("V1 a 0 1", "V2 a b 0", "V3 b 0 2", "R1 a c 1"), "drives node a, which already has a source"),
        (("V1 a 0 1", "V2 a b 0", "R1 a b 1", "R2 b 0 1"), "line 4: an ammeter .* short-circuits this resistor"),
    ],
)
def test_d6_ammeter_that_makes_no_sense_is_refused(cards, message):
    with pytest.raises(TopologyError, match=message):
        read_spice("\n".join(["t", *cards, ".print v(c)"]))


FIRST = [
    "R1 a b 4k7", "R1 a b 4x7", "R1 a b 100R", "R1 a b {load}", "R1 a b R=1k", "Rload in out 1k", "V1 in 0 1V",
    "v1 in 0", "Vin in gnd DC 2", "I1 0 out 1u", "C1 a b 1n", "L1 a b 1n", "D1 a k dmod", "Q1 c b e npn",
    "X1 a b block", "E1 out 0 in 0 2", ".tran 1n 1u", ".include a.cir", "+ 1k", "r1 a b 1k tc1=1e-3 ; load",
]  # fmt: skip


@pytest.mark.parametrize("first", FIRST)
def test_row_3_first_line_that_looks_like_a_card_is_refused(first):
    for start in ("", "\ufeff"):
        with pytest.raises(TopologyError, match=r"line 1: .* reads as a card, .*; put a title above it"):
            read_spice(f"{start}{first}\nR2 in out 1k\nV2 in 0 1\n.print op v(out)\n")


@pytest.mark.parametrize(
    "title",
    ["", "* R1 a b 1k", "R1 is the load", "Versuch 3", "Resistor network of chip 4", ".title x", "Q1 x"],
)
def test_row_3_title_stays_a_title(title):
    read = read_spice(f"\ufeff{title}\nR2 in out 1k\nV2 in 0 1\nR3 out 0 1\n.print op v(out)\n")
    assert read.title == title
    assert len(read.conductances) == 2


@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_row_3_mark_of_a_file_does_not_hide_its_title(tmp_path: Path, mark):
    file = tmp_path / "net.cir"
    file.write_text(mark + "title\nR2 in out 1k\nV2 in 0 1\nR3 out 0 1\n.print op v(out)\n", encoding="utf-8")
    assert read_spice(file).title == "title"


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_encodings_of_other_systems_are_read(tmp_path: Path, end: str, encoding: str):
    file = tmp_path / "net.cir"
    text = "t\n* Größe\nR1 in kält 1k\nR2 kält out 2k\nV1 in 0 1\n.print op v(out)\n".replace("\n", end)
    file.write_bytes(text.encode(encoding))
    read = read_spice(file)
    assert read.conductances.tolist() == [1e-3, 5e-4]
    assert "kält" in read.topology.names


def test_row_4_latin1_netlist_is_refused_with_byte_and_line(tmp_path: Path):
    file = tmp_path / "net.cir"
    file.write_bytes("t\nR1 in k\xe4lt 1k\nR2 k\xf6lt out 1k\n".encode("latin-1"))
    with pytest.raises(
        TopologyError, match=r"net\.cir cannot be read as text: byte \d+, line 2: 0xe4 is not UTF-8"
    ):
        read_spice(file)


def test_row_4_nodes_that_look_the_same_are_refused():
    with pytest.raises(TopologyError, match=r"line 3: the nodes .* look the same"):
        read_spice("t\nR1 in k\u00e4lt 1k\nR2 ka\u0308lt 0 1k\nV1 in 0 1\n", outputs=["k\u00e4lt"])


def test_separators_of_unicode_do_not_end_a_line():
    text = "t\nV1 in 0 1\nR1 in out 1k ; a\u2028R9 in out 1\x0bR8 in out 1\x85\nR2 out 0 1k\n.print v(out)\n"
    assert read_spice(text).conductances.tolist() == [1e-3, 1e-3]


def test_nul_in_a_netlist_is_refused_with_its_line(tmp_path: Path):
    with pytest.raises(TopologyError, match="line 2: a NUL character"):
        read_spice("t\nR1 a\0b 0 1\n")
    (tmp_path / "net.cir").write_bytes("t\nR1 a b 1\n".encode("utf-16-le"))
    with pytest.raises(TopologyError, match=r"net\.cir cannot be read as text: byte 1, line 1: a NUL character"):
        read_spice(tmp_path / "net.cir")


def test_continuation_and_comments_of_several_dialects_are_read():
    text = "t\nV1 in 0\n* between\n+ DC 1 ; source\nR1 in out\n+ 1k $ load\nR2 out 0 1k;end\n.print v(out)\n"
    read = read_spice(text)
    assert read.conductances.tolist() == [1e-3, 1e-3]
    assert read.input_volts.tolist() == [1.0]


# --- against ngspice ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [LTSPICE.replace("{load}", "2k"), PYSPICE], ids=["LTspice", "PySpice"])
def test_voltages_of_exports_agree_with_ngspice(ngspice, text):
    read = read_spice(text)
    ours = (".tran", ".dc", ".meas", ".ic", ".back")  # not needed for an operating point
    plain = "\n".join(line for line in text.split("\n") if not line.startswith(ours))
    for setting in (" Rser=0", " tol=1 pwr=0.1"):  # of LTspice only
        plain = plain.replace(setting, "")
    printed = ngspice(plain.replace(".end\n", ".control\nset numdgt=15\n.endc\n.op\n.end\n"))
    V = Kirchhoff(read.topology, read.conductances).solve(read.input_volts)[0]
    for node in read.topology.outputs:
        assert printed[read.topology.names[node]] == pytest.approx(V[node], rel=1e-6)


@pytest.mark.parametrize("value", ["100R", "1Meg", "2.2K", "3.3kohm", "47", "1e3", "5u", "220m", "1.5MEG", "10kΩ"])
def test_values_agree_with_ngspice(ngspice, value):
    text = f"t\nV1 in 0 1\nR1 in out {value}\nR2 out 0 1k\n.op\n.print op v(out)\n.end\n"
    read = read_spice(text)
    V = Kirchhoff(read.topology, read.conductances).solve(read.input_volts)[0]
    printed = ngspice(text.replace("Ω", "ohm"))
    assert printed["out"] == pytest.approx(V[read.topology.outputs[0]], rel=1e-5)


# --- anything ---------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["r1", "R2", "v1", "V2", "i1", "a", "b", "in", "0", "gnd", "1k", "4k7", "1e", "{x}", "dc", "ac", "1", "0",
     "tc1=1", "=", ".param", "x=1", ".tran", ".control", ".endc", ".subckt", ".ends", "+", "*", ";", "$", ".print",
     "v(a)", "v(", ")", "\u00b5", "2\u2126", "\ufeff", "'", '"', ".end", "sin(0 1)", "-", "1e400", "9e99999999999"]
)  # fmt: skip


@settings(deadline=None)  # files, on a busy disk
@given(st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=8))
def test_any_netlist_is_read_or_refused_in_one_line(lines):
    message = ""
    try:
        read_spice("\n".join(["title", *lines, ""]))
    except HwlearnError as error:
        message = str(error)
    assert "\n" not in message


@settings(deadline=None)  # files, on a busy disk
@given(st.integers(1, 10**12), st.integers(-6, 6), st.sampled_from(["", "ohm", "R"]))
def test_value_is_the_number_that_decimal_gives(mantissa, power, unit):
    from decimal import Decimal

    suffix = {-6: "u", -3: "m", 0: "", 3: "k", 6: "Meg"}.get(power, f"e{power}")
    text = f"{mantissa}{suffix}{unit}"
    assert not looks_like_card("a divider")
    read = read_spice(f"t\nV1 in 0 1\nR1 in out {text}\nR2 out 0 1\n.print v(out)\n")
    assert read.conductances[0] == 1 / float(Decimal(mantissa).scaleb(power))
