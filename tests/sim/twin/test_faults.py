"""Edges that open or stick while a twin is trained: when, with which conductance, and after a resume."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.errors import SetupError, SingularCircuitError
from hwlearn_sim import EdgeFault, Imperfections, KirchhoffTwin
from hwlearn_sim.devices import Devices
from hwlearn_sim.twin.backend import SimBackend

TOP = hl.Topology.random(9, 16, 3, 2, seed=3)
LIMITS = hl.Limits("500 mV", "1 V", "500 mV", "10 mA", ("1 uS", "1 mS"))


def steps(twin, count, first=0):
    """Program a twin some times, each time to other conductances; return the last targets."""
    for k in range(first, first + count):
        targets = np.full(TOP.n_edges, (k + 1) * 1e-5)
        failed = twin.program(targets).failed
    return targets, failed


def test_edges_open_and_stick_at_their_step():
    faults = (EdgeFault(2, [3, 7]), EdgeFault(3, [1], "stuck"), EdgeFault(3, [0], "stuck", 5e-5))
    twin = KirchhoffTwin(TOP, LIMITS, Imperfections(faults=faults, device_spread=0.1), seed=1)
    healthy = KirchhoffTwin(TOP, LIMITS, Imperfections(device_spread=0.1), seed=1)
    assert not steps(twin, 2)[1].any()
    steps(healthy, 2)
    np.testing.assert_array_equal(twin.true_conductances, healthy.true_conductances)
    _, failed = steps(twin, 1, first=2)
    steps(healthy, 1, first=2)
    expected = np.where(np.isin(np.arange(16), [3, 7]), 0.0, healthy.true_conductances)
    np.testing.assert_array_equal(twin.true_conductances, expected)
    assert np.flatnonzero(failed).tolist() == [3, 7]
    kept = twin.true_conductances[1]
    assert np.flatnonzero(steps(twin, 1, first=3)[1]).tolist() == [0, 1, 3, 7]
    assert twin.true_conductances[[0, 1, 3, 7]].tolist() == [5e-5, kept, 0.0, 0.0]


@pytest.mark.parametrize("done", [1, 2, 3])
def test_faults_survive_a_resume(done):
    """Before, at and after the step at which edges open."""
    x = np.array([[0.3, -0.2, 0.1]])
    flaws = Imperfections(faults=(EdgeFault(2, [3, 7]),), read_noise_V=1e-3, write_noise=1e-2)
    whole, first, second = (KirchhoffTwin(TOP, LIMITS, flaws, seed=4) for _ in range(3))
    steps(whole, 5)
    steps(first, done)
    second.restore(first.state())
    steps(second, 5 - done, first=done)
    np.testing.assert_array_equal(second.true_conductances, whole.true_conductances)
    np.testing.assert_array_equal(second.measure(x).voltages, whole.measure(x).voltages)


def test_faults_that_cannot_be_are_refused():
    with pytest.raises(SetupError, match="edge 16 of a fault does not exist; the edges are 0 to 15"):
        KirchhoffTwin(TOP, LIMITS, Imperfections(faults=(EdgeFault(0, [16]),)))
    for wrong in ((-1, [0]), (0, []), (0, [-1]), (0, [0], "cut"), (0, [0], "open", 1e-5), (0, [0], "stuck", 0.0)):
        with pytest.raises(SetupError, match="fault"):
            EdgeFault(*wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(((step, [0]), "at_step of a fault is") for step in (2.5, float("nan"), "1", None, True)),
        *(((0, edges), "edges of a fault are") for edges in ([1.5], [True], "3", ["a"], 3, {1: 2}, [[1]], None)),
        *(((0, [0], kind), "kind of a fault is") for kind in (None, ["open"], np.array([1, 2]))),
        *(((0, [0], "stuck", g), "has siemens =") for g in ("1 uS", True, float("nan"), 10**400, [1e-6], 1j)),
    ],
)
def test_fault_with_a_wrong_argument_is_refused_at_once(arguments, message):
    with pytest.raises(SetupError, match=message):
        EdgeFault(*arguments)


def test_fault_accepts_numbers_of_numpy():
    fault = EdgeFault(np.int64(2), np.array([3, 7]), "stuck", np.float32(0.5))
    assert fault == EdgeFault(2, (3, 7), "stuck", 0.5)
    assert hash(fault) == hash(EdgeFault(2, (3, 7), "stuck", 0.5))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("device_spread", value) for value in ({"kp": "x"}, {"kp": 1e9}, 1e9, "1 %", None, True, [0.1])),
        *(("write_noise", value) for value in (1e9, {"conductance": 1e9}, {"gate voltage": "1 mV"})),
        *(("read_noise_V", value) for value in ("1 mV", None, {"a": 1.0}, 1j, 10**400)),
        *(("wire_spread", value) for value in (1e9, "x")),
        *(("stuck", value) for value in ([1], {1: "x"}, {"a": 1e-5}, {1.5: 1e-5}, {-1: 1e-5}, None)),
        *(("faults", value) for value in (EdgeFault(0, [1]), [{"at_step": 1}], None, "open")),
        *(("adc_bits", value) for value in ("8", 0, 1.5, [8])),
        *(("value_bits", value) for value in (8, {"gate voltage": "8"}, {"gate voltage": None})),
        *(("wire_resistance_ohm", value) for value in (1.0, "ab", (1.0, "x"), (1.0,))),
    ],
)
def test_imperfection_that_cannot_be_is_refused_by_its_name(name, value):
    with pytest.raises(SetupError, match=rf"^({name}|edge 1 is stuck)[^\n]*$"):
        Imperfections(**{name: value})


def test_largest_spread_gives_finite_devices():
    flaws = Imperfections(device_spread={"kp": 10.0, "conductance": 10.0})
    top = TOP.with_elements([hl.elements.Mosfet(vto=0.75, kp=6e-5), *[hl.elements.OHMIC] * 15])
    limits = hl.Limits(0.5, 1.0, 0.5, 1e-2, ("1 uS", "1 mS"), values={"gate voltage": (1.0, 5.0)})
    assert np.isfinite(KirchhoffTwin(top, limits, flaws).true_values).all()


def pair_bench(bench_text, *more):
    text = bench_text + 'symmetric = false\nreadout = "edges"\nstrength = 0.1\n'
    text = text.replace('nudge = "current"', 'nudge = "clamp"').replace(
        'kind = "sim"',
        'kind = "sim"\npaired = true\nnode_readout = true\ndevice_spread = 0.05\ncontrast_bias = 1e-6\n'
        'read_noise = "1 mV"\nfaults = [{ at_step = 3, edges = [2] }, '
        '{ at_step = 5, edges = [4], kind = "stuck", copies = "clamped" }]',
    )
    for old, new in more:
        text = text.replace(old, new)
    return text


def test_paired_bench_has_two_sets_of_devices_and_its_own_faults(tmp_path, bench_text):
    (tmp_path / "pair.toml").write_text(pair_bench(bench_text))
    with hl.open_bench(tmp_path / "pair.toml") as bench:
        history = bench.train()
        free, clamped = bench.network.free, bench.network.clamped
        alone = hl.open_bench(
            tmp_path / "pair.toml",
            {"backend.paired": False, "backend.contrast_bias": 0, "backend.faults": [], "train.readout": "nodes"},
        ).network
        for network in (free, clamped, alone):
            network.program(history.conductances)
        kept = np.arange(30) != 2
        np.testing.assert_array_equal(free.true_conductances[kept], alone.true_conductances[kept])
        apart = np.log(free.true_conductances[kept] / clamped.true_conductances[kept])
        assert 0.03 < apart.std() < 0.15
        assert free.true_conductances[2] == clamped.true_conductances[2] == 0.0
        failed = [np.flatnonzero(copy.program(history.conductances).failed).tolist() for copy in (free, clamped)]
        assert failed == [[2], [2, 4]]
        assert 0.3e-6 < bench.network.contrast_bias.std() < 3e-6


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("paired = true", "paired = false", "contrast_bias .* needs paired = true"),
        ("device_spread = 0.05", 'memristor = {model = "vteam"}', "imperfection faults"),
        ("edges = [2]", "edges = [99]", "edge 99 of a fault does not exist"),
        ("at_step = 3", "at_step = -3", "at_step"),
        ('kind = "stuck"', 'kind = "loose"', "open.*stuck"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, bench_text, old, new, message):
    (tmp_path / "pair.toml").write_text(pair_bench(bench_text, (old, new)))
    with pytest.raises(SetupError, match=message):
        hl.open_bench(tmp_path / "pair.toml").open()


def test_pair_is_not_calibrated_together(tmp_path, bench_text):
    (tmp_path / "pair.toml").write_text(pair_bench(bench_text))
    with (
        hl.open_bench(tmp_path / "pair.toml") as bench,
        pytest.raises(SetupError, match="pair of networks cannot be calibrated together; calibrate each"),
    ):
        bench.calibrate("noise")


def test_status_of_a_paired_bench_names_both_copies(tmp_path, bench_text):
    (tmp_path / "pair.toml").write_text(pair_bench(bench_text))
    settings = hl.open_bench(tmp_path / "pair.toml").settings
    names = [report.instrument for report in SimBackend.status(settings)]
    assert names == ["sim, free copy", "sim, clamped copy"]


# --- isolated nodes and cut transistors -------------------------------------------------------------

STAR = hl.Topology(5, [(0, 1), (1, 2), (0, 3), (3, 1), (2, 4), (0, 2)], [0], [1, 2], ground=4)
BOTH = hl.Limits(0.5, 1.0, 0.5, 0.1, ("1 uS", "1 mS"), values={"gate voltage": (1.0, 5.0)})
MOSFET = hl.elements.Mosfet(vto=0.75, kp=6e-5, w=1e-3)
LAW = hl.elements.Law(
    lambda a, b, g: g * (a - b) + 0.1 * g * (a**3 - b**3),
    hl.elements.Parameter("conductance", "S", 1e-6, 1e-3, "log"),
    name="cubic",
)


def without(topology, cut):
    """Return a circuit built without some edges and without the nodes that have none then."""
    kept = [k for k in range(topology.n_edges) if k not in cut]
    nodes = sorted({*topology.edges[kept].ravel().tolist(), *topology.driven.tolist()})
    number = {node: k for k, node in enumerate(nodes)}
    return hl.Topology(
        len(nodes),
        [[number[node] for node in pair] for pair in topology.edges[kept].tolist()],
        [number[node] for node in topology.inputs.tolist()],
        [number[node] for node in topology.outputs.tolist()],
        None if topology.ground is None else number[topology.ground],
        elements=[topology.edge_elements[k] for k in kept],
    ), kept  # fmt: skip


@pytest.mark.parametrize("element", [hl.elements.OHMIC, hl.elements.Sinh(0.1), MOSFET, LAW])
@pytest.mark.parametrize("cut", [(2,), (2, 3)])
def test_twin_with_cut_edges_is_the_circuit_without_them(element, cut):
    """Both edges of the hidden node: it is left alone, and both outputs go on."""
    top = STAR.with_elements(element)
    values = np.array([2.0, 1.5, 1.8, 3.0, 2.5, 1.2]) if element is MOSFET else np.full(6, 1e-4)
    twin = KirchhoffTwin(top, BOTH, Imperfections(faults=(EdgeFault(1, cut),)))
    twin.program(values)
    x = np.array([[0.3], [-0.2]])
    np.testing.assert_allclose(twin.measure(x).voltages, hl.Kirchhoff(top, values).solve(x)[:, 1:3], atol=1e-12)
    reached = twin.program(values)
    assert np.flatnonzero(reached.failed).tolist() == list(cut)
    small, kept = without(top, cut)
    expected = hl.Kirchhoff(small, values[kept])
    V = expected.solve(x)
    read = twin.measure(x)
    np.testing.assert_allclose(read.voltages, V[:, 1:3], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(read.source_currents, expected.source_currents(V), rtol=1e-9, atol=1e-15)
    drive = hl.OutputDrive.clamp(np.array([[0.1, np.nan]] * 2))
    clamped = expected.solve(x, clamped=drive.values)
    np.testing.assert_allclose(twin.measure(x, drive).voltages, clamped[:, 1:3], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(twin.true_outputs(x), V[:, 1:3], rtol=1e-9, atol=1e-12)
    assert twin.true_values[list(cut)].tolist() == [0.0] * len(cut)


@pytest.mark.parametrize("element", [hl.elements.OHMIC, MOSFET])
def test_isolated_node_that_is_read_is_refused(element):
    top = STAR.with_elements(element)
    values = np.full(6, 2.0 if element is MOSFET else 1e-4)
    nodes = KirchhoffTwin(top, BOTH, node_readout=True)
    nodes.program(values)
    with pytest.raises(SingularCircuitError, match=r"1 node\(s\) that are read .*: n3; .*node_readout = false"):
        nodes.fail_edges(EdgeFault(0, [2, 3]), now=True)
    output = KirchhoffTwin(top, BOTH)
    with pytest.raises(SingularCircuitError, match=r"without a path to a source: n1;"):
        output.fail_edges(EdgeFault(0, [0, 1, 3]), now=True)


@pytest.mark.parametrize("cut", [(2, 3), (2,)])
@pytest.mark.parametrize("done", [1, 2, 3])
def test_cut_transistors_survive_a_resume(done, cut):
    flaws = Imperfections(faults=(EdgeFault(2, cut),), read_noise_V=1e-3, write_noise={"gate voltage": 1e-3})
    whole, first, second = (KirchhoffTwin(STAR.with_elements(MOSFET), BOTH, flaws, seed=4) for _ in range(3))
    gates = [np.linspace(2.0, 3.0, 6) + 0.1 * k for k in range(5)]
    for twin, part in ((whole, gates), (first, gates[:done])):
        for values in part:
            twin.program(values)
    second.restore(first.state())
    for values in gates[done:]:
        second.program(values)
    np.testing.assert_array_equal(second.true_values, whole.true_values)
    np.testing.assert_array_equal(second.measure([[0.3]]).voltages, whole.measure([[0.3]]).voltages)


def test_stuck_transistor_keeps_its_gate_voltage_and_has_no_conductance():
    twin = KirchhoffTwin(STAR.with_elements(MOSFET), BOTH, Imperfections(faults=(EdgeFault(1, [2], "stuck"),)))
    for gate in (2.0, 3.0, 4.0):
        twin.program(np.full(6, gate))
    assert twin.true_values.tolist() == [4.0, 4.0, 2.0, 4.0, 4.0, 4.0]
    message = r"edges \[2\] the conductance 0.0001 S, but their values are no conductances"
    with pytest.raises(SetupError, match=message):
        twin.fail_edges(EdgeFault(0, [2], "stuck", 1e-4), now=True)


def test_conductance_of_a_law_sticks_spreads_and_opens_as_that_of_a_resistor():
    flaws = Imperfections(
        device_spread=0.1, write_noise=0.01, stuck={5: 0.0}, faults=(EdgeFault(1, [2], "stuck", 5e-5),)
    )
    law, plain = (KirchhoffTwin(top, BOTH, flaws, seed=2) for top in (STAR.with_elements(LAW), STAR))
    for _ in range(2):
        for twin in (law, plain):
            twin.program(np.full(6, 1e-4))
    np.testing.assert_array_equal(law.true_values, plain.true_values)
    assert law.true_values[[2, 5]].tolist() == [5e-5, 0.0]


def test_shorted_edge_conducts_again_after_a_cut():
    faults = (EdgeFault(0, [2]), EdgeFault(1, [2], "stuck"), EdgeFault(2, [2], "stuck", 1e-3))
    twin = KirchhoffTwin(STAR, BOTH, Imperfections(faults=faults))
    seen = []
    for _ in range(3):
        twin.program(np.full(6, 1e-4))
        seen.append(float(twin.true_values[2]))
    assert seen == [0.0, 0.0, 1e-3]


def test_virtual_instruments_refuse_to_cut_transistors():
    ranges, rng = ValueRanges(1.0, 5.0, False, 3), np.random.default_rng(0)
    with pytest.raises(SetupError, match=r"edges \[1\].*use kind = 'stuck', or the backend sim"):
        Devices(ranges, Imperfections(faults=(EdgeFault(0, [1]),)), rng, rng, np.zeros(3))


def test_parts_of_a_crossbar_without_a_path_carry_no_current():
    """Rows 2 and 3 are not driven: without devices each is a part of its own, with wires a line of nodes."""
    for ohms in (0.0, 2.0):
        top = hl.Topology.crossbar(4, 3, inputs=[0, 1], ground=None, wire_resistance=ohms)
        g = np.geomspace(1e-5, 1e-4, 12)
        twin = KirchhoffTwin(top, LIMITS, Imperfections(faults=(EdgeFault(0, range(6, 12)),)))
        twin.program(g)
        x = np.array([[0.3, -0.2]])
        almost = hl.Kirchhoff(top, np.where(np.arange(12) < 6, g, 1e-12)).solve(x)[:, top.outputs]
        np.testing.assert_allclose(twin.measure(x).voltages, almost, atol=1e-7)


def test_several_isolated_nodes_are_harmless_one_by_one_and_together():
    pairs = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 1), (1, 5), (0, 2)]  # 3 and 4 together, 5 alone
    top = hl.Topology(6, pairs, [0], [1], ground=2)
    cut = (EdgeFault(0, [2, 4]), EdgeFault(1, [5]), EdgeFault(2, [3]))
    twin = KirchhoffTwin(top, LIMITS, Imperfections(faults=cut))
    for _ in cut:
        twin.program([1e-4, 3e-4, 1e-6, 1e-3, 1e-4, 1e-4, 1e-4])
        read = twin.measure([[0.4]])
        assert read.voltages[0, 0] == pytest.approx(0.1, abs=1e-12)
        assert read.source_currents[0, 0] == pytest.approx(0.3e-4 + 0.4e-4, abs=1e-15)


def test_bench_of_transistors_trains_on_after_a_cut():
    with hl.open_bench("xor-nmos", {"train.epochs": 3}) as whole:
        whole.train()
        V = whole.network.true_outputs(whole.data.inputs)
    faults = [{"at_step": 3, "edges": [2]}]
    with hl.open_bench("xor-nmos", {"train.epochs": 3, "backend.faults": faults}) as bench:
        bench.train()
        assert bench.network.true_values[2] == 0
        assert np.abs(bench.network.true_outputs(bench.data.inputs) - V).max() > 1e-3
