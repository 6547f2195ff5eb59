"""Learning over real sockets: virtual source-measure units, the drivers of a bench, a simulated circuit."""

import numpy as np
import pytest

import hwlearn as hl


@pytest.mark.slow
def test_learns_down_to_the_read_noise(figure):
    """The shipped bench, on three sets of devices; the floor is what the instruments state of one reading."""
    ratios = []
    for seed in range(3):
        with hl.open_bench("virtual-smu", {"train.seed": seed, "backend.seed": seed}) as bench:
            before = bench.evaluate().measured.rms_error_V
            bench.train()
            after = bench.evaluate().measured.rms_error_V
            floor = bench.network.measure(bench.data.inputs).voltage_sigma
        assert before > 100 * floor
        ratios.append(after / floor)
    figure(
        f"virtual-smu over TCP, 3 seeds: rms error is {np.mean(ratios):.2f} of the read noise "
        f"({min(ratios):.2f} to {max(ratios):.2f}; asked <= 1.5)"
    )
    assert np.mean(ratios) <= 1.5
