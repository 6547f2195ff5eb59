from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import hwlearn as hl
from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.spice import read_spice, spice_text
from hwlearn.errors import CircuitError, HwlearnError, SingularCircuitError, TopologyError


def netlist(*lines: str, tail: tuple[str, ...] = ("V1 in 0 1", ".print op v(out)", ".end")) -> str:
    """Return a netlist in which the given lines start at line 2."""
    return "\n".join(["a title", *lines, *tail])


def siemens(value: str) -> float:
    return read_spice(netlist(f"R1 in out {value}")).conductances[0]


# --- reading --------------------------------------------------------------------------------------------


def test_netlist_with_comments_and_continuation_lines_is_read():
    read = read_spice("""Bridge, unbalanced
* the supply
VIN In gnd DC 2.5V        ; two and a half volts
R1  in   a   1k           $ upper left
r2  a    0   2.2Kohm
R3  in b
+ 4.7k
* in between
R4  b    GND
+ 10meg
R5  A    B   R=1e3
.options reltol=1e-6
.op
.control
run
* print all
.endc
.print op v(a) V( b ) v(in) i(VIN)
.end
R6 a b 1 this is behind the end
""")
    t = read.topology
    assert read.title == "Bridge, unbalanced"
    assert t.names == ("in", "a", "0", "b")
    assert t.edges.tolist() == [[0, 1], [1, 2], [0, 3], [3, 2], [1, 3]]
    assert (t.inputs.tolist(), t.outputs.tolist(), t.ground) == ([0], [1, 3], 2)
    assert read.input_volts.tolist() == [2.5]
    assert read.output_amperes.tolist() == [0.0, 0.0]
    np.testing.assert_allclose(1 / read.conductances, [1e3, 2.2e3, 4.7e3, 1e7, 1e3], rtol=1e-15)


@pytest.mark.parametrize(
    ("value", "ohms"),
    [
        ("100", 100.0),
        ("100.", 100.0),
        (".5", 0.5),
        ("1e3", 1e3),
        ("1E-3", 1e-3),
        ("1.5e+2k", 150e3),
        ("2f", 2e-15),
        ("2p", 2e-12),
        ("2n", 2e-9),
        ("2u", 2e-6),
        ("2m", 2e-3),
        ("2M", 2e-3),  # M is milli in SPICE, in upper and lower case
        ("2k", 2e3),
        ("2K", 2e3),
        ("2meg", 2e6),
        ("2MEGohm", 2e6),
        ("2g", 2e9),
        ("2t", 2e12),
        ("2ohm", 2.0),
        ("2kohms", 2e3),
        ("4.7kΩ", 4.7e3),
        ("2mohm", 2e-3),
        ("2R", 2.0),
        ("2µ", 2e-6),
        ("2μ", 2e-6),
        ("2kΩ", 2e3),
        ("2k\u2126", 2e3),
        ("4k7", 4.7e3),
        ("4R7", 4.7),
        ("R47", 0.47),
        ("1Meg5", 1.5e6),
    ],
)
def test_suffix_scales_value(value: str, ohms: float):
    assert siemens(value) == 1 / ohms


WRONG = [
    "2mil", "1m5", "4.5k7", "2x", "2v", "2kk", "one", "1e", "--1", "{R}",
    "'2*3'", "2,5", "nan", "inf", "0x10", "k5",
]  # fmt: skip


@pytest.mark.parametrize("value", WRONG)
def test_invalid_value_is_refused_with_its_line(value: str):
    with pytest.raises(CircuitError, match=f"^line 2: {re.escape(repr(value.lower()))} is not a value in ohm"):
        siemens(value)


@pytest.mark.parametrize("value", ["0", "-5", "-1k", "0meg", "1e-320"])
def test_nonpositive_resistance_is_refused_with_its_line(value: str):
    with pytest.raises(CircuitError, match=r"^line 2: .*a resistance must be positive and finite"):
        siemens(value)


