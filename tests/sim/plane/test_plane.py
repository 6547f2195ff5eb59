"""The analog plane against Kirchhoff's laws and against an independent optimiser."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize
from shares import examples

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, Open, Source, VoltageSource

RESISTOR = Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)
"""One resistor from node 1 to ground; the other one is open at node 2."""


def random_plane(
    seed: int,
    *,
    grounded: bool = True,
    shared_nodes: bool = False,
    nodes_up_to: int = 12,
    least_S: float = 1e-6,
):
    """Return a connected random circuit with sources on some nodes, many of them close to their limits."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, nodes_up_to))
    tree = [(int(rng.integers(k)), k) for k in range(1, n)]
    extra = [tuple(int(v) for v in rng.choice(n, 2, replace=False)) for _ in range(int(rng.integers(0, 2 * n)))]
    topology = Topology(n, tree + extra, inputs=[1], outputs=[2], ground=0 if grounded else None)
    g = 10 ** rng.uniform(np.log10(least_S), -3, topology.n_edges)
    plane = AnalogPlane(topology, g)
    nodes = rng.permutation(np.arange(1, n))[: int(rng.integers(2, n))]
    if shared_nodes:
        nodes = np.concatenate([nodes, rng.choice(nodes, 2)])
    sources: list[Source] = []
    for node in nodes:
        channel = plane.attach(int(node))
        kind = rng.integers(5)
        source: Source
        if kind < 2:
            source = VoltageSource(float(rng.uniform(-1, 1)), float(10 ** rng.uniform(-6, -3)))
        elif kind < 4:
            source = CurrentSource(float(rng.uniform(-1, 1) * 1e-3), float(rng.uniform(0.1, 2)))
        else:
            source = Open()
        plane.drive(channel, source)
        sources.append(source)
    return topology, g, plane, nodes, sources


def least_cocontent(topology: Topology, g, nodes, sources):
    """Minimise the co-content over the node voltages: an independent solution of the circuit.

    Voltage sources cost limit * |v - E| (a variable bounded from below by both branches), current sources
    earn I v inside the box of their voltage limits.
    """
    n, k = topology.n_nodes, len(sources)
    B = topology.incidence.toarray()
    L = B.T @ (g[:, None] * B)
    scale = 1.0 / g.mean()
    c, low, high = np.zeros(n + k), np.full(n + k, -np.inf), np.full(n + k, np.inf)
    rows, bounds = [], []
    for j, (node, source) in enumerate(zip(nodes, sources, strict=True)):
        if isinstance(source, VoltageSource):
            c[n + j] = source.limit_A
            for sign in (1, -1):
                row = np.zeros(n + k)
                row[n + j], row[node] = 1, -sign
                rows.append(row)
                bounds.append(-sign * source.volts)
        else:
            low[n + j] = high[n + j] = 0.0
            if isinstance(source, CurrentSource):
                c[node] -= source.amperes
                low[node], high[node] = max(low[node], -source.limit_V), min(high[node], source.limit_V)
    low[0] = high[0] = 0.0
    constraints = [LinearConstraint(np.array(rows), np.array(bounds), np.inf)] if rows else []

    def cost(z):
        return scale * (0.5 * z[:n] @ L @ z[:n] + c @ z)

    def slope(z):
        return scale * (np.concatenate([L @ z[:n], np.zeros(k)]) + c)

    start = np.zeros(n + k)
    start[n:] = [abs(s.volts) if isinstance(s, VoltageSource) else 0.0 for s in sources]
    found = minimize(
        cost, start, jac=slope, bounds=np.stack([low, high], axis=1), constraints=constraints,
        method="SLSQP", options={"ftol": 1e-16, "maxiter": 2000},
    )  # fmt: skip
    return found.x[:n], cost, found


