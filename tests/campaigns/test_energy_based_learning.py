"""The comparison with energy-based-learning judges what it measures; its own side trains without torch."""

import energy_based_learning as campaign
import numpy as np
import pytest

FAST, SLOW, NEVER = [[1.0, 0.9], [2.0, 0.98]], [[5.0, 0.9], [10.0, 0.98]], [[1.0, 0.9], [2.0, 0.95]]


@pytest.mark.parametrize(
    ("peer", "ours", "code"),
    [(SLOW, FAST, 0), (FAST, SLOW, 1), (SLOW, NEVER, 1), (NEVER, FAST, 0), (NEVER, NEVER, 1), (FAST, FAST, 1)],
)
def test_report_requires_half_the_seconds_and_the_same_accuracy(peer, ours, code):
    rows = {campaign.PEER_EP: [peer] * 2, campaign.OUR_EP: [ours] * 2, campaign.OUR_EXACT: [ours] * 2}
    assert campaign.report(rows) == code


def test_rows_are_held_out_once():
    rows = campaign.digits(3)
    assert len(rows["y_train"]) + len(rows["y_test"]) == 1797
    assert rows["x_train"].min() == 0
    assert rows["x_train"].max() == 1


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["ep", "analytic"])
@pytest.mark.parametrize("cost", ["squared", "cross-entropy"])
def test_own_side_trains(tmp_path, rule, cost):
    np.savez(tmp_path / "digits.npz", **campaign.digits(3))
    settings = campaign.OURS[cost] | {"seed": 3, "data": str(tmp_path / "digits.npz"), "hidden": 16, "epochs": 2}
    epochs = campaign.train(settings | {"rule": rule})
    assert len(epochs) == 2
    assert epochs[-1][1] > 0.5
