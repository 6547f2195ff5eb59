"""Differences of outputs on virtual source-measure units: real drivers, sockets, and clamps at both outputs."""

import numpy as np
import pytest

import hwlearn as hl

QUIET = {"backend.noise": 0.0, "backend.device_spread": 0.0, "data.output_pairs": "consecutive"}


def test_clamps_move_both_outputs_and_the_difference_to_its_target():
    with hl.open_bench("virtual-smu", QUIET) as bench:
        network, x, y = bench.network, bench.data.inputs, bench.data.targets
        assert y.shape == (6, 1)
        network.program(bench.trainer().model.conductances)
        cost = hl.Differential(hl.MSE(), [(0, 1)])
        phases = network.two_phase(x, cost.signal(y), hl.ClampNudge(0.5))
        free, plus, minus = (phase.voltages for phase in (phases.free, phases.plus, phases.minus))
        step = 51e-6  # sources have steps of 50 uV, each of which is at most half a step away
        np.testing.assert_allclose(plus[:, [0]] - plus[:, [1]], y, atol=step)
        np.testing.assert_allclose(plus.sum(axis=1), free.sum(axis=1), atol=step)
        np.testing.assert_allclose(plus + minus, 2 * free, atol=step)
        model = hl.Kirchhoff(bench.topology, network.true_conductances)
        clamped = model.solve(x, clamped=plus)
        np.testing.assert_allclose(phases.plus.output_currents, model.output_currents(clamped), atol=2e-8)


def test_gradient_from_instruments_is_the_exact_gradient():
    with hl.open_bench("virtual-smu", QUIET) as bench:
        model = bench.trainer().model.with_conductances(bench.network.program(np.full(24, 2e-5)).reached)
        cost = hl.Differential(hl.MSE(), bench.data.pairs)
        request = hl.GradientRequest(bench.network, model, bench.data.inputs, bench.data.targets, cost)
        found = hl.GEP(hl.ClampNudge(metric="impedance")).gradient(request)
        error = cost.error(model.solve(bench.data.inputs)[:, bench.topology.outputs], bench.data.targets)
        exact = model.gradient(bench.data.inputs, error)
        assert np.linalg.norm(found.values - exact) < 1e-3 * np.linalg.norm(exact)


@pytest.mark.slow
def test_training_error_of_a_difference_reaches_its_read_noise(figure):
    """The noise of a difference is sqrt(2) times that of a reading."""
    with hl.open_bench("virtual-smu", {"data.output_pairs": "consecutive"}) as bench:
        bench.train()
        after = bench.evaluate().measured.rms_error_V
        noise = np.sqrt(2) * bench.network.measure(bench.data.inputs).voltage_sigma
    figure(
        f"virtual-smu, difference of outputs: rms error is {after / noise:.2f} of its read noise (required <= 2)"
    )
    assert after <= 2 * noise