@pytest.mark.parametrize(
    ("source", "volts"),
    [("V1 in 0 1.5", 1.5), ("V1 in gnd DC 2", 2.0), ("v1 0 in dc 250mV", -0.25), ("V1 in 0 DC=3", 3.0)],
)
def test_voltage_source_drives_input_in_either_orientation(source: str, volts: float):
    read = read_spice(netlist("R1 in out 1k", "R2 out 0 1k", source, tail=(".print op v(out)",)))
    assert read.input_volts.tolist() == [volts]


def test_current_sources_at_outputs_are_added():
    lines = ("R1 in out 1k", "R2 out 0 1k", "R3 out far 1k", "R4 far 0 1k", "I1 0 out 1uA", "I2 far 0 DC 2u")
    read = read_spice(netlist(*lines, "I3 0 out 0.5u", tail=("V1 in 0 1", ".save v(out) v(far)")))
    np.testing.assert_allclose(read.output_amperes, [1.5e-6, -2e-6])


def test_ground_is_a_node_only_if_a_resistor_is_connected_to_it():
    read = read_spice(netlist("R1 in out 1k", "R2 out b 1k", tail=("V1 in 0 1", "V2 b 0 2", ".print op v(out)")))
    assert read.topology.ground is None
    assert read.topology.names == ("in", "out", "b")
    assert read.input_volts.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "lines", [(".print op v(a) v(b)",), (".save v(a)", ".save v(b) v(a)"), (".probe v(a)", ".print v(b)")]
)
def test_outputs_are_printed_saved_or_probed_nodes(lines: tuple[str, ...]):
    read = read_spice(netlist("R1 in a 1", "R2 a b 1", "R3 b 0 1", tail=("V1 in 0 1", *lines)))
    assert [read.topology.names[n] for n in read.topology.outputs] == ["a", "b"]


def test_save_all_and_currents_name_no_output():
    read = read_spice(
        netlist("R1 in a 1", "R2 a 0 1", ".save all i(v1) @r1[i] v(0)", tail=("V1 in 0 1", ".save v(a)"))
    )
    assert [read.topology.names[n] for n in read.topology.outputs] == ["a"]


def test_given_inputs_and_outputs_replace_those_of_the_netlist():
    text = netlist("R1 a b 1", "R2 b c 1", "R3 c gnd 1", tail=("V1 a 0 5",))
    read = read_spice(text, inputs=["C", "a", "gnd"], outputs=["B"])
    assert [read.topology.names[n] for n in read.topology.inputs] == ["c", "a"]
    assert [read.topology.names[n] for n in read.topology.outputs] == ["b"]
    np.testing.assert_array_equal(read.input_volts, [np.nan, 5.0])  # no source in the netlist drives c
    assert read_spice(text, inputs=["a"], outputs=["b"]).topology.inputs.tolist() == [0]


def test_fixed_mark_makes_a_fixed_edge():
    read = read_spice(netlist("R1 in out 1k", "R2 out 0 2 ; fixed", "R3 out 0 5k ; not fixed"))
    assert read.topology.edges.tolist() == [[0, 1], [1, 2]]
    assert read.topology.fixed_edges.tolist() == [[1, 2]]
    assert read.topology.fixed_conductances.tolist() == [0.5]


def test_edited_resistance_overrides_conductance_in_comment():
    assert read_spice(netlist("R1 in out 1000.0 ; 0.001 S")).conductances.tolist() == [1e-3]
    assert read_spice(netlist("R1 in out 2000.0 ; 0.001 S")).conductances.tolist() == [5e-4]
    g = next(g for g in np.linspace(1e-4, 2e-4, 1000).tolist() if 1 / (1 / g) != g)
    assert read_spice(netlist(f"R1 in out {1 / g!r} ; {g!r} S")).conductances.tolist() == [g]


# --- text or file ---------------------------------------------------------------------------------------


