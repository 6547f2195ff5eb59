from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.spice import netlist as spice
from hwlearn.errors import CircuitError, HwlearnError, SingularCircuitError, TopologyError


def netlist(*lines: str, tail: tuple[str, ...] = ("V1 in 0 1", ".print op v(out)", ".end")) -> str:
    """A text whose own lines start at line 2."""
    return "\n".join(["a title", *lines, *tail])


def siemens(value: str) -> float:
    return spice.parse(netlist(f"R1 in out {value}")).conductances[0]


# --- reading --------------------------------------------------------------------------------------------


def test_a_netlist_as_people_write_them():
    read = spice.parse("""Bridge, unbalanced
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
        ("2M", 2e-3),  # SPICE's trap: M is milli in any case
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
    ],
)
def test_suffixes(value: str, ohms: float):
    assert siemens(value) == 1 / ohms


@pytest.mark.parametrize(
    "value", ["2mil", "1k5", "2x", "2v", "2kk", "one", "1e", "--1", "{R}", "'2*3'", "2µ", "nan", "inf", "0x10"]
)
def test_values_that_are_none_are_refused_with_their_line(value: str):
    with pytest.raises(CircuitError, match=f"^line 2: {re.escape(repr(value.lower()))} is no value in ohm"):
        siemens(value)


@pytest.mark.parametrize("value", ["0", "-5", "-1k", "0meg", "1e-320"])
def test_resistances_that_are_not_positive_are_refused_with_their_line(value: str):
    with pytest.raises(CircuitError, match=r"^line 2: .*a resistance must be positive and finite"):
        siemens(value)


@pytest.mark.parametrize(
    ("source", "volts"),
    [("V1 in 0 1.5", 1.5), ("V1 in gnd DC 2", 2.0), ("v1 0 in dc 250mV", -0.25), ("V1 in 0 DC=3", 3.0)],
)
def test_voltage_sources_drive_inputs_either_way_round(source: str, volts: float):
    read = spice.parse(netlist("R1 in out 1k", "R2 out 0 1k", source, tail=(".print op v(out)",)))
    assert read.input_volts.tolist() == [volts]


def test_current_sources_push_into_outputs():
    lines = ("R1 in out 1k", "R2 out 0 1k", "R3 out far 1k", "R4 far 0 1k", "I1 0 out 1uA", "I2 far 0 DC 2u")
    read = spice.parse(netlist(*lines, "I3 0 out 0.5u", tail=("V1 in 0 1", ".save v(out) v(far)")))
    np.testing.assert_allclose(read.output_amperes, [1.5e-6, -2e-6])


def test_ground_is_a_node_only_if_a_resistor_touches_it():
    read = spice.parse(netlist("R1 in out 1k", "R2 out b 1k", tail=("V1 in 0 1", "V2 b 0 2", ".print op v(out)")))
    assert read.topology.ground is None
    assert read.topology.names == ("in", "out", "b")
    assert read.input_volts.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "lines", [(".print op v(a) v(b)",), (".save v(a)", ".save v(b) v(a)"), (".probe v(a)", ".print v(b)")]
)
def test_outputs_are_what_is_printed_saved_or_probed(lines: tuple[str, ...]):
    read = spice.parse(netlist("R1 in a 1", "R2 a b 1", "R3 b 0 1", tail=("V1 in 0 1", *lines)))
    assert [read.topology.names[n] for n in read.topology.outputs] == ["a", "b"]


def test_all_and_currents_name_no_output():
    read = spice.parse(
        netlist("R1 in a 1", "R2 a 0 1", ".save all i(v1) @r1[i] v(0)", tail=("V1 in 0 1", ".save v(a)"))
    )
    assert [read.topology.names[n] for n in read.topology.outputs] == ["a"]


def test_roles_may_be_given_instead():
    text = netlist("R1 a b 1", "R2 b c 1", "R3 c gnd 1", tail=("V1 a 0 5",))
    read = spice.parse(text, inputs=["C", "a", "gnd"], outputs=["B"])
    assert [read.topology.names[n] for n in read.topology.inputs] == ["c", "a"]
    assert [read.topology.names[n] for n in read.topology.outputs] == ["b"]
    np.testing.assert_array_equal(read.input_volts, [np.nan, 5.0])  # no source in the netlist drives c
    assert Topology.from_spice(text, inputs=["a"], outputs=["b"]).inputs.tolist() == [0]


def test_a_fixed_mark_makes_a_fixed_edge():
    read = spice.parse(netlist("R1 in out 1k", "R2 out 0 2 ; fixed", "R3 out 0 5k ; not fixed"))
    assert read.topology.edges.tolist() == [[0, 1], [1, 2]]
    assert read.topology.fixed_edges.tolist() == [[1, 2]]
    assert read.topology.fixed_conductances.tolist() == [0.5]


def test_an_edited_value_wins_over_the_conductance_in_its_comment():
    assert spice.parse(netlist("R1 in out 1000.0 ; 0.001 S")).conductances.tolist() == [1e-3]
    assert spice.parse(netlist("R1 in out 2000.0 ; 0.001 S")).conductances.tolist() == [5e-4]
    g = next(g for g in np.linspace(1e-4, 2e-4, 1000).tolist() if 1 / (1 / g) != g)
    assert spice.parse(netlist(f"R1 in out {1 / g!r} ; {g!r} S")).conductances.tolist() == [g]


# --- text or file ---------------------------------------------------------------------------------------


def test_a_path_or_one_line_is_a_file(tmp_path: Path):
    file = tmp_path / "net work.cir"
    file.write_text(netlist("R1 in out 1k"), encoding="utf-8")
    for given in (file, str(file)):
        assert spice.parse(given).conductances.tolist() == [1e-3]
        assert Topology.from_spice(given).n_nodes == 2


def test_windows_line_ends_and_foreign_letters_do_not_matter(tmp_path: Path):
    file = tmp_path / "net.cir"
    file.write_bytes(netlist("* Gr\xf6\xdfe", "R1 in out 1k").replace("\n", "\r\n").encode("latin-1"))
    assert spice.parse(file).conductances.tolist() == [1e-3]


@pytest.mark.parametrize("given", ["no such file.cir", "", "R1 in out 1k", "a\0b", "x" * 5000])
def test_a_file_that_is_not_there_is_one_line(given: str):
    with pytest.raises(
        TopologyError, match=r"^cannot read netlist file .*; give a file that exists, or the text"
    ) as e:
        spice.parse(given)
    assert "\n" not in str(e.value)


def test_a_folder_is_no_netlist(tmp_path: Path):
    with pytest.raises(TopologyError, match=r"^cannot read netlist file"):
        spice.parse(tmp_path)


# --- refusals name their line ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["C1 in out 1n"], r"line 2: 'c1 in out 1n' is no part of a resistor network; allowed are R elements"),
        (["R1 in out 1k", "", "L1 in out 1n"], r"line 4: 'l1"),
        (["R1 in out 1k", "* comment", "D1 in out dmod"], r"line 4: 'd1"),
        (["Q1 c b e qmod"], r"line 2: 'q1"),
        (["X1 in out block"], r"line 2: 'x1"),
        (["E1 out 0 in 0 2"], r"line 2: 'e1"),
        ([".subckt block a b"], r"line 2: '.subckt block a b' is no part"),
        ([".tran 1n 1u"], r"line 2: '.tran"),
        ([".include other.cir"], r"line 2: '.include"),
        (["?"], r"line 2: '\?'"),
        (["R1 in out"], r"line 2: 'r1 in out' is not of the form 'Rname node node ohms'"),
        (["R1 in out 1k tc=1e-3"], r"line 2: .* is not of the form"),
        (["R1 in out rmod 1k"], r"line 2: .* is not of the form"),
        (["R1 in in 1k"], r"line 2: 'r1 in in 1k' is a self-loop at node in"),
        (["R1 0 gnd 1k"], r"line 2: .* is a self-loop at node 0"),
        (["R1 in out 1k", "r1 out in 2k"], r"line 3: 'r1' is already on line 2"),
        (["R1 in out 1k", "V2 in out 1"], r"line 3: 'v2 in out 1' must join a node to ground"),
        (["R1 in out 1k", "V2 0 gnd 1"], r"line 3: 'v2 0 gnd 1' must join a node to ground"),
        (["R1 in out 1k", "V2 in 0 2"], r"line 4: .* drives node in, which another source drives already"),
        (["R1 in out 1k", "V2 out 0 AC 1"], r"line 3: 'v2 out 0 ac 1' is not of the form 'Vname node 0 DC value'"),
        (["R1 in out 1k", "V2 out 0 SIN(0 1 1k)"], r"line 3: .* is not of the form"),
        (["R1 in out 1k", "V2 out 0"], r"line 3: .* is not of the form"),
        (["R1 in out 1k", "V2 out 0 1ohm"], r"line 3: '1ohm' is no value in V"),
        (["R1 in out 1k", "V2 lost 0 1"], r"line 3: no resistor touches node 'lost'"),
        (["R1 in out 1k", "I2 in out 1"], r"line 3: .* must join a node to ground"),
        (
            ["R1 in out 1k", "", "I2 0 in 1u"],
            r"line 4: a current is pushed into 'in', which is no output",
        ),
        (["R1 in out 1k", ".print op v(gone)"], r"line 3: no resistor touches node 'gone'"),
        (["R1 in out 1k", ".print op v(in,out)"], r"line 3: 'v\(in,out\)' .* is no node; write v\(node\)"),
        (["R1 in out 1k", ".save out"], r"line 3: 'out' in '.save out' is no node"),
        (["+ R1 in out 1k"], r"line 2: '\+' continues a line"),
        (["R1 in out", "+ 1x"], r"line 2: '1x' is no value"),
        (["R1 in out 1k", ".control", "run"], r"line 3: .control without .endc"),
        (['* hwlearn: node gone "x"', "R1 in out 1k"], r"line 2: no resistor touches node 'gone'"),
        (['* hwlearn: node in "a"b"', "R1 in out 1k"], r"line 2: .* is no quoted node name"),
        (['* hwlearn: node in "out"', "R1 in out 1k"], r"duplicate node name 'out'"),
    ],
)
def test_what_is_no_resistor_network_is_refused_with_its_line(lines: list[str], message: str):
    with pytest.raises((TopologyError, CircuitError), match=f"^{message}") as caught:
        spice.parse(netlist(*lines))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first", ["R1 in out 1k", "v1 in 0 1", ".op", "r1 in out 1k ; 0.001 S"])
def test_a_circuit_without_a_title_is_refused_and_loses_no_line(first: str):
    with pytest.raises(TopologyError, match=r"^line 1: .* reads as a card, .*; put a title above it"):
        spice.parse(f"{first}\nR2 in out 1k\nV1 in 0 1\n.print op v(out)\n")


@pytest.mark.parametrize(
    "title", ["", "R1 is the load", "* starred", "resistors", "Versuch 3", ".title of a kind"]
)
def test_titles_that_only_begin_like_a_card_are_titles(title: str):
    assert spice.parse(f"{title}\nR2 in out 1k\nV1 in 0 1\n.print op v(out)\n").title == title


def test_a_netlist_of_nothing_is_refused():
    with pytest.raises(TopologyError, match="at least 2 nodes, got n_nodes=0"):
        spice.parse("only a title\n")


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
def test_roles_that_do_not_fit_are_refused(roles: dict, message: str):
    with pytest.raises(TopologyError, match=message):
        spice.parse(netlist("R1 in out 1k", "R2 out 0 1k", tail=("V1 in 0 1",)), **roles)


# --- writing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_what_is_written_is_read_back_the_same(circuit_of, seed: int):
    t, g, x, e = circuit_of(seed)
    read = spice.parse(t.to_spice(g, x[0], 1e-6 * e[0], title=f"Circuit {seed}"))
    assert read.topology == t
    assert read.title == f"Circuit {seed}"
    np.testing.assert_array_equal(read.conductances, g)
    np.testing.assert_array_equal(read.input_volts, x[0])
    np.testing.assert_array_equal(read.output_amperes, 1e-6 * e[0])
    assert Topology.from_spice(t.to_spice(g)) == t


STRANGE = ["row 0", "ROW 0", "gnd", "all", "Ωhm", 'quote " and \\', "n2", "0", "new\nline", "a;b $c *d", "n4"]


def strange() -> tuple[Topology, np.ndarray]:
    n = len(STRANGE)
    t = Topology(n, [(k, k + 1) for k in range(n - 1)] + [(0, n - 1)], [1, 0], [7, 3], ground=5, names=STRANGE)
    return t, np.linspace(1e-6, 1e-4, t.n_edges)


def test_strange_names_are_made_safe_and_come_back():
    t, g = strange()
    text = t.to_spice(g, [0.1, 0.2])
    assert text.isascii()
    # "v(all)" would be every voltage, not that of a node
    assert "v(all)" not in text
    assert spice.parse(text).topology == t
    assert spice.parse(text, inputs=["ROW 0", "row 0"], outputs=["0", "all"]).topology == t


def test_strange_names_do_not_trouble_ngspice(ngspice):
    t, g = strange()
    printed = ngspice(t.to_spice(g, [0.1, 0.2]))
    V = Kirchhoff(t, g).solve([0.1, 0.2])[0]
    read = sorted(volts for name, volts in printed.items() if "#" not in name)
    np.testing.assert_allclose(read, np.sort(np.delete(V, t.ground)), rtol=1e-9)


def test_a_network_without_ground_and_with_wires_runs_in_ngspice(ngspice):
    t = Topology(4, [(0, 1), (1, 2), (2, 3)], [0, 3], [2], fixed_edges=[(1, 3)], fixed_conductances=[2e-4])
    g = [1e-4, 3e-5, 7e-5]
    printed = ngspice(t.to_spice(g, [0.3, -0.2], [1e-6]))
    V = Kirchhoff(t, g).solve([0.3, -0.2], injected=[1e-6])[0]
    np.testing.assert_allclose([printed[name] for name in t.names], V, rtol=1e-12)


def test_the_netlist_is_one_that_a_person_can_read():
    t = Topology(
        3, [(0, 1), (1, 2)], [0], [1], 2, names=["in", "Mid", "zero"], fixed_edges=[(0, 2)], fixed_conductances=[2]
    )
    assert t.to_spice([1e-3, 3e-3], [0.5], title="Divider").splitlines()[:9] == [
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
        (lambda: PAIR.to_spice([1e-3, 0.0]), CircuitError, r"zero conductance 0 S at edge 1 \(mid-zero\)"),
        (lambda: PAIR.to_spice([1e-3]), CircuitError, r"shape \(2,\)"),
        (lambda: PAIR.to_spice([1, 1], [0.1, 0.2]), CircuitError, r"input_volts must have shape \(samples, 1\)"),
        (lambda: PAIR.to_spice([1, 1], [[0.1], [0.2]]), CircuitError, r"one sample of finite input_volts"),
        (lambda: PAIR.to_spice([1, 1], [np.nan]), CircuitError, r"one sample of finite input_volts"),
        (lambda: PAIR.to_spice([1, 1], [0.1], [np.inf]), CircuitError, r"one sample of finite output_amperes"),
        (lambda: PAIR.to_spice([1, 1], title="two\nlines"), TopologyError, r"title is one line"),
        (lambda: PAIR.to_spice([1, 1], title="r1 a b 1k"), TopologyError, r"reads as a card"),
        (
            lambda: Topology(4, [(0, 1), (2, 3)], [0], [1]).to_spice([1, 1]),
            SingularCircuitError,
            r"connects 2 node\(s\) to a source: n2, n3",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(call, error: type[HwlearnError], message: str):
    with pytest.raises(error, match=message):
        call()
