"""A share of the campaign `paired_copies`: floors of two tasks."""

from itertools import count, islice

import numpy as np
import pytest
from paired_copies import FLOOR_BIASES, REAL_SPREAD, exponents, floors


@pytest.mark.slow
def test_floor_of_a_pair_follows_bias_and_overclamping_and_one_network_has_none(figure):
    rows = list(islice((row for seed in count() if (row := floors(seed))), 2))
    found = {name: float(np.mean(values)) for name, values in exponents(rows).items()}
    figure(f"paired copies, exponents of the error floor: {', '.join(f'{k} {v:.2f}' for k, v in found.items())}")
    assert 0.8 < found["floor against bias"] < 1.2
    assert -1.2 < found["floor against overclamping"] < -0.8
    for row in rows:
        least, spread = f"pair, bias {FLOOR_BIASES[0]:g} V^2", f"device spread {REAL_SPREAD:g}"
        assert row["one network"] < 0.1 * row[least]
        assert row[f"one network, {spread}"] < 0.1 * row[f"pair, {spread}"]
        assert row[f"pair, {spread}, symmetric"] < 0.1 * row[f"pair, {spread}"]