def test_path_or_single_line_is_a_file(tmp_path: Path):
    file = tmp_path / "net work.cir"
    file.write_text(netlist("R1 in out 1k"), encoding="utf-8")
    for given in (file, str(file)):
        assert read_spice(given).conductances.tolist() == [1e-3]
        assert read_spice(given).topology.n_nodes == 2


@pytest.mark.parametrize("given", ["no such file.cir", "", "R1 in out 1k", "a\0b", "x" * 5000])
def test_missing_file_gives_a_one_line_error(given: str):
    with pytest.raises(
        TopologyError, match=r"^cannot read netlist file .*; give a file that exists, or the text"
    ) as e:
        read_spice(given)
    assert "\n" not in str(e.value)


def test_folder_is_refused(tmp_path: Path):
    with pytest.raises(TopologyError, match=r"^cannot read netlist file"):
        read_spice(tmp_path)


# --- error messages name the line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["C1 in out 1n"], r"line 2: 'c1 in out 1n' is not part of a resistor network; allowed are R elements"),
        (["R1 in out 1k", "", "L1 in out 1n"], r"line 4: 'l1"),
        (["R1 in out 1k", "* comment", "D1 in out dmod"], r"line 4: 'd1"),
        (["Q1 c b e qmod"], r"line 2: 'q1"),
        (["X1 in out block"], r"line 2: 'x1"),
        (["E1 out 0 in 0 2"], r"line 2: 'e1"),
        ([".subckt block a b"], r"line 2: '.subckt block a b' is not part"),
        ([".tram 1n 1u"], r"line 2: '.tram"),
        ([".include other.cir"], r"line 2: '.include"),
        (["?"], r"line 2: '\?'"),
        (["="], r"line 2: '=' is not part"),
        (["R1 in out"], r"line 2: 'r1 in out' is not of the form 'Rname node node ohms'"),
        (["R1 in out 1k tc=1e-3"], r"line 2: .* is not of the form"),
        (["R1 in out rmod 1k"], r"line 2: .* is not of the form"),
        (["R1 in in 1k"], r"line 2: 'r1 in in 1k' is a self-loop at node in"),
        (["R1 0 gnd 1k"], r"line 2: .* is a self-loop at node 0"),
        (["R1 in out 1k", "r1 out in 2k"], r"line 3: 'r1' is already on line 2"),
        (["R1 in out 1k", "V2 in out 1"], r"line 3: 'v2 in out 1' must connect a node to ground"),
        (["R1 in out 1k", "V2 0 gnd 1"], r"line 3: 'v2 0 gnd 1' must connect a node to ground"),
        (["R1 in out 1k", "V2 in 0 2"], r"line 4: .* drives node in, which already has a source"),
        (["R1 in out 1k", "V2 out 0 AC 1"], r"line 3: 'v2 out 0 ac 1' is not of the form 'Vname node 0 DC value'"),
        (["R1 in out 1k", "V2 out 0 SIN(0 1 1k)"], r"line 3: .* is not of the form"),
        (["R1 in out 1k", "V2 out 0"], r"line 3: .* is not of the form"),
        (["R1 in out 1k", "V2 out 0 1ohm"], r"line 3: '1ohm' is not a value in V"),
        (["R1 in out 1k", "V2 lost 0 1"], r"line 3: no resistor is connected to node 'lost'"),
        (["R1 in out 1k", "I2 in out 1"], r"line 3: .* must connect a node to ground"),
        (
            ["R1 in out 1k", "", "I2 0 in 1u"],
            r"line 4: a current source at 'in', which is not an output",
        ),
        (["R1 in out 1k", ".print op v(gone)"], r"line 3: no resistor is connected to node 'gone'"),
        (["R1 in out 1k", ".print op v(in,out)"], r"line 3: 'v\(in,out\)' .* is not a node; write v\(node\)"),
        (["R1 in out 1k", ".save out"], r"line 3: 'out' in '.save out' is not a node"),
        (["+ R1 in out 1k"], r"line 2: '\+' continues a line"),
        (["R1 in out", "+ 1x"], r"line 2: '1x' is not a value"),
        (["R1 in out 1k", ".control", "run"], r"line 3: .control without .endc"),
        (['* hwlearn: node gone "x"', "R1 in out 1k"], r"line 2: no resistor is connected to node 'gone'"),
        (['* hwlearn: node in "a"b"', "R1 in out 1k"], r"line 2: .* is not a quoted node name"),
        (['* hwlearn: node in "out"', "R1 in out 1k"], r"duplicate node name 'out'"),
    ],
)
def test_invalid_card_is_refused_with_its_line(lines: list[str], message: str):
    with pytest.raises((TopologyError, CircuitError), match=f"^{message}") as caught:
        read_spice(netlist(*lines))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first", ["R1 in out 1k", "v1 in 0 1", ".op", "r1 in out 1k ; 0.001 S"])
