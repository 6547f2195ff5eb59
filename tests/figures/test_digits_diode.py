"""What diodes between two layers of resistors are worth on handwritten digits."""

import numpy as np
import pytest

import hwlearn as hl

SEEDS = range(3)


def held_out_accuracy(bench: str, seed: int) -> float:
    """Return the measured accuracy on held-out images after training as the bench file says."""
    changes = {"train.seed": seed, "backend.seed": seed, "data.split_seed": seed}
    with hl.open_bench(bench, changes) as opened:
        opened.train()
        accuracy = opened.evaluate().measured.accuracy
    assert accuracy is not None
    return accuracy


@pytest.mark.slow
def test_diodes_beat_resistors_alone(figure):
    """Three splits, a fifth of the images held out each time; other devices and noise each time."""
    diodes = np.array([held_out_accuracy("digits-diode", seed) for seed in SEEDS])
    linear = np.array([held_out_accuracy("digits", seed) for seed in SEEDS])
    gain = 100 * (diodes.mean() - linear.mean())
    figure(
        f"digits-diode, 3 splits: test accuracy {diodes.mean():.4f} (asked >= 0.965), "
        f"{gain:+.2f} points over digits at {linear.mean():.4f} (asked +1.5)"
    )
    assert diodes.mean() >= 0.965
    assert gain >= 1.5
