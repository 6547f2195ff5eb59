"""Virtual switch matrices: contacts in the circuit, bounce, faults, moves under voltage, script language."""

import re
import time
from pathlib import Path

import numpy as np
import pytest
from matrix_rig import GRAPH, SIEMENS, matrix_rig

from hwlearn.circuit.elements import Sinh
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, SetupError
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.placed import PlacedMatrix, PlacedSmu, RelayParts

QUIET = RelayParts(emf_V=0.0)


@pytest.fixture
def rig():
    with matrix_rig(parts=QUIET) as made:
        yield made


def nodal(contacts, sources):
    """Solve the graph of the rig with nodes for its rows by plain nodal analysis.

    ``contacts`` are (node, node, ohm, emf), ``sources`` are (node, volts).
    """
    n = 5 + 2 * 3  # 5 nodes, and a row and the end of a cable for each of 3 rows
    G, into = np.zeros((n, n)), np.zeros(n)

    def join(a, b, siemens, emf=0.0):
        for p, q, sign in ((a, b, 1), (b, a, -1)):
            G[p, p] += siemens
            G[p, q] -= siemens
            into[p] += sign * siemens * emf

    for (a, b), siemens in zip(GRAPH.edges.tolist(), SIEMENS, strict=True):
        join(a, b, siemens)
    for a, b, ohm, emf in contacts:
        join(a, b, 1 / ohm, emf)
    for node, volts in [*sources, (4, 0.0)]:
        G[node], into[node] = 0.0, volts
        G[node, node] = 1.0
    unused = [node for node in range(n) if not G[node].any()]
    G[unused, unused] = 1.0
    return np.linalg.solve(G, into)


@pytest.mark.parametrize("emf_V", [0.0, 50e-6])
def test_closed_relays_are_resistors_with_a_thermal_voltage(emf_V):
    with matrix_rig(parts=RelayParts(contact_ohm=100.0, emf_V=emf_V)) as rig:
        points = [rig.point(0, 1), rig.point(1, 2), rig.point(2, 3)]
        rig.drive(0, 0.8)
        rig.drive(1, -0.3)
        rig.relays.move((), points)
        rig.relays.settle()
        bank, rows = rig.relays, dict(zip(rig.rows, (5, 7, 9), strict=True))
        contacts = [(rows[one.row], int(one.column) - 1, 1 / bank._siemens[one], bank._emf[one]) for one in points]
        wanted = nodal(contacts, [(5, 0.8), (6, 0.8), (7, -0.3), (8, -0.3), (9, 0.0)])
        np.testing.assert_allclose(rig.bench.plane.node_voltages(), wanted, atol=2e-9)
        ohms = [contact[2] for contact in contacts]
        assert len(set(ohms)) == 3  # drawn for each relay
        assert all(20 < ohm < 200 for ohm in ohms)


def random_bench(seed):
    """Return a network of resistors or of sinh elements behind a matrix; its rows carry an SMU, or ground."""
    rng = np.random.default_rng(seed)
    nodes = int(rng.integers(6, 12))
    graph = Topology.random(nodes, 2 * nodes, inputs=2, outputs=1, seed=seed)
    if seed % 2:
        ground = graph.ground if rng.random() < 0.5 else None
        graph = Topology(nodes, graph.edges, graph.inputs, graph.outputs, ground, elements=Sinh(0.3))
    columns = {str(k + 1): k for k in range(nodes) if k != graph.ground}
    grounded = ("C",) if rng.random() < 0.5 else ()
    matrix = PlacedMatrix("mat1", "708B", {1: "7072"}, ("A", "B", "C"), columns, grounded)
    smu = PlacedSmu("smu1", "B2902A", ("mat1:A", "mat1:B"))
    return VirtualBench(graph, [smu, matrix], conductances=rng.uniform(1e-6, 1e-4, graph.n_edges), seed=seed), rng


