"""A pair of networks: which copy measures what, what it compares, and that both are off after every exit path."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import ComplianceError, LimitError, NetworkError, SetupError
from hwlearn.testing import NetworkContract
from hwlearn_sim import Imperfections, KirchhoffTwin

LIMITS = hl.Limits("500 mV", "1 V", "500 mV", "10 mA", ("1 uS", "1 mS"))
TOP = hl.Topology.random(9, 16, 3, 2, seed=3)
X = np.array([[0.3, -0.2, 0.1], [0.1, 0.2, -0.3]])
NUDGE = hl.ClampNudge(0.5)


def twin(seed, **flaws):
    return KirchhoffTwin(TOP, LIMITS, Imperfections(**flaws), seed=seed, node_readout=True)


def target(outputs):
    return hl.TargetError(np.full((len(X), TOP.n_outputs), 0.02))(outputs)


class Logged(KirchhoffTwin):
    """A twin that writes down when it is switched off and closed, and fails on request."""

    def __init__(self, name, log, fails=()):
        super().__init__(TOP, LIMITS, seed=0)
        self.name, self.log, self.fails = name, log, fails

    def _on(self, what, error):
        self.log.append(f"{self.name} {what}")
        if what in self.fails:
            raise error

    def _switch_off(self):
        self._on("off", NetworkError("no answer; OUTPUTS MAY BE ON"))

    def _close(self):
        self._on("close", NetworkError("cannot be closed; OUTPUTS MAY BE ON"))

    def _measure(self, inputs, drive):
        self._on("measure", ComplianceError("the source at n1 is in compliance"))
        return super()._measure(inputs, drive)

    def _program(self, conductances):
        self._on("program", NetworkError("no answer"))
        return super()._program(conductances)


def logged(free=(), clamped=()):
    log = []
    return hl.PairedNetwork(Logged("free", log, free), Logged("clamped", log, clamped)), log


class TestPairContract(NetworkContract):
    """Equal copies: the contract asks that a drive of floating outputs reads as the free phase does."""

    def make_network(self):
        return hl.PairedNetwork(twin(0), twin(1))


@pytest.mark.parametrize("symmetric", [False, True])
def test_pair_without_spread_equals_one_network_bit_for_bit(symmetric):
    one, pair = twin(0), hl.PairedNetwork(twin(0), twin(1))
    a, b = (net.two_phase(X, target, NUDGE, symmetric) for net in (one, pair))
    for phase in ("free", "plus") + (("minus",) if symmetric else ()):
        np.testing.assert_array_equal(getattr(a, phase).nodes, getattr(b, phase).nodes)
    model = hl.Kirchhoff(TOP, one.true_conductances)
    low = b.minus if symmetric else b.free
    per_sample = [model.contrast(b.plus.nodes[[k]], low.nodes[[k]], np.ones(1)) for k in range(len(X))]
    np.testing.assert_allclose(b.contrast, per_sample, rtol=1e-12, atol=1e-18)
    assert (pair.measurements, pair.periods) == ((6, 4) if symmetric else (4, 2))


def test_free_phase_is_of_one_copy_and_nudged_phase_of_the_other():
    copies = [twin(seed, device_spread=0.1) for seed in (0, 1)]
    pair = hl.PairedNetwork(*copies)
    g = np.full(TOP.n_edges, 1e-4)
    pair.program(g)
    phases = pair.two_phase(X, target, NUDGE, False)
    free, clamped = (hl.Kirchhoff(TOP, copy.true_conductances) for copy in copies)
    np.testing.assert_allclose(phases.free.nodes, free.solve(X), atol=1e-12)
    placed = phases.free.voltages - 0.5 * phases.error
    np.testing.assert_allclose(phases.plus.nodes, clamped.solve(X, clamped=placed), atol=1e-12)


def test_bias_is_added_to_each_contrast_and_overclamping_divides_it():
    bias = np.linspace(-1e-6, 1e-6, TOP.n_edges)
    plain, biased = (hl.PairedNetwork(twin(0), twin(1), contrast_bias=b) for b in (0.0, bias))
    model = hl.Kirchhoff(TOP, plain.free.true_conductances)
    request = hl.GradientRequest(plain, model, X, np.full((len(X), TOP.n_outputs), 0.02), hl.MSE())
    for overclamp in (1.0, 4.0):
        rule = hl.CoupledLearning(0.1, overclamp=overclamp, symmetric=False, readout="edges")
        clean = rule.gradient(request).values
        offset = rule.gradient(replace(request, network=biased)).values - clean
        np.testing.assert_allclose(offset, bias / (0.1 * overclamp), rtol=1e-6, atol=1e-12)


def test_edge_readout_needs_circuits_at_the_edges():
    request = hl.GradientRequest(twin(0), hl.Kirchhoff(TOP, [1e-4] * 16), X, X[:, :2], hl.MSE())
    with pytest.raises(NetworkError, match=r"no circuits at the edges .* PairedNetwork"):
        hl.CoupledLearning(0.1, symmetric=False, readout="edges").gradient(request)


@pytest.mark.parametrize(("eta", "overclamp"), [("auto", 2.0), (0.1, 0.5)])
def test_overclamping_needs_a_number_and_a_factor_of_at_least_1(eta, overclamp):
    with pytest.raises(SetupError, match="overclamp"):
        hl.CoupledLearning(eta, overclamp=overclamp)


@pytest.mark.parametrize("fails", [(), ("off",), ("off", "close")])
def test_both_copies_are_switched_off_before_either_is_closed(fails):
    pair, log = logged(free=fails)
    if "close" in fails:
        with pytest.raises(NetworkError, match=r"the free copy: .*MAY BE ON"):
            pair.close()
    else:
        pair.close()
    assert log == ["free off", "clamped off", "free close", "clamped close"]
    assert pair.free.closed
    assert pair.clamped.closed


def test_switching_off_reaches_the_second_copy_if_the_first_fails():
    pair, log = logged(free=("off",), clamped=("off",))
    with pytest.raises(NetworkError, match=r"the free copy: .*MAY BE ON; the clamped copy: .*MAY BE ON"):
        pair.switch_off()
    assert log == ["free off", "clamped off"]


@pytest.mark.parametrize(("dead", "other", "drive"), [("free", "clamped", None), ("clamped", "free", 0.01)])
def test_failed_copy_is_named_and_the_other_one_is_switched_off(dead, other, drive):
    pair, log = logged(**{dead: ("measure",)})
    request = None if drive is None else hl.OutputDrive.clamp(np.full((len(X), 2), drive))
    with pytest.raises(ComplianceError, match=f"the {dead} copy: the source at n1"):
        pair.measure(X, request)
    assert log == [f"{dead} measure", f"{other} off"]
    assert not pair.closed


def test_refused_request_changes_no_output():
    pair, log = logged()
    with pytest.raises(LimitError):
        pair.measure(9 * X)
    assert log == []


def test_pair_that_was_programmed_by_half_is_not_measured():
    pair, log = logged(clamped=("program",))
    with pytest.raises(NetworkError, match="the clamped copy: no answer"):
        pair.program(np.full(TOP.n_edges, 1e-4))
    with pytest.raises(NetworkError, match=r"different values.*program the pair again"):
        pair.measure(X)
    pair.clamped.fails = ()
    pair.program(np.full(TOP.n_edges, 1e-4))
    pair.measure(X)
    assert log[-2:] == ["clamped program", "free measure"]


def test_limits_are_the_narrower_ones():
    wide = KirchhoffTwin(TOP, hl.Limits(1.0, 0.8, 0.1, 1e-3, (1e-5, 1e-2)))
    limits = hl.PairedNetwork(twin(0), wide).limits
    assert limits == hl.Limits(0.5, 0.8, 0.1, 1e-3, (1e-5, 1e-3))


def test_copies_that_are_no_pair_are_refused():
    one, other = twin(0), KirchhoffTwin(hl.Topology.random(9, 16, 3, 2, seed=4), LIMITS)
    closed = twin(1)
    closed.close()
    cases = [
        (one, one, "same network"),
        (one, other, "different circuits.*the list of edges is another"),
        (one, closed, "clamped copy .* closed"),
    ]
    for free, clamped, message in [*cases, (one, TOP, "clamped copy .* must be an hwlearn.Network")]:
        with pytest.raises(SetupError, match=message):
            hl.PairedNetwork(free, clamped)
    low = KirchhoffTwin(TOP, hl.Limits(0.5, 1.0, 0.5, 1e-2, (1e-7, 1e-6)))
    with pytest.raises(SetupError, match="no range lies within both"):
        hl.PairedNetwork(one, low)


SINH, MOSFET = hl.elements.Sinh(0.1), hl.elements.Mosfet(vto=0.75, kp=6e-5)
GATES = hl.Limits(0.5, 1.0, 0.5, 1e-2, ("1 uS", "1 mS"), values={"gate voltage": (1.0, 5.0)})


def with_fixed(conductance=1e-4, edge=(1, 3), element=None):
    return hl.Topology(
        4, [(0, 1), (1, 2), (2, 3)], [0], [1, 2], 3,
        fixed_edges=[edge], fixed_conductances=[conductance], fixed_elements=element,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("free", "clamped", "part"),
    [
        (with_fixed(1e-6), with_fixed(1e-1), "conductance of fixed edges or wires"),
        (with_fixed(), with_fixed(edge=(2, 3)), "list of fixed edges"),
        (with_fixed(), with_fixed(element=SINH), "list of elements"),
        (TOP, TOP.with_elements(SINH), "list of elements"),
        (TOP.with_elements(MOSFET), TOP.with_elements(replace(MOSFET, vto=0.8)), "list of elements"),
        (
            hl.Topology.crossbar(3, 2, wire_resistance=1.0),
            hl.Topology.crossbar(3, 2, wire_resistance=2.0),
            "conductance of fixed edges or wires",
        ),
        (hl.Topology.crossbar(3, 2, wire_resistance=1.0), hl.Topology.crossbar(3, 2), "number of nodes"),
    ],
)
def test_copies_of_different_circuits_are_refused_by_what_differs(free, clamped, part):
    copies = [KirchhoffTwin(top, GATES) for top in (free, clamped)]
    with pytest.raises(SetupError, match=f"different circuits.*the {part} is another"):
        hl.PairedNetwork(*copies)


def test_equal_circuits_with_other_names_of_nodes_are_a_pair():
    named = hl.Topology(9, TOP.edges, TOP.inputs, TOP.outputs, names=[f"pin{k}" for k in range(9)])
    hl.PairedNetwork(twin(0), KirchhoffTwin(named, LIMITS))


def test_revoked_copy_stops_the_pair():
    pair = hl.PairedNetwork(twin(0), twin(1))
    pair.clamped.revoke("a person")
    with pytest.raises(NetworkError, match="a person"):
        pair.measure(X)
    pair.close()


@pytest.mark.slow
def test_error_floor_is_proportional_to_the_bias_and_one_network_has_none():
    """Training of one pattern, noise-free: arXiv:2505.22887 has this floor for paired copies."""
    top = hl.Topology.random(9, 16, 3, 2, seed=5)
    x, g = np.array([[0.3, -0.2, 0.1]]), np.full(top.n_edges, 1e-4)
    y = hl.Kirchhoff(top, np.geomspace(3e-5, 3e-4, top.n_edges)).solve(x)[:, top.outputs]
    offsets = np.random.default_rng(5).standard_normal(top.n_edges)

    def floor(bias):
        free, clamped = (KirchhoffTwin(top, LIMITS, seed=seed, node_readout=True) for seed in (0, 1))
        network = free if bias is None else hl.PairedNetwork(free, clamped, contrast_bias=bias * offsets)
        rule = hl.CoupledLearning(1.0, symmetric=False, readout="nodes" if bias is None else "edges")
        trainer = hl.Trainer(network, rule, hl.MSE(), hl.SGD(2e4, scale="log"), model=hl.Kirchhoff(top, g))
        trainer.fit(x, y, hl.Schedule(150, anneal=1.0))
        return float(np.abs(network.true_outputs(x) - y).max())

    assert floor(None) < 1e-9
    floors = np.array([floor(bias) for bias in (1e-7, 1e-6)])
    assert 1e-7 < floors[0] < 1e-4
    assert floors[1] / floors[0] == pytest.approx(10, rel=0.15)


def test_pair_of_transistor_networks_is_programmed_with_gate_voltages():
    top = hl.Topology.grid(3, 3, ground=0).with_elements(hl.elements.Mosfet(vto=0.75, kp=6e-5))
    limits = hl.Limits(1.0, 2.0, 0.5, 0.1, values={"gate voltage": (1.5, 8.0)})
    wider = hl.Limits(1.0, 2.0, 0.5, 0.1, values={"gate voltage": (0.5, 6.0)})
    copies = [
        KirchhoffTwin(top, which, Imperfections(device_spread={"vto": 0.01}), seed=k, node_readout=True)
        for k, which in enumerate((limits, wider))
    ]
    pair = hl.PairedNetwork(*copies)
    assert dict(pair.limits.values) == {"gate voltage": (1.5, 6.0)}
    gates = np.full(top.n_edges, 5.0)
    pair.program(gates)
    x, y = np.full((1, top.n_inputs), 0.4), np.full((1, top.n_outputs), 0.2)
    rule = hl.CoupledLearning(0.1, symmetric=False, readout="edges")
    gradient = rule.gradient(hl.GradientRequest(pair, hl.Kirchhoff(top, gates), x, y, hl.MSE())).values
    assert gradient.shape == (top.n_edges,)
    assert np.abs(gradient).max() > 0


def test_two_backends_make_a_pair_by_hand():
    """Source-measure units with the real driver hold the free phase, a twin of the same bench the clamped one."""
    bench = hl.open_bench("virtual-smu")
    with bench:
        clamped = KirchhoffTwin(bench.topology, bench.limits, seed=1)
        pair = hl.PairedNetwork(bench.network, clamped)
        pair.program(np.full(bench.topology.n_edges, np.mean(bench.limits.conductance)))
        x = bench.data.inputs[:1]
        phases = pair.two_phase(
            x, hl.TargetError(np.zeros((1, bench.topology.n_outputs))), hl.ClampNudge(0.1), False
        )
        np.testing.assert_allclose(phases.plus.voltages, 0.9 * phases.free.voltages, atol=1e-9)
        assert phases.contrast is None
        assert pair.instruments[0].startswith("free copy: ")
        assert len(pair.instruments) == len(bench.network.instruments)
        assert pair.drives_outputs
        pair.switch_off()
        assert not pair.drives_outputs
        pair.close()
        assert bench.network.closed


def test_example_of_the_page_runs(capsys):
    page = (Path(__file__).parents[2] / "docs" / "paired.md").read_text(encoding="utf-8")
    exec(page.split("```python\n")[1].split("```")[0], {})
    assert capsys.readouterr().out.split() == ["200", "100"]
