"""Predicted readings equal those of the twin, and their derivatives are exact."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.unknowns import Unknowns
from hwlearn_sim import KirchhoffTwin

SIEMENS = np.array([5e-5, 2e-5, 1e-4])


def phase_of(kind, top, x):
    values = np.full((len(x), top.n_outputs), np.nan)
    if kind != "free":
        scale = 1e-6 if kind == "current" else 0.1
        values[:, 0] = scale * np.linspace(-1, 1, len(x))
        values[::2, 1] = 0.5 * scale
    return Phase(kind, x, values, SIEMENS if kind == "resistor" else None)


@pytest.fixture(params=["floating", "grounded"])
def network(request):
    """A small network with a fixed wire: topology, conductances, inputs."""
    n = 10
    rng = np.random.default_rng(3)
    base = hl.Topology.random(n, 20, inputs=4, outputs=3, seed=4)
    inputs = base.inputs.tolist()
    ground = inputs[-1] if request.param == "grounded" else None
    wires = [(int(base.outputs[0]), int(base.outputs[1]))]
    top = hl.Topology(n, base.edges, inputs, base.outputs, ground, fixed_edges=wires, fixed_conductances=[2e-5])
    return top, np.exp(rng.uniform(np.log(1e-6), np.log(1e-4), 20)), rng.uniform(-0.4, 0.4, (5, top.n_inputs))


@pytest.mark.parametrize("kind", ["free", "clamp", "current", "resistor"])
def test_readings_of_ideal_converters_equal_those_of_the_twin(network, wide_limits, kind):
    top, g, x = network
    phase = phase_of(kind, top, x)
    twin = KirchhoffTwin(top, wide_limits)
    twin.program(g)
    readout = twin.measure(x, phase.drive)
    layout = Unknowns.of(top)
    response = EdgeModel(top, layout, g).respond(np.zeros(layout.size), phase)
    np.testing.assert_allclose(response.volts, readout.voltages, atol=1e-13)
    np.testing.assert_allclose(response.sources, readout.source_currents, atol=1e-17)
    if kind == "clamp":
        np.testing.assert_allclose(response.clamps, readout.output_currents, atol=1e-17)


@pytest.mark.share(5)
@pytest.mark.parametrize("offsets", [False, True])
@pytest.mark.parametrize("kind", ["free", "clamp", "current", "resistor"])
def test_derivatives_equal_finite_differences(network, kind, offsets):
    top, g, x = network
    phase = phase_of(kind, top, x)
    layout = Unknowns.of(top, offsets)
    model = EdgeModel(top, layout, g)
    scale = np.full(layout.size, 0.02)
    if offsets:
        scale[layout.blocks["edge_offset"]] = 1e-8
    unknowns = scale * np.random.default_rng(1).standard_normal(layout.size)
    at = model.respond(unknowns, phase)
    for k in range(layout.size):
        step = np.zeros(layout.size)
        step[k] = 1e-3 * scale[k]
        high, low = model.respond(unknowns + step, phase), model.respond(unknowns - step, phase)
        for name in ("volts", "sources", "clamps"):
            slope = (getattr(high, name) - getattr(low, name)) / (2 * step[k])
            exact = getattr(at, f"d_{name}")[:, :, k]
            np.testing.assert_allclose(exact, slope, atol=1e-6 * np.abs(slope).max() + 1e-12)


def test_voltages_do_not_depend_on_the_common_scale(small):
    top, g, x, _ = small
    layout = Unknowns.of(top)
    response = EdgeModel(top, layout, g).respond(np.zeros(layout.size), phase_of("free", top, x))
    edges = layout.blocks["log_gain"]
    common = response.d_volts[:, :, edges].sum(axis=2)
    assert np.abs(common).max() < 1e-12
    np.testing.assert_allclose(
        response.d_sources[:, :, edges].sum(axis=2), response.sources, rtol=1e-9, atol=1e-18
    )
