"""The benchmark code itself: sides alternate, problems change at each call, and wrong answers are rejected."""

import importlib
import json
import sys
import time
from itertools import pairwise

import numpy as np
import pytest
from ratios import alone, growth, page
from ratios.contests import Contest
from ratios.problems import Crossbars, Training
from ratios.rows import ROWS, Row
from ratios.timing import Times, difference, in_turns

ROW = Row("made-up", "some work", "a peer", dict, minimum=10, fast_minimum=20)


def test_sides_alternate_and_problems_do_not_repeat():
    calls: list[tuple[str, int]] = []
    contest = Contest(3, lambda k: calls.append(("theirs", k)), lambda k: calls.append(("ours", k)), tuple, tuple)
    times = contest.times(4, (time.perf_counter, time.process_time))
    assert len(times.theirs) == len(times.ours) == 4
    sides = [side for side, _ in calls]
    assert sum(a != b for a, b in pairwise(sides)) == 7
    for side in ("theirs", "ours"):
        problems = [k for who, k in calls if who == side]
        assert problems[:4] == [0, 1, 2, 0]
        assert all(a != b for a, b in pairwise(problems))


def test_ratio_uses_the_best_turn():
    times = in_turns(lambda _: None, lambda _: sum(range(20_000)), 3)
    assert 0 < times.ratio < 1
    assert Times([2.0, 4.0, 3.0], [1.0, 0.5, 1.0]).ratio == 4.0
    assert Times([2.0, 4.0, 3.0], [1.0, 0.5, 1.0]).median_ratio == 3.0


def test_reported_time_replaces_the_clock_for_the_peer_only():
    times = in_turns(lambda _: None, lambda _: None, 2, lambda: 7.0)
    assert times.theirs == [7.0, 7.0]
    assert max(times.ours) < 7.0


def test_answers_are_compared_sample_by_sample():
    a = np.array([[1.0, 2.0], [1e-6, 2e-6]])
    b = a + np.array([[0.0, 0.0], [0.0, 2e-9]])
    assert difference((a,), (a,)) == 0.0
    assert difference((b,), (a,)) == pytest.approx(1e-3)  # of the small sample's largest value
    assert np.isnan(difference((np.full((1, 2), np.nan),), (a[:1],)))
    with pytest.raises(ValueError, match="shapes"):
        difference((a,), (a[:1],))


@pytest.mark.parametrize(
    ("found", "fast", "message"),
    [
        ({"ratio": 10.0, "difference": 1e-12}, False, None),
        ({"ratio": 9.9, "difference": 1e-12}, False, "ratio 9.9; at least 10 is required"),
        ({"ratio": 10.0, "difference": 1e-12}, True, "ratio 10; at least 20 is required"),
        ({"ratio": 1e6, "difference": 1e-8}, True, "answers differ by 1.0e-08"),
        ({"ratio": 1e6, "difference": float("nan")}, True, "answers differ by nan"),
    ],
)
def test_shortfall_states_the_missed_requirement(found, fast, message):
    shown_text = ROW.shortfall(found, fast=fast)
    assert shown_text is None if message is None else message in shown_text


def test_exponent_has_an_upper_limit():
    row = next(row for row in ROWS if row.key == "growth-grid")
    assert row.shortfall({"exponent": 1.35}, fast=False) is None
    assert "at most 1.35" in row.shortfall({"exponent": 1.36}, fast=False)


def test_own_minimum_is_checked_besides_the_ratio():
    row = next(row for row in ROWS if row.key == "digits-diode")
    assert row.shortfall({"theirs": 0.95, "ours": 0.966, "points": 1.6}, fast=False) is None
    assert "at least 1.5" in row.shortfall({"theirs": 0.96, "ours": 0.966, "points": 0.6}, fast=False)
    assert "at least 0.965" in row.shortfall({"theirs": 0.90, "ours": 0.96, "points": 6.0}, fast=False)


def test_exponent_of_a_power_law_is_its_power():
    edges = np.array([1e3, 1e4, 1e6])
    assert growth.exponent(edges, 3e-9 * edges**1.25) == pytest.approx(1.25)


@pytest.mark.parametrize("family", growth.FAMILIES, ids=lambda family: family.key)
def test_family_has_the_requested_size_and_changes_conductances(family):
    edges, work = family.make(3000)
    assert abs(edges - 3000) < 150
    assert not np.array_equal(work(), work())


def test_subset_problem_changes_only_the_subset():
    problem = Training.of_a_subset(10, 0.05, 1, 3)
    changed = (problem.conductances != problem.conductances[0]).any(axis=0)
    assert changed.sum() == round(0.05 * problem.topology.n_edges)
    assert len({g.tobytes() for g in problem.conductances}) == 3


def test_problems_are_reproducible():
    one, other = Crossbars.of(4, 4, 2, 3), Crossbars.of(4, 4, 2, 3)
    np.testing.assert_array_equal(one.conductances, other.conductances)
    assert one.conductances.min() >= 1e-6
    assert one.conductances.max() <= 1e-4
    assert one.conductances.shape == (3, 4, 4)


def test_missing_peer_and_failure_raise_different_errors(mocker):
    def ended(code, stderr):
        mocker.patch.object(alone.subprocess, "run", return_value=mocker.Mock(returncode=code, stderr=stderr))

    ended(alone.MISSING_PEER, "badcrossbar is not installed\n")
    with pytest.raises(LookupError, match="badcrossbar is not installed"):
        alone.run("crossbar-64x1", fast=False)
    ended(1, "a traceback")
    with pytest.raises(RuntimeError, match="a traceback"):
        alone.run("crossbar-64x1", fast=False)


def test_option_without_fast_blocks_the_import_of_its_libraries(mocker, capsys):
    mocker.patch.dict(sys.modules)
    mocker.patch.object(sys, "argv", ["alone", "made-up", "--without-fast"])

    def seen(key):
        for library in ("numba", "cvxopt"):
            with pytest.raises(ImportError):
                importlib.import_module(library)
        return {"ratio": 1.0}

    mocker.patch("ratios.rows.measure", seen)
    alone.main()
    assert json.loads(capsys.readouterr().out) == {"ratio": 1.0}


def test_page_shows_the_measured_values():
    kept = json.loads(page.DATA.read_text(encoding="utf-8"))
    shown = page.PAGE.read_text(encoding="utf-8")
    assert page.rewritten(shown, kept["measured"], kept["machine"]) == shown
    assert set(kept["measured"]) == {row.key for row in ROWS}


def test_table_shows_missed_and_missing_values():
    found = {"theirs": 1.0, "ours": 0.5, "ratio": 2.0, "difference": 0.0}
    table = page.table({"crossbar-64x1": {"plain": found, "fast": None}})
    assert "**2, missed**" in table
    assert table.endswith("| - | - | - |")
    assert "| missing |" in page.table({"crossbar-64x1": {"plain": None, "fast": None}})
