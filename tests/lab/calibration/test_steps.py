"""Noise, lines and verification find what a twin was given, and state how sure they are."""

import math

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibration.lines import NotMeasurableError, measure_lines
from hwlearn.calibration.noise import SHARE_OF_NUDGE, measure_noise
from hwlearn.calibration.verify import verify
from hwlearn.errors import SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin


@pytest.fixture
def make(small, bench_limits):
    """Return a function that makes a twin of the small network with the given faults."""

    def made(seed=0, settle_s=50e-6, **flaws):
        return KirchhoffTwin(small[0], bench_limits, Imperfections(**flaws), seed=seed, settle_s=settle_s)

    return made


# --- noise --------------------------------------------------------------------------------------------


def test_noise_is_found_with_its_uncertainty(make):
    found = np.concatenate([measure_noise(make(seed, read_noise_V=1e-3)).sigma_V for seed in range(20)])
    assert found.mean() == pytest.approx(1e-3, rel=4 / math.sqrt(2 * 248 * len(found)))
    assert found.std() == pytest.approx(1e-3 / math.sqrt(2 * 248), rel=0.4)


def test_averaging_as_white_noise_allows(make):
    fit = measure_noise(make(read_noise_V=1e-3))
    fall = fit.of_mean_V[:4].mean(axis=1) / fit.of_mean_V[0].mean()
    assert fall == pytest.approx(1 / np.sqrt(fit.averages[:4]), rel=0.25)
    left = 1e-3 / math.sqrt(fit.recommended)
    assert left <= 1.1 * SHARE_OF_NUDGE * 0.2
    assert left * math.sqrt(2) > 0.9 * SHARE_OF_NUDGE * 0.2  # half of it would not have been enough
    assert fit.within_specification


def test_a_quiet_bench_needs_no_averages(make):
    fit = measure_noise(make())
    assert fit.recommended == 1
    assert fit.sigma_V.max() < 1e-15
    assert fit.within_specification
    assert not fit.lags


def test_rounding_counts_where_noise_does_not_show(make):
    fit = measure_noise(make(adc_bits=8, adc_range_V=1.0))
    assert fit.sigma_V == pytest.approx(2 / 256 / math.sqrt(12))


def test_more_noise_than_stated(make, mocker):
    twin = make(read_noise_V=1e-3)
    mocker.patch.object(twin, "_voltage_sigma", 5e-4)
    assert not measure_noise(twin).within_specification


@pytest.mark.parametrize("tau", [10e-6, 30e-6, 200e-6])
def test_the_lag_and_the_settle_that_ends_it(make, tau):
    fit = measure_noise(make(settle_tau_s=tau, read_noise_V=2e-4))
    assert fit.lags
    assert fit.lag == pytest.approx(math.exp(-50e-6 / tau), abs=max(4 * fit.lag_sigma, 2e-3))
    settle = fit.settle_s(50e-6, 1.0)
    better = measure_noise(make(settle_tau_s=tau, read_noise_V=2e-4, settle_s=settle))
    assert better.lag < 2 * 2e-4 + 4 * better.lag_sigma


def test_no_lag_is_seen_where_there_is_none(make):
    fits = [measure_noise(make(seed, read_noise_V=1e-3)) for seed in range(40)]
    z = np.array([fit.lag / fit.lag_sigma for fit in fits])
    assert 0.6 < z.std() < 1.5
    assert sum(fit.lags for fit in fits) <= 2
    assert fits[0].settle_s(50e-6, 1.0) is None


# --- lines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ohm", [0.0, 200.0])
def test_source_resistance_without_ground(make, ohm):
    z = []
    for seed in range(15):
        fit = measure_lines(make(seed, device_spread=0.2, current_noise_A=5e-9, source_resistance_ohm=ohm))
        z += list((fit.ohm - ohm) / fit.sigma_ohm)
        assert fit.chi < 2
    assert np.mean(np.abs(z) < 1.96) > 0.85
    assert 0.7 < np.std(z) < 1.35


