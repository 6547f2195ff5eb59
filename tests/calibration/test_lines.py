"""Source resistances are measured with correct uncertainties."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibration.lines import NotMeasurableError, measure_lines
from hwlearn_sim import Imperfections, KirchhoffTwin


@pytest.mark.parametrize("ohm", [0.0, 200.0])
def test_source_resistance_without_ground_is_measured(make, ohm):
    z = []
    for seed in range(15):
        fit = measure_lines(make(seed, device_spread=0.2, current_noise_A=5e-9, source_resistance_ohm=ohm))
        z += list((fit.ohm - ohm) / fit.sigma_ohm)
        assert fit.chi < 2
    assert np.mean(np.abs(z) < 1.96) > 0.85
    assert 0.7 < np.std(z) < 1.35


def test_source_resistance_with_ground_is_measured(bench_limits):
    topology = hl.Topology.crossbar(4, 4, [0, 1], [0, 1], ground=3)
    flaws = Imperfections(device_spread=0.2, current_noise_A=1e-9, source_resistance_ohm=50.0)
    fit = measure_lines(KirchhoffTwin(topology, bench_limits, flaws))
    assert fit.ohm == pytest.approx([50.0, 50.0], abs=5 * fit.sigma_ohm.max())
    assert fit.sigma_ohm.max() < 1.0


def test_stuck_edges_raise_chi(make):
    """With a stuck edge the impedances are not straight lines, and the intercept is not the resistance."""
    assert measure_lines(make(current_noise_A=5e-9, stuck={0: 1e-4, 5: 1e-4})).chi > 3


def test_lines_need_source_currents(small, bench_limits):
    twin = KirchhoffTwin(small[0], bench_limits, current_readout=False)
    with pytest.raises(NotMeasurableError, match="does not measure the currents"):
        measure_lines(twin)
    assert twin.measurements == 1


def test_lines_need_three_inputs_without_ground(bench_limits):
    topology = hl.Topology.grid(3, 3, inputs=[0, 8], outputs=[4])
    with pytest.raises(NotMeasurableError, match="3 inputs are needed"):
        measure_lines(KirchhoffTwin(topology, bench_limits))


def test_uncertainty_includes_edges_that_do_not_scale(make):
    fit = measure_lines(make(seed=2, stuck={0: 1e-4}))
    assert fit.chi > 2
    assert (fit.sigma_ohm > 0.01 * np.abs(fit.ohm)).all()