def test_netlist_without_title_is_refused(first: str):
    with pytest.raises(TopologyError, match=r"^line 1: .* reads as a card, .*; put a title above it"):
        read_spice(f"{first}\nR2 in out 1k\nV1 in 0 1\n.print op v(out)\n")


@pytest.mark.parametrize(
    "title", ["", "R1 is the load", "* starred", "resistors", "Versuch 3", ".title of a kind"]
)
def test_title_that_begins_like_a_card_is_accepted(title: str):
    assert read_spice(f"{title}\nR2 in out 1k\nV1 in 0 1\n.print op v(out)\n").title == title


def test_empty_netlist_is_refused():
    with pytest.raises(TopologyError, match="at least 2 nodes, got n_nodes=0"):
        read_spice("only a title\n")


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"inputs": ["x"]}, "inputs names node 'x', which the netlist does not have"),
        ({"outputs": ["in", "x"]}, "outputs names node 'x'"),
        ({"inputs": ["out"], "outputs": ["0"]}, "line 4: a source drives 'in', but inputs omits it"),
        ({"outputs": ["gnd"]}, "is both ground and output"),
        ({"outputs": []}, "no outputs"),
        ({}, "no outputs: name at least one node that is read"),
    ],
)
def test_invalid_inputs_or_outputs_are_refused(roles: dict, message: str):
    with pytest.raises(TopologyError, match=message):
        read_spice(netlist("R1 in out 1k", "R2 out 0 1k", tail=("V1 in 0 1",)), **roles)


# --- writing --------------------------------------------------------------------------------------------


@pytest.mark.share(10)
@pytest.mark.parametrize("seed", range(20))
def test_written_netlist_is_read_back_unchanged(circuit_of, seed: int):
    t, g, x, e = circuit_of(seed)
    read = read_spice(spice_text(t, g, x[0], 1e-6 * e[0], title=f"Circuit {seed}"))
    assert read.topology == t
    assert read.title == f"Circuit {seed}"
    np.testing.assert_array_equal(read.conductances, g)
    np.testing.assert_array_equal(read.input_volts, x[0])
    np.testing.assert_array_equal(read.output_amperes, 1e-6 * e[0])
    assert read_spice(spice_text(t, g)).topology == t


def test_written_file_is_read_back_unchanged(circuit_of, tmp_path: Path):
    t, g, x, _ = circuit_of(3)
    hl.write_spice(t, g, tmp_path / "net.cir", x[0])
    read = hl.read_spice(tmp_path / "net.cir")
    assert read.topology == t
    np.testing.assert_array_equal(read.conductances, g)
    np.testing.assert_array_equal(read.input_volts, x[0])
    with pytest.raises(TopologyError, match=r"^cannot write netlist file"):
        hl.write_spice(t, g, tmp_path)


UNSAFE = ["row 0", "ROW 0", "gnd", "all", "Ωhm", 'quote " and \\', "n2", "0", "new\nline", "a;b $c *d", "n4"]


def unsafe_names() -> tuple[Topology, np.ndarray]:
    n = len(UNSAFE)
    t = Topology(n, [(k, k + 1) for k in range(n - 1)] + [(0, n - 1)], [1, 0], [7, 3], ground=5, names=UNSAFE)
    return t, np.linspace(1e-6, 1e-4, t.n_edges)