def test_source_resistance_with_ground(bench_limits):
    topology = hl.Topology.crossbar(4, 4, [0, 1], [0, 1], ground=3)
    flaws = Imperfections(device_spread=0.2, current_noise_A=1e-9, source_resistance_ohm=50.0)
    fit = measure_lines(KirchhoffTwin(topology, bench_limits, flaws))
    assert fit.ohm == pytest.approx([50.0, 50.0], abs=5 * fit.sigma_ohm.max())
    assert fit.sigma_ohm.max() < 1.0


def test_edges_that_do_not_scale_are_seen(make):
    """An edge that stays where it is bends the lines: the intercept is not the resistance then."""
    assert measure_lines(make(current_noise_A=5e-9, stuck={0: 1e-4, 5: 1e-4})).chi > 3


def test_no_currents_no_lines(small, bench_limits):
    twin = KirchhoffTwin(small[0], bench_limits, current_readout=False)
    with pytest.raises(NotMeasurableError, match="does not measure the currents"):
        measure_lines(twin)
    assert twin.measurements == 1


def test_two_inputs_show_only_the_sum(bench_limits):
    topology = hl.Topology.grid(3, 3, inputs=[0, 8], outputs=[4])
    with pytest.raises(NotMeasurableError, match="it takes 3 inputs"):
        measure_lines(KirchhoffTwin(topology, bench_limits))


# --- verification -------------------------------------------------------------------------------------


def test_an_exact_model_is_verified_at_the_noise(make):
    chis = [verify(make(seed, read_noise_V=1e-3), np.ones(30), seed=seed).chi for seed in range(20)]
    assert np.mean(chis) == pytest.approx(1.0, abs=0.03)


def test_a_wrong_model_is_not(make):
    fit = verify(make(read_noise_V=1e-3, device_spread=0.2), np.ones(30))
    assert fit.chi > 3 * fit.most_chi
    assert fit.rms_V == pytest.approx(fit.nominal_rms_V)


def test_uncertainty_of_the_prediction_counts(make):
    exact = verify(make(read_noise_V=1e-3), np.ones(30))
    loose = verify(
        make(read_noise_V=1e-3), np.ones(30), lambda reached, x: np.full((len(x), 3), math.sqrt(3) * 1e-3)
    )
    assert loose.chi == pytest.approx(exact.chi / 2)


# --- a whole calibration from Python ------------------------------------------------------------------

FLAWED = [
    "backend.device_spread=0.2",
    "backend.read_noise=1 mV",
    "backend.current_noise=10 nA",
    "backend.adc_gain=0.02",
    "backend.adc_offset=5 mV",
    "backend.dac_gain=0.02",
    "backend.dac_offset=5 mV",
]


def test_a_bench_calibrates_itself_and_goes_on_with_what_it_found(bench_path):
    with hl.open_bench(bench_path, FLAWED) as bench:
        twin = bench.raw_network
        record = bench.calibrate("noise", "converters", "edges", configurations=6)
        assert record.verify is None
        assert list(record.made) == ["noise", "converters", "edges"]
        gains = bench.network.program(np.full(30, 1e-5)).reached / twin.true_conductances
        nominal = twin.program(np.full(30, 1e-5)).reached / twin.true_conductances
        seen = record.edges.gain_sigma < 0.05
        assert seen.sum() > 20
        assert np.log(gains[seen]).std() < 0.2 * np.log(nominal[seen]).std()
        with pytest.raises(SetupError, match="did you mean 'edges'"):
            bench.calibrate("edge")
        with pytest.raises(SetupError, match="configurations is 0"):
            bench.calibrate(configurations=0)
        with pytest.raises(SetupError, match=r"calibrate: .*'confs'"):
            bench.calibrate(confs=3)


def test_lines_without_noise_of_the_currents_are_as_uncertain_as_the_edges_make_them(make):
    fit = measure_lines(make(seed=2, stuck={0: 1e-4}))
    assert fit.chi > 2
    assert (fit.sigma_ohm > 0.01 * np.abs(fit.ohm)).all()
