"""Distortions of training images: exact cases, scipy as an independent reference, and what is refused."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

import hwlearn as hl
from hwlearn.errors import DataError, SetupError
from hwlearn.lab.data import Distortion


class Drawn:
    """A generator whose numbers are all at the upper end of their range."""

    def uniform(self, low, high, size):
        return np.full(size, high)


def test_nothing_is_distorted_without_amounts():
    images = np.random.default_rng(0).random((5, 12))
    np.testing.assert_allclose(Distortion(3, 4)(images, np.random.default_rng(1)), images, rtol=1e-15)


def test_distortion_is_the_linear_interpolation_of_scipy():
    images = np.random.default_rng(0).random((2, 30))
    given = Distortion(5, 6, shift=0.4, turn=20, stretch=0.1, slant=0.2)(images, Drawn())
    c, s = np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))
    r, k = np.indices((5, 6)) - np.array([2.0, 2.5])[:, None, None]
    at = [1.1 * (c * r - s * k) + 2.4, 1.1 * (s * r + c * k) + 0.2 * r + 2.9]
    expected = [map_coordinates(image.reshape(5, 6), at, order=1, mode="nearest").ravel() for image in images]
    np.testing.assert_allclose(given, expected, rtol=1e-12)


def test_training_images_are_distorted_and_test_images_are_not():
    with hl.open_bench("digits-hidden-nmos", {"data.jitter": 0.0}) as bench:
        data = bench.data
    assert data.jitter is not None
    shown = data.jitter(data.inputs[:50], np.random.default_rng(0))
    again = data.jitter(data.inputs[:50], np.random.default_rng(0))
    change = np.abs(shown - data.inputs[:50]).max(axis=1)
    np.testing.assert_array_equal(shown, again)
    assert (change > 0.05).all()
    assert np.abs(shown).max() <= 3
    assert np.abs(shown - data.inputs[:50]).mean() < 0.2
    assert ((data.inputs * 16 / 3) % 1 < 1e-9).all()


def test_image_of_another_size_is_refused(bench_path):
    with pytest.raises(DataError, match=r"image = \[8, 9\] has 72 pixels, but the data has 64 features"):
        hl.open_bench("digits-hidden-nmos", {"data.distortion": {"image": [8, 9], "shift": 0.1}})
    with pytest.raises(SetupError, match="turns"):
        hl.open_bench("digits-hidden-nmos", {"data.distortion": {"image": [8, 8], "turns": 4}})