def check_random_bench(seed, steps):
    """Move relays and sources at random; the currents of the relays of a row add up to that of its channel."""
    bench, rng = random_bench(seed)
    relays, channels = bench.instrument("mat1").relays, bench.instrument("smu1").channels
    for _ in range(steps):
        channel = channels[int(rng.integers(2))]
        channel.settings.function = str(rng.choice(["voltage", "current"]))
        channel.settings.levels.update(voltage=rng.uniform(-1, 1), current=rng.choice([0.0, 1e-6]))
        channel.settings.limits.update(voltage=1.0, current=1e-2)
        channel.set_output(bool(rng.random() < 0.7))
        wanted = {one for one in relays._ends if rng.random() < 0.12}
        relays.move(relays.closed - wanted, wanted - relays.closed)
        relays.settle()
        volts = bench.plane.node_voltages()
        assert abs(volts).max() < 1.001
        for row, own in zip("AB", channels, strict=True):
            total = 0.0
            for one in relays.closed:
                start, end = relays._ends[one]
                drop = volts[start] - volts[end] - relays._emf[one]
                total += relays._siemens[one] * drop if one.row == row else 0.0
            assert own.operating_point.amperes == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_currents_add_up_in_random_circuits(seed):
    check_random_bench(seed, 6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_currents_add_up_in_many_random_circuits(seed):
    check_random_bench(seed, 25)


def test_ground_line_holds_a_column_at_zero(rig):
    rig.drive(0, 1.0)
    rig.relays.move((), [rig.point(0, 1), rig.point(2, 4)])
    rig.relays.settle()
    assert abs(rig.bench.plane.node_voltages()[3]) < 1e-3


def test_reading_before_the_relay_has_settled_sees_the_bounce():
    slow = RelayParts(operate_s=0.5, bounce_s=0.5, release_s=0.5, emf_V=0.0)
    with matrix_rig(parts=slow) as rig:
        smu = rig.bench.instrument("smu1").channels[0]
        rig.drive(0, 1.0)
        rig.relays.move((), [rig.point(0, 1)])
        seen = {round(smu.operating_point.amperes, 6) for _ in range(40)}
        assert len(seen) == 2  # open and closed
        assert 0.0 in seen
        rig.bench.instrument("mat1").execute(b"print(1)")  # answered only when the relays have settled
        assert len({smu.operating_point.amperes for _ in range(20)}) == 1


def test_relay_settles_when_its_time_has_passed(rig):
    smu = rig.bench.instrument("smu1").channels[0]
    rig.drive(0, 1.0)
    rig.relays.move((), [rig.point(0, 1)])
    time.sleep(QUIET.operate_s + QUIET.bounce_s)
    assert len({smu.operating_point.amperes for _ in range(20)}) == 1
    assert smu.operating_point.amperes > 1e-5


@pytest.mark.parametrize(
    ("fault", "set_to", "conducts"), [("stuck open", True, False), ("stuck closed", False, True)]
)
def test_contact_fault_is_not_seen_by_the_instrument(rig, fault, set_to, conducts):
    point = rig.point(0, 1)
    rig.relays.set_fault(point, fault)
    rig.drive(0, 1.0)
    if set_to:
        rig.relays.move((), [point])
        rig.relays.settle()
    name = b'print(channel.getclose("allslots"))'
    assert rig.bench.instrument("mat1").execute(name) == (b"1A01\n" if set_to else b"nil\n")
    volts = rig.bench.plane.node_voltages()[0]
    assert bool(abs(volts) > 0.9) is conducts


def test_moves_under_voltage_are_recorded():
    with matrix_rig() as rig:
        with rig.open() as matrix:
            rig.drive(0, 0.0)
            rig.drive(1, 0.0)
            matrix.change((), [rig.point(0, 1), rig.point(2, 4)])
            rig.drive(0, 1.0)
            rig.drive(0, 0.0)
            matrix.change([rig.point(0, 1)], [rig.point(0, 2)])
            assert rig.relays.hot_moves == []
            assert rig.relays.hot_V < 1e-3
            rig.drive(0, 1.0)
            matrix.change([rig.point(0, 2)], ())
            (hot,) = rig.relays.hot_moves
            assert hot.crosspoint == rig.point(0, 2)
            assert hot.amperes == pytest.approx(1e-4, rel=0.5)
            matrix.change((), [rig.point(0, 2)])
            assert rig.relays.hot_moves[-1].volts == pytest.approx(1.0, rel=1e-3)
            assert rig.relays.hot_V == pytest.approx(1.0, rel=1e-3)
        assert rig.relays.moves == 6 + 2  # the last two by OFF


def test_nonlinear_circuit_is_solved_through_the_relays():
    graph = Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2, elements=Sinh(0.3))
    matrix = PlacedMatrix("mat1", "708B", {1: "7072"}, ("A",), {"1": 0}, relays=RelayParts(1e-3, 0.0, 0.0))
    direct = VirtualBench(graph, [PlacedSmu("smu1", "2450", (0,))], conductances=(1e-4, 3e-4))
    switched = VirtualBench(graph, [PlacedSmu("smu1", "2450", ("mat1:A",)), matrix], conductances=(1e-4, 3e-4))
    switched.instrument("mat1").execute(b'channel.close("1A01")')
    switched.instrument("mat1").execute(b"print(1)")
    for bench in (direct, switched):
        channel = bench.instrument("smu1").channels[0]
        channel.settings.levels["voltage"], channel.settings.limits["current"] = 0.5, 0.1
        channel.set_output(True)
    np.testing.assert_allclose(switched.plane.node_voltages()[:3], direct.plane.node_voltages(), atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"rows": ("J",)}, SetupError, "no row 'J'"),
        ({"columns": {"14": 0}}, SetupError, "no column '14'"),
        ({"columns": {"1": "nowhere"}}, CircuitError, "no node 'nowhere'"),
        ({"grounded": ("B",)}, SetupError, "row 'B' is grounded and not among its rows"),
        ({"model": "709"}, SetupError, "no driver for the switch matrix '709'"),
        ({"rows": ()}, SetupError, "needs a row and a column"),
    ],
)
def test_impossible_matrix_is_refused(changes, error, message):
    placed = {"model": "708B", "cards": {1: "7072"}, "rows": ("A",), "columns": {"1": 0}, **changes}
    with pytest.raises(error, match=message):
        VirtualBench(GRAPH, [PlacedMatrix("mat1", **placed)], conductances=1e-4)


