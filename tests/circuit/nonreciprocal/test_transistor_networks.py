"""Transistor networks: operating points against ngspice, exact gradients, conservation, convergence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from transistor_circuits import BODIES, DEVICE, GATES, gradient_error, mixed

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC, Mosfet
from hwlearn.circuit.spice.netlist import spice_text
from hwlearn.errors import CircuitError, ConvergenceError


@pytest.mark.share(2)
@pytest.mark.parametrize("seed", range(6))
def test_gradient_is_exact(seed, figure):
    rng = np.random.default_rng(seed)
    error = gradient_error(*mixed(rng), rng)
    assert error <= 1e-6
    figure(f"gradient of a transistor network against central differences: {error:.1e} (required 1e-6)")


@pytest.mark.parametrize("body", BODIES)
def test_operating_points_agree_with_ngspice(body, ngspice, figure):
    rng = np.random.default_rng(5)
    device = replace(DEVICE, body=body, blocking="exponential" if body == "floating" else "constant")
    top = hl.Topology.grid(5, 5, ground=0).with_elements(device)
    gates, x = rng.uniform(1.5, 8, top.n_edges), rng.uniform(0, 1, top.n_inputs)
    model = hl.Kirchhoff(top, gates).with_history({})  # not compiled
    ours = model.solve([x])[0, top.outputs]
    printed = ngspice(spice_text(top, gates, x))
    theirs = np.array([printed[top.names[n]] for n in top.outputs])
    error = float(np.abs(ours - theirs).max())
    # a floating body is held by 1e-12 S alone; ngspice's blocking current jumps, ours does not
    most = 1e-6 if body == "floating" else 1e-9
    assert error <= most
    figure(f"5 x 5 transistor grid, body at {body}, against ngspice: {error:.1e} V (required {most:g})")


def test_currents_and_power_are_conserved():
    top, values = mixed(np.random.default_rng(4))
    model = hl.Kirchhoff(top, values)
    V = model.solve([[0.8, -0.3], [0.1, 0.9]])
    into = model.node_currents(V)
    inner = np.setdiff1d(np.arange(top.n_nodes), top.driven)
    assert np.abs(into[:, inner]).max() <= 1e-15
    np.testing.assert_allclose(model.power(V), np.einsum("sn,sn->s", V, into), rtol=1e-9)
    assert (model.power(V) > 0).all()


def test_clamped_injected_and_sources_behind_conductances_agree():
    top, values = mixed(np.random.default_rng(7))
    model = hl.Kirchhoff(top, values)
    x = np.array([[0.6, -0.2]])
    free = model.solve(x)[:, top.outputs]
    held = model.solve(x, clamped=free + 0.05)
    current = model.output_currents(held)
    np.testing.assert_allclose(model.solve(x, injected=current), held, atol=1e-10)
    V, pushed = model.solve_behind(x, free + 0.2, [1e-4, 1e-4])
    np.testing.assert_allclose(model.solve(x, injected=pushed), V, atol=1e-10)
    np.testing.assert_allclose(model.observe(x, held[:, top.outputs]), held, atol=1e-12)


def test_output_impedance_is_the_response_to_current_and_not_symmetric():
    edges = [(0, 1), (1, 2), (2, 3), (0, 2)]  # the second one is in saturation
    top = hl.Topology(4, edges, inputs=[0], outputs=[1, 2], ground=3, elements=DEVICE)
    model = hl.Kirchhoff(top, [2.0, 1.2, 2.0, 1.5])
    x, step = np.array([[1.0]]), 1e-8
    Z = model.output_impedance(x)[0]
    for j in range(2):
        push = np.zeros((1, 2))
        push[0, j] = step
        up, down = (model.solve(x, injected=sign * push)[0, top.outputs] for sign in (1, -1))
        np.testing.assert_allclose((up - down) / (2 * step), Z[:, j], rtol=1e-4)
    assert Z[0, 1] > 50 * Z[1, 0]
    # the adjoint is the transposed response
    lam = model.adjoint([[1.0, 0.0]], model.solve(x))
    np.testing.assert_allclose(lam[0, top.outputs], Z[0], rtol=1e-9)


def test_batches_equal_single_samples():
    top, values = mixed(np.random.default_rng(2))
    model = hl.Kirchhoff(top, values)
    x = np.random.default_rng(0).uniform(-0.5, 1, (70, 2))
    together = model.solve(x)
    for s in (0, 33, 69):
        np.testing.assert_allclose(model.solve(x[s : s + 1])[0], together[s], atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 11])  # one by one, and side by side
def test_compiled_functions_agree_with_newtons_method(samples, figure):
    """Bodies and gates of all kinds, devices that differ, resistors; also with clamps and currents."""
    pytest.importorskip("numba")
    worst = {"volts": 0.0, "gradient": 0.0, "currents": 0.0}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        base = hl.Topology.random(14, 44, inputs=2, outputs=3, ground=0, seed=seed)
        kinds = [
            replace(
                DEVICE,
                body=str(rng.choice(BODIES)),
                gate=str(rng.choice(("ground", "drain", "source"))),
                vto=DEVICE.vto + 0.01 * rng.standard_normal(),
                rsh=float(rng.choice((0.0, 73.213))),
            )
            if k % 4
            else OHMIC
            for k in range(base.n_edges)
        ]
        top = base.with_elements(kinds)
        values = np.array([rng.uniform(1, 6) if k % 4 else 10 ** rng.uniform(-5, -4) for k in range(base.n_edges)])
        compiled = hl.Kirchhoff(top, values)
        assert compiled.history
        plain = compiled.with_history({})
        assert not plain.history
        x, e = rng.uniform(-0.5, 1, (samples, 2)), rng.standard_normal((samples, 3))
        clamped, current = np.full((samples, 3), np.nan), 1e-6 * e
        clamped[:, 0] = 0.3
        point, expected = compiled.operating_point(x), plain.operating_point(x)
        assert point.error_V.max() <= 1e-9
        found = [point.V, compiled.solve(x, injected=current), compiled.solve(x, clamped, current)]
        wanted = [expected.V, plain.solve(x, injected=current), plain.solve(x, clamped, current)]
        found.append(compiled.solve_behind(x, 0.2 * e, [1e-5, 0.0, 1e-4])[0])
        wanted.append(plain.solve_behind(x, 0.2 * e, [1e-5, 0.0, 1e-4])[0])
        worst["volts"] = max(worst["volts"], np.abs(np.array(found) - np.array(wanted)).max())
        currents, others = compiled.node_currents(point.V), plain.node_currents(point.V)
        worst["currents"] = max(worst["currents"], np.abs(currents - others).max() / np.abs(others).max())
        for exact in (compiled.gradient(x, e), compiled.gradient_at(point.V, e)):
            other = plain.gradient_at(point.V, e)
            worst["gradient"] = max(worst["gradient"], np.abs(exact - other).max() / np.abs(other).max())
    assert worst["volts"] <= 1e-10
    assert worst["gradient"] <= 1e-8
    assert worst["currents"] <= 1e-12
    figure(f"compiled search, {samples} samples, against Newton's method: {worst['volts']:.1e} V")


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 8])
def test_compiled_junctions_follow_the_exponential_law_to_rounding(lanes):
    pytest.importorskip("numba")
    from hwlearn.circuit.nonreciprocal import kernels

    saturation, gmin, nVt = 1e-14, 1e-12, 0.02585
    numbers = np.zeros((1, 12))
    numbers[0, 7:10] = saturation, gmin, nVt
    io, far = np.zeros(23 * lanes), np.zeros(lanes, dtype=np.bool_)
    volts, before, slopes = (slice(k * lanes, (k + 2) * lanes) for k in (6, 10, 8))
    for exponents in np.random.default_rng(0).uniform(-60, 299, (200, 2 * lanes)):
        v = exponents * nVt
        io[volts], io[before] = v, v  # linearised where they are
        kernels._junctions((0,) * lanes, io, numbers, 0, False, far)
        u = v / nVt
        np.testing.assert_allclose(
            io[volts], saturation * np.expm1(u) + gmin * v, rtol=2e-15, atol=4e-16 * saturation
        )
        np.testing.assert_allclose(io[slopes], saturation / nVt * np.exp(u) + gmin, rtol=2e-15)
    for wild in (np.nan, np.inf, -np.inf):  # a search that leaves all bounds is given up, and nothing else
        io[volts], io[before] = wild, wild
        kernels._junctions((0,) * lanes, io, numbers, 0, False, far)
        assert not np.isfinite(io[volts]).any()


@pytest.mark.slow
def test_cores_change_no_bit(monkeypatch):
    pytest.importorskip("numba")
    from hwlearn.circuit.nonreciprocal import compiled

    monkeypatch.setattr(compiled, "_THREADED", 0)
    monkeypatch.setattr(compiled, "_PART", 1)
    top, rng = hl.Topology.grid(6, 6, ground=0).with_elements(DEVICE), np.random.default_rng(3)
    gates, x = rng.uniform(1, 8, top.n_edges), rng.uniform(0, 1, (30, top.n_inputs))
    e = rng.standard_normal((30, top.n_outputs))
    found = []
    for count in (1, 3):
        monkeypatch.setattr(compiled, "cores", lambda count=count: count)
        model = hl.Kirchhoff(top, gates)
        found.append((model.solve(x), model.gradient(x, e), model.solve(x, injected=1e-6 * e)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_nodes_at_their_threshold_need_few_steps(monkeypatch):
    """A grid of 50 x 50 with gates from 0.4 V: some nodes are behind transistors that hardly conduct."""
    pytest.importorskip("numba")
    from hwlearn.circuit.nonreciprocal import compiled

    monkeypatch.setattr(compiled, "_STEPS", 12)
    top, rng = hl.Topology.grid(50, 50, ground=0).with_elements(DEVICE), np.random.default_rng(0)
    solver = hl.Kirchhoff(top, rng.uniform(0.4, 8, top.n_edges)).solver
    V = np.zeros((16, top.n_nodes))
    V[:, top.inputs] = rng.uniform(0, 1, (16, top.n_inputs))
    _, error, _ = solver._free_search.compiled.find(V, None, compiled.Drive())
    assert not np.isnan(error).any()


def test_devices_that_differ_are_evaluated_together():
    top, rng = hl.Topology.grid(3, 3, ground=0), np.random.default_rng(1)
    kinds = [replace(DEVICE, vto=0.75 + 0.01 * rng.standard_normal()) for _ in range(top.n_edges)]
    model = hl.Kirchhoff(top.with_elements(kinds), np.full(top.n_edges, 3.0))
    assert len(model.solver._groups) == 1
    x = np.full((1, top.n_inputs), 0.5)
    V = model.solve(x)
    for edge in (0, 5):
        alone = hl.Topology(3, [(0, 1), (0, 2)], [0, 1], [2], ground=None, elements=kinds[edge])
        ends = V[0, top.edges[edge]]
        single = hl.Kirchhoff(alone, [3.0, 3.0])
        expected = single.edge_currents(single.solve([ends]))[0, 0]
        assert model.edge_currents(V)[0, edge] == pytest.approx(expected, rel=1e-9)


def test_warm_starts_give_the_same_voltages_and_resume_to_the_last_bit():
    top, values = mixed(np.random.default_rng(6))
    x, changed = np.array([[0.4, 0.2], [0.1, 0.7]]), values * 1.001
    first = hl.Kirchhoff(top, values).with_warm_starts()
    first.solve(x)
    warm, cold = first.with_conductances(changed), hl.Kirchhoff(top, changed)
    np.testing.assert_array_equal(cold.with_history(warm.history).solve(x), warm.solve(x))
    np.testing.assert_allclose(warm.solve(x), cold.solve(x), atol=1e-11)
    np.testing.assert_allclose(warm.solve(0.5 * x), cold.solve(0.5 * x), atol=1e-11)
    assert not cold.history


def test_nudged_solutions_begin_at_the_last_free_one():
    top, values = mixed(np.random.default_rng(5))
    x, current = np.array([[0.4, 0.2]]), np.array([[1e-7, 0.0]])
    fresh, kept = hl.Kirchhoff(top, values), hl.Kirchhoff(top, values)
    kept.solve(x)
    np.testing.assert_allclose(kept.solve(x, injected=current), fresh.solve(x, injected=current), atol=1e-11)


def test_sparse_and_dense_equations_agree(monkeypatch):
    from hwlearn.circuit.nonreciprocal import equations, search

    top = hl.Topology.grid(6, 6, ground=0).with_elements(DEVICE)
    rng = np.random.default_rng(1)
    gates, x = rng.uniform(0.4, 8, top.n_edges), rng.uniform(0, 1, (3, top.n_inputs))
    e = rng.standard_normal((3, top.n_outputs))
    found = []
    for most in (1000, 0):
        monkeypatch.setattr(equations, "_MOST_DENSE", most)
        search.equations_of.cache_clear()
        model = hl.Kirchhoff(top, gates).with_history({})
        found.append((model.solve(x), model.gradient(x, e)))
    search.equations_of.cache_clear()
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-10)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-7, atol=1e-12)


def test_nodes_behind_transistors_at_their_threshold_converge():
    """All gates below the threshold but one: nodes are held by the conductance of the junctions alone."""
    top = hl.Topology.grid(4, 4, ground=0).with_elements(DEVICE)
    gates = np.full(top.n_edges, 0.5)
    gates[3] = 5.0
    x = np.full((1, top.n_inputs), 0.9)
    point = hl.Kirchhoff(top, gates).operating_point(x)
    assert point.error_V[0] <= 1e-9 * 0.9
    assert -1e-12 <= point.V.min() <= point.V.max() <= 0.9 + 1e-12


def test_an_input_far_beyond_the_junctions_is_followed_or_refused():
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=replace(DEVICE, rsh=0.0))
    model = hl.Kirchhoff(top, [3.0, 3.0])
    with pytest.raises(ConvergenceError, match="exponential element is driven beyond"):
        model.solve([[-20.0]])


def test_there_is_no_cocontent_and_no_loop_form():
    top, values = mixed(np.random.default_rng(3))
    model = hl.Kirchhoff(top, values)
    with pytest.raises(CircuitError, match="no co-content"):
        model.cocontent(np.zeros((1, top.n_edges)))


def test_contrast_of_coupled_learning_compares_squares_of_drops():
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, elements=DEVICE)
    model = hl.Kirchhoff(top, [3.0, 3.0])
    free, held = model.solve([[0.5]]), model.solve([[0.5]], clamped=[[0.3]])
    beta = DEVICE.kp * DEVICE.w / DEVICE.l
    expected = 0.5 * beta * (model.drops(held) ** 2 - model.drops(free) ** 2)[0]
    np.testing.assert_allclose(model.contrast(held, free, np.ones(1)), expected, rtol=1e-12)


@pytest.mark.parametrize("body", BODIES)
def test_nodes_behind_large_series_resistances_settle_at_the_voltages_found(body):
    """Each of 250 transistors with 100 kohm at both ends, of random kind, has a node with a resistor beside it."""
    rng, count = np.random.default_rng(5), 250
    kinds = [
        replace(
            DEVICE, body=body, gate=GATES[k % 3], rsh=1e5, nrd=1.0, nrs=1.0,
            gamma=rng.uniform(0, 1.2), lambda_=rng.uniform(0, 0.3), w=10 ** rng.uniform(-5, -3),
        )
        for k in range(count)
    ]  # fmt: skip
    inner = 1 + 2 * count + np.arange(count)
    edges = [(1 + 2 * k, node) for k, node in enumerate(inner)] + [
        (node, 2 + 2 * k) for k, node in enumerate(inner)
    ]
    edges = [pair[::-1] if k % 2 else pair for k, pair in enumerate(edges)]
    top = hl.Topology(
        1 + 3 * count, [*edges, (0, 1)], range(1, 1 + 2 * count), inner, ground=0,
        elements=[*kinds, *[OHMIC] * (count + 1)],
    )  # fmt: skip
    values = np.r_[rng.uniform(0, 8, count), 10 ** rng.uniform(-6, -4, count), 1e-6]
    model = hl.Kirchhoff(top, values)
    V = model.solve(rng.uniform(-1.5, 1.5, (4, 2 * count)))
    carried = np.abs(model.edge_currents(V)).max()
    assert np.abs(model.node_currents(V)[:, inner]).max() < 1e-9 * carried
    assert np.isfinite(model.gradient_at(V, rng.standard_normal((4, count)))).all()


def test_transistor_whose_inner_nodes_overshoot_from_rest_has_its_current_and_a_gradient():
    """Beside it the same transistor with its source at 0 V, its series resistances as resistors of their own."""
    ohms, (drain, source, gate) = 1.4e5, (-0.28598463, 1.38784828, 0.99458867)
    device = Mosfet(vto=0.75, kp=6.2496e-5, phi=0.95, l=7.8e-6, w=138e-6, rsh=ohms, body="source", gate="source")
    top = hl.Topology(4, [(1, 2), (0, 3), (1, 3)], [1, 2], [3], ground=0, elements=[device, OHMIC, OHMIC])
    model = hl.Kirchhoff(top, [gate, 1e-3, 1e-3])
    x = [[drain, source]]
    bare = replace(device, rsh=0.0, body="ground", gate="ground")
    apart = hl.Topology(4, [(2, 3), (1, 2), (3, 0)], [1], [2, 3], ground=0, elements=[bare, OHMIC, OHMIC])
    other = hl.Kirchhoff(apart, [gate, 1 / ohms, 1 / ohms])
    through = other.edge_currents(other.solve([[drain - source]]))[0, 1]
    assert model.edge_currents(model.solve(x))[0, 0] == pytest.approx(through, rel=1e-9)
    gradient = model.gradient(x, [[1.0]])
    assert gradient[0] == 0.0
    assert gradient[1] == pytest.approx(-0.25 * drain / 1e-3, rel=1e-9)
