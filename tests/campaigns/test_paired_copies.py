"""A share of the campaign `paired_copies`: floors of two seeds."""

import numpy as np
import pytest
from paired_copies import BIASES, SPREADS, exponents, floors


@pytest.mark.slow
def test_floor_of_a_pair_follows_bias_and_overclamping_and_one_network_has_none(figure):
    rows = [floors(seed) for seed in (3, 5)]
    found = {name: float(np.mean(values)) for name, values in exponents(rows).items()}
    figure(f"paired copies, exponents of the error floor: {', '.join(f'{k} {v:.2f}' for k, v in found.items())}")
    assert 0.8 < found["floor against bias"] < 1.1
    assert -1.1 < found["floor against overclamping"] < -0.8
    spread = f"{SPREADS[-1]:.1%}"
    for row in rows:
        assert row["one network"] < 1e-3 * row[f"pair, bias {BIASES[0]:g} V^2"]
        assert row[f"one network, device spread {spread}"] < 1e-3 * row[f"pair, device spread {spread}"]
        assert row[f"pair, device spread {spread}, symmetric"] < 1e-3 * row[f"pair, device spread {spread}"]