def check_laws(topology: Topology, g, plane: AnalogPlane) -> None:
    """Check Kirchhoff's current law at every node, and the characteristic of every source, to 1e-9."""
    V = plane.node_voltages()
    B = topology.incidence.toarray()
    into = B.T @ (g * (B @ V))
    scale = np.abs(B.T) @ (g * np.abs(B @ V)) + 1e-15
    rounding = 1e-14 * g.max() * np.abs(V).max()  # rounding error of node voltages, for nodes without current
    delivered = np.zeros(topology.n_nodes)
    for channel in plane.channels():
        at, source = channel.operating_point, channel.source
        delivered[channel.node] += at.amperes
        assert at.volts == V[channel.node]
        if isinstance(source, VoltageSource):
            assert abs(at.amperes) <= source.limit_A * (1 + 1e-9)
            if at.limited:
                assert abs(at.amperes) == pytest.approx(source.limit_A, rel=1e-9)
                assert at.amperes * (source.volts - at.volts) >= -1e-12 * source.limit_A
            else:
                assert at.volts == source.volts
        elif isinstance(source, CurrentSource):
            assert abs(at.volts) <= source.limit_V * (1 + 1e-9)
            if at.limited:
                assert abs(at.volts) == source.limit_V
                assert np.sign(at.volts) * (source.amperes - at.amperes) >= -1e-9 * scale[channel.node] - rounding
            else:
                assert at.amperes == source.amperes
        else:
            assert at.amperes == 0
            assert not at.limited
    balance = np.abs(into - delivered)
    if topology.ground is not None:
        balance[topology.ground] = 0.0
    assert (balance <= 1e-9 * scale + rounding).all()


