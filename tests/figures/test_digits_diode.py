"""Accuracy gain on handwritten digits by diodes between two layers of resistors."""

import numpy as np
import pytest

import hwlearn as hl

HELD_OUT = 359
"""Images that the accuracy of one split is measured on."""


def held_out_accuracy(bench: str, seed: int) -> float:
    """Return the accuracy measured on held-out images after training with the settings of the bench file."""
    changes = {"train.seed": seed, "backend.seed": seed, "data.split_seed": seed}
    with hl.open_bench(bench, changes) as opened:
        opened.train()
        accuracy = opened.evaluate().measured.accuracy
    assert accuracy is not None
    return accuracy


@pytest.mark.slow
@pytest.mark.full
def test_diodes_improve_digit_accuracy(figure, seeds):
    """Three splits, each with a fifth of the images held out, other devices and other noise; a share is one."""
    chosen = seeds.first(3, 1)
    diodes = np.array([held_out_accuracy("digits-diode", seed) for seed in chosen])
    linear = np.array([held_out_accuracy("digits", seed) for seed in chosen])
    gain = 100 * (diodes.mean() - linear.mean())
    figure(
        f"digits-diode, {len(chosen)} splits: test accuracy {diodes.mean():.4f} (required >= 0.965), "
        f"{gain:+.2f} points over digits at {linear.mean():.4f} (required +1.5)"
    )
    assert diodes.mean() >= seeds.fraction(0.965, len(chosen) * HELD_OUT)
    assert gain >= 1.5 or not seeds.full  # one split cannot show so small a difference