def test_example_of_the_page_runs():
    page = (Path(__file__).parents[3] / "docs" / "matrices.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    names: dict[str, object] = {}
    exec(block, names)
    assert names["bench"].instrument("mat1").relays.closed == {Crosspoint("A", "1")}


# --- script language ------------------------------------------------------------------------------------


def test_channel_lists_as_in_the_manual(rig):
    """Source: Models 707B and 708B Reference Manual, pages 7-17 (close) and 7-24 (exclusiveclose)."""
    matrix = rig.bench.instrument("mat1")

    def said(text):
        return matrix.execute(text.encode()).decode().strip()

    said('channel.open("allslots")')
    said('channel.close("1A01:1A05, 1C03, 1B02,1B04,1B06")')
    assert said('print(channel.getclose("slot1"))') == "1A01;1A02;1A03;1A04;1A05;1B02;1B04;1B06;1C03"
    assert said('print(channel.getclose("slot2"))') == "nil"
    said('channel.exclusiveclose("1D01,1E12")')
    assert said('print(channel.getclose("allslots"))') == "1D01;1E12"
    assert said('print(channel.getcount("1D01,1A01,1H12"))') == "1,1,0"
    assert said("print(channel.connectrule)").startswith("1.00000e+00")
    said('channel.exclusiveclose("")')
    assert rig.relays.closed == set()


@pytest.mark.parametrize("wrong", ['close("allslots")', 'close("1A13")', 'close("1A05:1A01")', 'open("3A01")'])
def test_wrong_list_moves_nothing(rig, wrong):
    matrix = rig.bench.instrument("mat1")
    matrix.execute(b'channel.close("1A02")')
    matrix.execute(f"channel.{wrong}".encode())
    assert matrix.execute(b"print(errorqueue.count)").startswith(b"1.0")
    assert rig.relays.closed == {Crosspoint("A", "2")}


@pytest.mark.parametrize(("rule", "order"), [(1, ["open", "close"]), (2, ["close", "open"]), (0, ["both"])])
def test_connection_rule_orders_an_exclusive_close(rig, rule, order):
    matrix, moves = rig.bench.instrument("mat1"), []
    matrix.execute(b'channel.close("1A01")')
    move = rig.relays.move

    def seen(opening, closing):
        moves.append("both" if opening and closing else "open" if opening else "close")
        move(opening, closing)

    rig.relays.move = seen
    matrix.execute(f"channel.connectrule = {rule}".encode())
    matrix.execute(b'channel.exclusiveclose("1A02")')
    assert moves == order


# --- B2200 ----------------------------------------------------------------------------------------------


def test_b2200_answers_as_in_its_manual():
    """Source: Agilent B2200 User's Guide, Edition 4, page 5-39."""
    with matrix_rig("B2200A") as rig:
        matrix = rig.bench.instrument("mat1")
        for text in (b"*RST", b":ROUT:FUNC NCON", b":ROUT:OPEN:CARD ALL", b":ROUT:CLOS (@10101,10202)"):
            assert matrix.execute(text) == b""
        assert matrix.execute(b":ROUT:OPEN? (@10101,10102,10201,10202)") == b"0,1,1,0\n"
        assert matrix.execute(b"*IDN?") == b"AGILENT,B2200A,0,A.01.00\n"
        assert matrix.execute(b":CLOS:CARD? 1") == b"(@10101,10202)\n"
        matrix.execute(b":CLOS (@21405)")
        assert matrix.execute(b":CLOS:CARD? 2") == b"(@21405)\n"
        matrix.execute(b":ROUT:FUNC ACON;CLOS (@00103:00105)")
        assert matrix.execute(b":CLOS:CARD? 0") == b"(@00101,00103,00104,00105,00202,01417)\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (":CLOS (@10101)", b"-222"),  # a card number in auto configuration mode
        (":CLOS (@00125)", b"-222"),
        (":CLOS (@0101:0301)", b"-171"),
        (":CLOS 0101", b"-104"),
        (":BIAS 0,ON", b"-241"),
        (":CONN:RULE 0,NONE", b"-224"),
        (":CLOS:CARD 0", b"-113"),
    ],
)
def test_b2200_refuses(text, code):
    graph = Topology(2, [(0, 1)], inputs=[0], outputs=[1])
    placed = PlacedMatrix("mat1", "B2201A", {1: "B2211A", 2: "B2211A"}, ("1",), {"1": 0})
    matrix = VirtualBench(graph, [placed], conductances=1e-4).instrument("mat1")
    matrix.execute(b":ROUT:FUNC ACON")
    matrix.execute(text.encode())
    assert matrix.execute(b":SYST:ERR?").startswith(code)
    assert matrix.relays.closed == set()


