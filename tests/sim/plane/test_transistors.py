"""Transistors on the analog plane: the engine's operating points, and sources at their limits."""

from dataclasses import replace

import numpy as np
import pytest
from transistor_circuits import BODIES, DEVICE, mixed

import hwlearn as hl
from hwlearn.errors import CircuitError
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, Open, VoltageSource


@pytest.mark.parametrize("ground", [15, None])
@pytest.mark.parametrize("body", BODIES)
def test_plane_has_the_voltages_and_currents_of_the_engine(body, ground):
    top = hl.Topology.grid(4, 4, [0, 3], [10, 13], ground).with_elements(replace(DEVICE, body=body))
    model = hl.Kirchhoff(top, np.random.default_rng(1).uniform(1.5, 6.0, top.n_edges))
    plane = AnalogPlane(top, model.values)
    channels = [plane.attach(node) for node in (0, 3, 10, 13)]
    assert not plane.node_voltages().any()
    x = np.array([[0.45, 0.1]])
    for channel, volts in zip(channels, x[0], strict=False):
        plane.drive(channel, VoltageSource(volts, 0.1))
    V = model.solve(x)
    assert np.abs(plane.node_voltages() - V).max() < 1e-9
    read = [plane.read(channel) for channel in channels]
    expected = [*model.source_currents(V)[0], 0.0, 0.0]
    assert np.allclose([one.amperes for one in read], expected, rtol=1e-8, atol=1e-13)
    assert not any(one.limited for one in read)


@pytest.mark.share(4)
@pytest.mark.parametrize("seed", range(12))
def test_every_source_obeys_its_characteristic(seed):
    rng = np.random.default_rng(seed)
    top, values = mixed(rng)
    plane = AnalogPlane(top, values)
    nodes = rng.permutation(np.arange(1, top.n_nodes))[:4]
    sources = [
        VoltageSource(rng.uniform(-0.3, 0.8), 10 ** rng.uniform(-5, -2)),
        VoltageSource(rng.uniform(-0.3, 0.8), 10 ** rng.uniform(-5, -2)),
        CurrentSource(rng.uniform(-1e-3, 1e-3), rng.uniform(0.1, 0.8)),
        Open(),
    ]
    channels = [plane.attach(int(node)) for node in nodes]
    for channel, source in zip(channels, sources, strict=True):
        plane.drive(channel, source)
    V = plane.node_voltages()
    into = hl.Kirchhoff(top, values).node_currents(V[None])[0]  # Kirchhoff's current law at every node
    inside = np.setdiff1d(np.arange(1, top.n_nodes), nodes)
    assert np.abs(into[inside]).max(initial=0.0) < 1e-11
    for node, channel, source in zip(nodes, channels, sources, strict=True):
        read = plane.read(channel)
        assert read.volts == pytest.approx(V[node], abs=1e-12)
        assert read.amperes == pytest.approx(into[node], rel=1e-6, abs=1e-11)
        if isinstance(source, VoltageSource):
            if read.limited:
                assert abs(read.amperes) == pytest.approx(source.limit_A, rel=1e-9)
                assert (read.volts < source.volts) is (read.amperes > 0)
            else:
                assert read.volts == source.volts
                assert abs(read.amperes) <= source.limit_A * (1 + 1e-9)
        elif isinstance(source, CurrentSource):
            if read.limited:
                assert abs(read.volts) == pytest.approx(source.limit_V, rel=1e-9)
            else:
                assert read.amperes == pytest.approx(source.amperes, rel=1e-9)
                assert abs(read.volts) <= source.limit_V * (1 + 1e-9)


def test_gate_voltage_that_the_transistor_does_not_accept_is_refused():
    top = hl.Topology.grid(2, 2, [0], [3], 1).with_elements(DEVICE)
    with pytest.raises(CircuitError, match=r"gate voltage 11 V at edge 2 .* is not 0 to 10 V"):
        AnalogPlane(top, [1.0, 2.0, 11.0, 3.0])