def test_unsafe_node_names_are_replaced_and_restored():
    t, g = unsafe_names()
    text = spice_text(t, g, [0.1, 0.2])
    assert text.isascii()
    # "v(all)" would be every voltage, not that of a node
    assert "v(all)" not in text
    assert read_spice(text).topology == t
    assert read_spice(text, inputs=["ROW 0", "row 0"], outputs=["0", "all"]).topology == t


def test_unsafe_node_names_run_in_ngspice(ngspice):
    t, g = unsafe_names()
    printed = ngspice(spice_text(t, g, [0.1, 0.2]))
    V = Kirchhoff(t, g).solve([0.1, 0.2])[0]
    read = sorted(volts for name, volts in printed.items() if "#" not in name)
    np.testing.assert_allclose(read, np.sort(np.delete(V, t.ground)), rtol=1e-9)


def test_network_without_ground_and_with_wires_runs_in_ngspice(ngspice):
    t = Topology(4, [(0, 1), (1, 2), (2, 3)], [0, 3], [2], fixed_edges=[(1, 3)], fixed_conductances=[2e-4])
    g = [1e-4, 3e-5, 7e-5]
    printed = ngspice(spice_text(t, g, [0.3, -0.2], [1e-6]))
    V = Kirchhoff(t, g).solve([0.3, -0.2], injected=[1e-6])[0]
    np.testing.assert_allclose([printed[name] for name in t.names], V, rtol=1e-12)


def test_netlist_is_readable():
    t = Topology(
        3, [(0, 1), (1, 2)], [0], [1], 2, names=["in", "Mid", "zero"], fixed_edges=[(0, 2)], fixed_conductances=[2]
    )
    assert spice_text(t, [1e-3, 3e-3], [0.5], title="Divider").splitlines()[:9] == [
        "Divider",
        '* hwlearn: node in "in"',
        '* hwlearn: node n1 "Mid"',
        '* hwlearn: node 0 "zero"',
        "V0 in 0 0.5",
        "R0 in n1 1000.0 ; 0.001 S",
        "R1 n1 0 333.3333333333333 ; 0.003 S",
        "Rfixed0 in 0 0.5 ; 2.0 S, fixed",
        ".options reltol=1e-9 vntol=1e-12 abstol=1e-18",
    ]


PAIR = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, names=["in", "mid", "zero"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: spice_text(PAIR, [1e-3, 0.0]), CircuitError, r"zero conductance 0 S at edge 1 \(mid-zero\)"),
        (lambda: spice_text(PAIR, [1e-3]), CircuitError, r"shape \(2,\)"),
        (
            lambda: spice_text(PAIR, [1, 1], [0.1, 0.2]),
            CircuitError,
            r"input_volts must have shape \(samples, 1\)",
        ),
        (lambda: spice_text(PAIR, [1, 1], [[0.1], [0.2]]), CircuitError, r"one sample of finite input_volts"),
        (lambda: spice_text(PAIR, [1, 1], [np.nan]), CircuitError, r"one sample of finite input_volts"),
        (lambda: spice_text(PAIR, [1, 1], [0.1], [np.inf]), CircuitError, r"one sample of finite output_amperes"),
        (lambda: spice_text(PAIR, [1, 1], title="two\nlines"), TopologyError, r"title of a netlist is one line"),
        (lambda: spice_text(PAIR, [1, 1], title="r1 a b 1k"), TopologyError, r"reads as a card"),
        (
            lambda: spice_text(Topology(4, [(0, 1), (2, 3)], [0], [1]), [1, 1]),
            SingularCircuitError,
            r"connects 2 node\(s\) to a source: n2, n3",
        ),
    ],
)
def test_invalid_network_is_not_written(call, error: type[HwlearnError], message: str):
    with pytest.raises(error, match=message):
        call()