# --- 7001 -----------------------------------------------------------------------------------------------


def two_cards():
    graph = Topology(2, [(0, 1)], inputs=[0], outputs=[1])
    cards = {1: "7012-S", 2: "7012-S"}
    placed = PlacedMatrix("mat1", "7001", cards, ("1",), {"1": 0}, relays=RelayParts(operate_s=0.0, bounce_s=0.0))
    return VirtualBench(graph, [placed], conductances=1e-4).instrument("mat1")


def test_7001_answers_as_public_programs_expect():
    """Two cards, all of whose rows are connected to their tenth column, and one query of all crosspoints."""
    matrix = two_cards()
    matrix.execute(b":CLOS (@1!1!10,1!2!10,1!3!10,1!4!10,2!1!10,2!2!10,2!3!10,2!4!10)")
    rows = ",".join(f" {slot}!{row}!1:{slot}!{row}!10" for slot in (1, 2) for row in range(1, 5))
    states = np.array(matrix.execute(f":CLOS? (@{rows})".encode()).split(b","), dtype=float).reshape(8, 10)
    assert states[:, 9].all()
    assert not states[:, :9].any()
    matrix.execute(b":CLOS (@1!1!1);:OPEN (@1!1!10,2!4!10)")
    assert matrix.execute(b":ROUT:CLOS:STAT?") == b"(@1!1!1,1!2!10,1!3!10,1!4!10,2!1!10,2!2!10,2!3!10)\n"
    matrix.execute(b"*RST;OPEN ALL")
    assert matrix.relays.closed == set()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (":CLOS (@1!5!1)", b"-222"),
        (":CLOS (@1!1!11)", b"-222"),
        (":CLOS (@1!1)", b"-171"),
        (":CLOS (@1!1!1:1!2!2)", b"-171"),
        (":CLOS ALL", b"-104"),
    ],
)
def test_7001_refuses(text, code):
    matrix = two_cards()
    matrix.execute(text.encode())
    assert matrix.execute(b":SYST:ERR?").startswith(code)
    assert matrix.relays.closed == set()
