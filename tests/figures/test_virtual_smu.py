"""Training through real drivers and sockets, with virtual source-measure units and a simulated circuit."""

import numpy as np
import pytest

import hwlearn as hl


@pytest.mark.slow
def test_training_error_reaches_the_read_noise(figure, seeds):
    """The error after training is compared with the instruments' stated noise of one reading, for three seeds."""
    ratios = []
    for seed in seeds.first(3, 1):
        with hl.open_bench("virtual-smu", {"train.seed": seed, "backend.seed": seed}) as bench:
            before = bench.evaluate().measured.rms_error_V
            bench.train()
            after = bench.evaluate().measured.rms_error_V
            noise = bench.network.measure(bench.data.inputs).voltage_sigma
        assert before > 100 * noise
        ratios.append(after / noise)
    figure(
        f"virtual-smu over TCP, {len(ratios)} seeds: rms error is {np.mean(ratios):.2f} of the read noise "
        f"({min(ratios):.2f} to {max(ratios):.2f}; required <= 1.5)"
    )
    assert np.mean(ratios) <= 1.5
