"""A resumed run on a simulated bench with noise equals the uninterrupted run, bit for bit."""

import pytest
from interruptions import interrupted_run, new_run, train_part, unequal_rows
from noisy_benches import write_bench

KILLS = [
    ("sim drift", [(5, True), (11, False)]),
    ("sim writes", [(2, True), (3, True), (14, False)]),
    ("sim transistors", [(4, True), (11, False)]),
    ("soft bounds failing", [(8, True), (7, False)]),
    pytest.param("2612B", [(13, False)], marks=pytest.mark.slow),
    ("board", [(16, True)]),
]


@pytest.mark.share(2)
@pytest.mark.parametrize(("backend", "kills"), KILLS)
def test_resumed_run_equals_uninterrupted_run(backend, kills, tmp_path):
    bench = write_bench(tmp_path, backend, keep="best")
    whole, resumed = new_run(bench, tmp_path / "runs"), new_run(bench, tmp_path / "runs")
    result = train_part(whole)
    assert interrupted_run(resumed, kills) == result
    assert unequal_rows(whole, resumed) == []
    assert result["measurements"] == 3 * 6 * 3


def test_every_event_of_an_epoch_can_be_the_last_one(tmp_path):
    bench = write_bench(tmp_path, "sim writes", epochs=2, batch=6)
    whole = new_run(bench, tmp_path / "runs")
    result = train_part(whole)
    for event in range(13):  # start, gradients, steps, epochs and end, with the progress before each
        resumed = new_run(bench, tmp_path / "runs")
        assert interrupted_run(resumed, [(event, event % 2 == 0)]) == result
        assert unequal_rows(whole, resumed) == []


RULES = {
    "spsa": {"rule": "spsa", "optimizer": "momentum", "rate": 0.02},
    "analytic": {"rule": "analytic", "optimizer": "sign", "subset": 0.5, "subset_kind": "random"},
    "patience": {"patience": 1, "epochs": 30, "anneal": 0.1, "rate": 0.5, "optimizer": "sgd", "subset": 0.8},
}


@pytest.mark.share(1)
@pytest.mark.parametrize("rule", RULES)
def test_rule_optimizer_subset_and_patience_continue(rule, tmp_path):
    bench = write_bench(tmp_path, "sim drift", **RULES[rule])
    whole, resumed = new_run(bench, tmp_path / "runs"), new_run(bench, tmp_path / "runs")
    assert interrupted_run(resumed, [(6, True), (9, False)]) == train_part(whole)
    assert unequal_rows(whole, resumed) == []


def test_pair_with_faults_on_a_schedule_continues(tmp_path):
    """Stopped before the first fault, between both, and after the second; both copies go on."""
    rule = {"nudge": "clamp", "strength": 0.3, "overclamp": 2, "symmetric": False, "readout": "edges"}
    bench = write_bench(tmp_path, "sim pair", **rule, optimizer="potentiometer")
    whole, resumed = new_run(bench, tmp_path / "runs"), new_run(bench, tmp_path / "runs")
    result = train_part(whole)
    assert interrupted_run(resumed, [(5, True), (9, False), (8, True)]) == result
    assert unequal_rows(whole, resumed) == []
    assert "paired = true" in whole.meta("settings")
