"""Small random distortions of images in training: moved, turned, stretched, slanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Distortion:
    """Random distortions of images, with linear interpolation between pixels.

    A distorted image shows outside of the original what its nearest pixel shows.

    Attributes
    ----------
    rows, columns : int
        Pixels of an image, which are counted along the rows.
    shift : float
        Largest movement along each side, in pixels.
    turn : float
        Largest angle in degrees.
    stretch : float
        Largest relative change of each side.
    slant : float
        Largest movement along the columns for each row, in pixels.
    """

    rows: int
    columns: int
    shift: float = 0.0
    turn: float = 0.0
    stretch: float = 0.0
    slant: float = 0.0

    def __call__(self, images: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return images (S, rows * columns) as distorted, each in its own way."""
        S, shape = len(images), (self.rows, self.columns)
        angle = np.deg2rad(rng.uniform(-self.turn, self.turn, S))
        high, wide = 1 + rng.uniform(-self.stretch, self.stretch, (2, S))
        slant = rng.uniform(-self.slant, self.slant, S)
        moved = rng.uniform(-self.shift, self.shift, (S, 2, 1))
        matrix = np.empty((S, 2, 2))
        matrix[:, 0] = np.stack([np.cos(angle) * high, -np.sin(angle) * high], axis=1)
        matrix[:, 1] = np.stack([np.sin(angle) * wide + slant, np.cos(angle) * wide], axis=1)
        middle = (np.array([shape]).T - 1) / 2
        at = matrix @ (np.indices(shape).reshape(2, -1) - middle) + middle + moved
        return _interpolated(images.reshape(S, *shape), at[:, 0], at[:, 1])


def _interpolated(images: FloatArray, row: FloatArray, column: FloatArray) -> FloatArray:
    """Return the values (S, n) of images (S, rows, columns) at places (S, n) between their pixels."""
    S, rows, columns = images.shape
    row, column = np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)
    top, left = np.floor(row).astype(np.int64), np.floor(column).astype(np.int64)
    bottom, right = np.minimum(top + 1, rows - 1), np.minimum(left + 1, columns - 1)
    down, across = row - top, column - left
    s = np.arange(S)[:, None]
    upper = (1 - across) * images[s, top, left] + across * images[s, top, right]
    lower = (1 - across) * images[s, bottom, left] + across * images[s, bottom, right]
    return np.asarray((1 - down) * upper + down * lower)
