"""A share of the campaign `nudge_order`: direction and noise of three orders on three tasks."""

import numpy as np
import pytest
from nudge_order import Task, direction_and_noise

import hwlearn as hl


@pytest.mark.slow
def test_order_turns_the_direction_away_from_the_gradient(figure):
    rows = {k: [direction_and_noise(Task.of(seed), hl.GEP(order=k)) for seed in range(3)] for k in (0.0, 1.0, 2.0)}
    cosines = {k: [row[0] for row in found] for k, found in rows.items()}
    figure(f"cosine to the gradient by order: {', '.join(f'{k:g} {np.mean(v):.3f}' for k, v in cosines.items())}")
    assert min(cosines[1.0]) > 1 - 1e-9
    assert 0.5 < np.mean(cosines[2.0]) < np.mean(cosines[0.0]) < 1
    assert all(0.001 < row[1] < 0.1 for found in rows.values() for row in found)
