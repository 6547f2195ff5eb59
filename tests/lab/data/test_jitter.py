"""Noise on training inputs: its size, the inputs without noise, and that equal seeds repeat it."""

import numpy as np
import pytest

from hwlearn.errors import HwlearnError
from hwlearn.lab.bench.bench import open_bench

FEATURES = {
    "data.source": "iris",
    "network.inputs": 10,
    "network.nodes": 18,
    "network.edges": 60,
    "data.amplitude": "400 mV",
    "data.bias": "300 mV",
    "data.encoding": "differential",
    "train.temperature": "20 mV",
}


def test_noise_stays_in_range_and_negatives_follow_their_features(bench_path):
    data = open_bench(bench_path, FEATURES | {"data.jitter": 0.1}).data
    assert data.jitter is not None
    shown = data.jitter(data.inputs, np.random.default_rng(0))
    moved = shown[:, :4] - data.inputs[:, :4]
    inside = np.abs(data.inputs[:, :4]) < 0.1
    assert moved[inside].std() == pytest.approx(0.08, rel=0.2)  # a tenth of the range of 0.8 V
    assert abs(moved[inside].mean()) < 0.02
    assert np.abs(shown).max() <= 0.4
    np.testing.assert_array_equal(shown[:, 4:8], -shown[:, :4])
    np.testing.assert_array_equal(shown[:, 8:], data.inputs[:, 8:])


def test_listed_negatives_follow_their_features(bench_path):
    changes = FEATURES | {
        "data.encoding": "scaled",
        "data.negated": [2, 0],
        "network.inputs": 8,
        "data.jitter": 0.1,
    }
    data = open_bench(bench_path, changes).data
    assert data.jitter is not None
    shown = data.jitter(data.inputs, np.random.default_rng(0))
    np.testing.assert_array_equal(shown[:, 4:6], -shown[:, [2, 0]])
    np.testing.assert_array_equal(shown[:, 6:], data.inputs[:, 6:])
    assert (shown[:, :4] != data.inputs[:, :4]).any(axis=0).all()


def test_noise_on_plain_volts_stays_between_the_extremes_of_each_feature(bench_path):
    data = open_bench(bench_path, {"data.jitter": 0.5}).data
    assert data.jitter is not None
    shown = data.jitter(data.inputs, np.random.default_rng(0))
    assert (shown >= data.inputs.min(axis=0)).all()
    assert (shown <= data.inputs.max(axis=0)).all()
    assert (shown != data.inputs).any()


def test_data_has_no_noise_by_default(bench_path):
    assert open_bench(bench_path, FEATURES).data.jitter is None


def test_noise_in_training_is_repeated_by_its_seed(bench_path):
    def learned(**changes: object) -> np.ndarray:
        with open_bench(bench_path, FEATURES | {"train.epochs": 3, "train.batch": 40} | changes) as bench:
            conductances = bench.train().conductances
        assert conductances is not None
        return conductances

    noisy = learned(**{"data.jitter": 0.2})
    np.testing.assert_array_equal(noisy, learned(**{"data.jitter": 0.2}))
    assert (noisy != learned()).any()
    assert (noisy != learned(**{"data.jitter": 0.2, "train.seed": 1})).any()


@pytest.mark.parametrize("jitter", [-0.1, 1.5, "much"])
def test_invalid_jitter_is_refused(bench_path, jitter):
    with pytest.raises(HwlearnError, match=r"data\.jitter = "):
        open_bench(bench_path, FEATURES | {"data.jitter": jitter})