@pytest.mark.share(2)
@pytest.mark.parametrize("seeds", [50, pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shared_nodes", [False, True])
@pytest.mark.parametrize("grounded", [True, False])
def test_solution_obeys_kirchhoff_and_every_source(grounded, shared_nodes, seeds):
    trips = 0
    for seed in range(seeds):
        topology, g, plane, _, _ = random_plane(seed, grounded=grounded, shared_nodes=shared_nodes)
        check_laws(topology, g, plane)
        trips += sum(channel.operating_point.limited for channel in plane.channels())
    assert trips > seeds / 2, "too few sources are in compliance for this test"


@pytest.mark.parametrize("grounded", [True, False])
def test_large_circuits_with_very_different_resistors_obey_kirchhoff(grounded):
    for seed in range(30):
        topology, g, plane, _, _ = random_plane(500 + seed, grounded=grounded, nodes_up_to=50, least_S=1e-10)
        check_laws(topology, g, plane)


def test_solution_minimises_cocontent():
    limited, apart = 0, []
    for seed in range(40):
        topology, g, plane, nodes, sources = random_plane(1000 + seed)
        volts, cost, found = least_cocontent(topology, g, nodes, sources)
        mine = plane.node_voltages()
        epigraph = [abs(mine[n] - s.volts) if isinstance(s, VoltageSource) else 0.0
                    for n, s in zip(nodes, sources, strict=True)]  # fmt: skip
        assert cost(np.concatenate([mine, epigraph])) <= found.fun + 1e-9 * (1 + abs(found.fun))
        apart.append(np.abs(mine - volts).max())
        limited += sum(channel.operating_point.limited for channel in plane.channels())
    assert limited > 20
    # limited by the optimiser: the laws are checked to 1e-9 above
    assert max(apart) < 2e-6
    assert np.median(apart) < 1e-8


def test_warm_start_agrees_with_new_plane():
    """The solution does not depend on earlier settings."""
    rng = np.random.default_rng(7)
    topology, g, plane, nodes, _ = random_plane(3)
    for _ in range(80):
        fresh = AnalogPlane(topology, g)
        for k, node in enumerate(nodes):
            source = [
                VoltageSource(float(rng.uniform(-1, 1)), float(10 ** rng.uniform(-6, -3))),
                CurrentSource(float(rng.uniform(-1e-3, 1e-3)), float(rng.uniform(0.1, 2))),
                Open(),
            ][rng.integers(3)]
            plane.drive(k, source)
            fresh.drive(fresh.attach(int(node)), source)
        np.testing.assert_allclose(plane.node_voltages(), fresh.node_voltages(), rtol=1e-9, atol=1e-12)


def test_ideal_sources_agree_with_kirchhoff():
    rng = np.random.default_rng(0)
    topology = Topology.crossbar(5, 4, inputs=[0, 1, 2, 3], outputs=[0, 2])
    g = rng.uniform(1e-6, 1e-4, topology.n_edges)
    plane = AnalogPlane(topology, g)
    x = rng.uniform(-0.5, 0.5, topology.n_inputs)
    for node, volts in zip(topology.inputs, x, strict=True):
        plane.drive(plane.attach(int(node)), VoltageSource(float(volts), 1.0))
    model = Kirchhoff(topology, g)
    V = model.solve(x)
    np.testing.assert_allclose(plane.node_voltages(), V[0], rtol=1e-9, atol=1e-12)
    amps = [channel.operating_point.amperes for channel in plane.channels()]
    np.testing.assert_allclose(amps, model.source_currents(V)[0], rtol=1e-9, atol=1e-16)


def test_two_channels_interact_as_kirchhoff_predicts():
    """The reading of one channel changes with another source as `Kirchhoff` predicts."""
    topology = Topology(4, [(0, 1), (1, 2), (2, 3), (0, 2)], inputs=[1], outputs=[2], ground=3)
    g = np.array([1e-4, 2e-4, 3e-4, 5e-5])
    plane = AnalogPlane(topology, g)
    forcing, watching = plane.attach(1), plane.attach(2)
    plane.drive(watching, CurrentSource(2e-5, 5.0))
    model = Kirchhoff(topology, g)
    for volts in (-0.7, 0.0, 0.3, 1.1):
        plane.drive(forcing, VoltageSource(volts, 0.1))
        expected = model.solve([volts], injected=[2e-5])
        assert plane.read(watching).volts == pytest.approx(expected[0, 2], rel=1e-9)
        assert plane.read(forcing).amperes == pytest.approx(model.source_currents(expected)[0, 0], rel=1e-9)


def test_voltage_and_current_source_in_compliance():
    """A voltage source at its current limit and a current source at its voltage limit."""
    plane = AnalogPlane(Topology(3, [(0, 1), (0, 2)], inputs=[1], outputs=[2], ground=0), [1e-3, 1e-3])
    volt, amp = plane.attach(1), plane.attach(2)
    plane.drive(volt, VoltageSource(1.0, 1e-4))
    plane.drive(amp, CurrentSource(-1e-2, 0.5))
    first, second = plane.read(volt), plane.read(amp)
    assert (first.amperes, first.limited) == (1e-4, True)
    assert first.volts == pytest.approx(0.1, rel=1e-12)
    assert (second.volts, second.limited) == (-0.5, True)
    assert second.amperes == pytest.approx(-5e-4, rel=1e-12)


def test_stronger_of_two_voltage_sources_sets_node_voltage():
    """The source with the larger limit sets the voltage, the other one is in compliance."""
    plane = AnalogPlane(RESISTOR, [1e-3, 1e-3])
    strong, weak = plane.attach(1), plane.attach(1)
    plane.drive(strong, VoltageSource(1.0, 1e-2))
    plane.drive(weak, VoltageSource(-1.0, 1e-3))
    assert plane.read(strong).volts == 1.0
    assert plane.read(strong).amperes == pytest.approx(2e-3)
    assert not plane.read(strong).limited
    assert plane.read(weak).amperes == -1e-3
    assert plane.read(weak).limited


def test_changed_conductances_change_readings():
    plane = AnalogPlane(Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2), [1e-3, 1e-3])
    source, reader = plane.attach(0), plane.attach(1)
    plane.drive(source, VoltageSource(1.0, 1.0))
    assert plane.read(reader).volts == pytest.approx(0.5)
    plane.set_conductances([3e-3, 1e-3])
    assert plane.read(reader).volts == pytest.approx(0.75)
    assert plane.read(source).amperes == pytest.approx(0.75e-3)
    plane.set_conductances([0.0, 1e-3])
    assert plane.read(reader).volts == 0.0
    with pytest.raises(CircuitError, match="edge 1"):
        plane.set_conductances([1e-3, -1.0])
    assert plane.conductances.tolist() == [0.0, 1e-3]


def test_floating_part_is_at_zero_and_single_current_source_reaches_its_limit():
    plane = AnalogPlane(Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1]), [1e-3, 1e-3])
    a, b = plane.attach(0), plane.attach(2)
    assert plane.node_voltages().tolist() == [0.0, 0.0, 0.0]
    plane.drive(a, CurrentSource(1e-6, 2.0))
    assert plane.node_voltages().tolist() == [2.0, 2.0, 2.0]
    assert plane.read(a).limited
    assert plane.read(a).amperes == pytest.approx(0.0, abs=1e-15)
    plane.drive(b, CurrentSource(-1e-6, 2.0))
    np.testing.assert_allclose(plane.node_voltages(), [1e-3, 0.0, -1e-3], atol=1e-12)
    assert not plane.read(a).limited
    plane.drive(b, VoltageSource(-0.3, 1e-3))
    np.testing.assert_allclose(plane.node_voltages(), [-0.298, -0.299, -0.3], rtol=1e-9)


