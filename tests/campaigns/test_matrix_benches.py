"""A small part of the campaign over matrix benches."""

import pytest
from matrix_benches import BENCHES, trained


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHES)
def test_bench_learns_and_moves_relays_at_zero_only(name):
    found = trained(name, seed=1, epochs=2)
    assert found.accuracy > 0.5
    assert not found.hot_moves
    assert not found.unchecked
    assert found.moves_per_sample < 4