def test_channel_on_ground_is_shorted():
    plane = AnalogPlane(RESISTOR, [1e-3, 1e-3])
    channel = plane.attach(0)
    plane.drive(channel, VoltageSource(-2.0, 1e-3))
    assert plane.read(channel).amperes == -1e-3
    assert plane.read(channel).limited
    plane.drive(channel, CurrentSource(1e-4, 1.0))
    assert plane.read(channel).amperes == 1e-4
    assert not plane.read(channel).limited


def test_invalid_nodes_and_sources_are_refused():
    plane = AnalogPlane(RESISTOR, [1e-3, 1e-3])
    with pytest.raises(CircuitError, match="node 7"):
        plane.attach(7, "smu one")
    with pytest.raises(CircuitError, match="limit_A"):
        VoltageSource(1.0, 0.0)
    with pytest.raises(CircuitError, match="amperes"):
        CurrentSource(float("nan"), 1.0)
    with pytest.raises(CircuitError, match="shape"):
        AnalogPlane(plane.topology, [1.0])


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, -1.0]), min_size=3, max_size=3),
    st.lists(st.sampled_from([1e-4, 5e-4, 1e-3, 2e-3]), min_size=3, max_size=3),
    st.lists(st.sampled_from("vio"), min_size=3, max_size=3),
    st.booleans(),
)
def test_search_ends_for_terminals_exactly_at_their_limits(levels, limits, kinds, grounded):
    """With round values, terminals are exactly at their limits. The search must end with the correct solution."""
    topology = Topology(
        4, [(0, 1), (1, 2), (2, 3), (3, 0)], inputs=[1], outputs=[2], ground=0 if grounded else None
    )
    g = np.full(4, 1e-3)
    plane = AnalogPlane(topology, g)
    for node, (level, limit, kind) in enumerate(zip(levels, limits, kinds, strict=True), start=1):
        channel = plane.attach(node)
        if kind == "v":
            plane.drive(channel, VoltageSource(level, limit))
        elif kind == "i":
            plane.drive(channel, CurrentSource(level * 1e-3, limit * 1e3))
    check_laws(topology, g, plane)


def test_concurrent_readers_see_consistent_states():
    """Source and reader always agree: no reader sees a partial change."""
    plane = AnalogPlane(Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2), [1e-3, 1e-3])
    source, reader = plane.attach(0), plane.attach(1)
    stop = threading.Event()

    def drive() -> None:
        rng = np.random.default_rng(0)
        while not stop.is_set():
            plane.drive(source, VoltageSource(float(rng.uniform(-1, 1)), 1.0))

    def watch() -> bool:
        agreed = True
        for _ in range(500):
            rows = plane.channels()
            agreed &= abs(rows[source].operating_point.volts - 2 * rows[reader].operating_point.volts) < 1e-12
        return agreed

    with ThreadPoolExecutor(3) as pool:
        driving = pool.submit(drive)
        try:
            assert all(future.result(30) for future in [pool.submit(watch), pool.submit(watch)])
        finally:
            stop.set()
        driving.result(30)
