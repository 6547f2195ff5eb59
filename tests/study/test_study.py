"""The study: its points, its intervals, resuming, and the numbers that are committed."""

import json
import sys
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from typer.testing import CliRunner

from hwlearn.cli import app
from hwlearn.errors import RunError, SetupError
from hwlearn.lab.sweeps.table import StoredTable
from hwlearn.study import catalogue, intervals, page, running
from hwlearn.study.catalogue import STUDIES, find_study
from hwlearn.study.page import study_page
from hwlearn.study.rows import as_columns, from_columns, to_xarray
from hwlearn.study.running import read_result, run_study
from hwlearn.study.study import Finding, Study, StudyResult, StudyRow, Summary

COMMITTED = Path(__file__).parents[2] / "docs" / "study"
QUICK_NUMBERS = 5

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test


def _points(quick):
    return [{"x": x, "seed": seed} for x in (1.0, 2.0) for seed in range(2 if quick else 3)]


def _square(point):
    return {"y": point["x"] ** 2 + 0.1 * point["seed"]}


def _broken(point):
    if point["x"] > 1:
        raise ValueError("too large")
    return _square(point)


def _mean(rows):
    found = intervals.mean([row.result["y"] for row in rows])
    return Summary([Finding.of("mean", "the mean", found)])


def _answer(found):
    return f"It is {found['mean'].value:.1f}."


@pytest.fixture
def toy(monkeypatch):
    """A study of six points that takes no time."""
    study = Study("toy", "What is the mean?", "Squares.", _points, _square, _mean, _answer)
    for module in (running, page):
        monkeypatch.setattr(module, "find_study", lambda name: study)
    return study


@pytest.mark.parametrize("name", STUDIES)
def test_points_differ_and_quick_ones_are_points_of_the_full_study(name):
    study = find_study(name)
    full, quick = ({json.dumps(one, sort_keys=True) for one in study.points(part)} for part in (False, True))
    assert len(full) == len(study.points(False))
    assert quick < full


@pytest.mark.usefixtures("toy")
def test_result_is_stored_and_read_again(tmp_path):
    found = run_study("toy", tmp_path, workers=1)
    stored = read_result(tmp_path / "toy.json")
    assert stored == StudyResult.from_json(json.loads(json.dumps(found.as_json())))
    assert stored.points == 6
    assert stored.finding("mean").value == pytest.approx(np.mean([1, 1.1, 1.2, 4, 4.1, 4.2]))
    assert [row.result["y"] for row in from_columns(stored.rows)] == pytest.approx([1, 1.1, 1.2, 4, 4.1, 4.2])


@pytest.mark.usefixtures("toy")
def test_a_study_that_was_interrupted_computes_only_what_is_left(tmp_path, monkeypatch):
    seen = []

    def begin(counts):
        seen.append(counts["finished"])
        if len(seen) > 1:
            return None

        def stop(outcome):
            raise KeyboardInterrupt

        return stop

    with pytest.raises(KeyboardInterrupt):
        run_study("toy", tmp_path, workers=1, begin=begin)
    run_study("toy", tmp_path, workers=1, begin=begin)
    assert seen[0] == 0
    assert seen[1] >= 1
    assert all(row.attempts == 1 for row in StoredTable(tmp_path / "toy").rows() if row.number < seen[1])


@pytest.mark.usefixtures("toy")
def test_a_point_that_fails_is_named_and_nothing_is_concluded(tmp_path, monkeypatch):
    broken = Study("toy", "", "", _points, _broken, _mean, _answer)
    monkeypatch.setattr(running, "find_study", lambda name: broken)
    with pytest.raises(RunError, match=r"3 of 6 points could not be computed; the first: .*too large"):
        run_study("toy", tmp_path, workers=1)
    assert not (tmp_path / "toy.json").exists()


@pytest.mark.usefixtures("toy")
def test_a_folder_of_another_version_is_refused(tmp_path, monkeypatch):
    run_study("toy", tmp_path, workers=1)
    newer = Study("toy", "", "", _points, _square, _mean, _answer, version=2)
    monkeypatch.setattr(running, "find_study", lambda name: newer)
    with pytest.raises(RunError, match="is another one: version was 1, is now 2"):
        run_study("toy", tmp_path, workers=1)


@pytest.mark.usefixtures("toy")
def test_a_result_of_one_seed_is_json_for_strict_readers(tmp_path, monkeypatch):
    single = Study("toy", "", "", lambda quick: [{"x": 1.0, "seed": 0}], _square, _mean, _answer)
    monkeypatch.setattr(running, "find_study", lambda name: single)
    found = run_study("toy", tmp_path, workers=1)

    def refuse(name):
        raise AssertionError(name)

    text = (tmp_path / "toy.json").read_text()
    [stored] = json.loads(text, parse_constant=refuse)["summary"]["findings"]
    assert (stored["low"], stored["high"]) == (None, None)
    assert read_result(tmp_path / "toy.json").finding("mean").interval == found.finding("mean").interval


@pytest.mark.usefixtures("toy")
def test_a_result_of_another_version_is_refused(tmp_path, monkeypatch):
    run_study("toy", tmp_path, workers=1)
    newer = Study("toy", "", "", _points, _square, _mean, _answer, version=2)
    monkeypatch.setattr(running, "find_study", lambda name: newer)
    with pytest.raises(SetupError, match=r"version 1 of the study toy, which is now 2; compute it again"):
        read_result(tmp_path / "toy.json")


@pytest.mark.parametrize("text", ["[]", "{}", "3", '{"summary": {}}', "not json"])
def test_a_file_that_is_no_result_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SetupError, match="is no result of a study"):
        read_result(tmp_path / "x.json")


def test_unknown_study_is_refused_with_the_closest_name(tmp_path):
    with pytest.raises(SetupError, match=r"no study 'exactnes'.*exactness"):
        find_study("exactnes")
    assert set(catalogue.STUDIES) == {
        "exactness", "bias", "readout", "subset", "noise", "wires", "transistors", "paired", "energy", "tasks"
    }  # fmt: skip


@pytest.mark.parametrize("samples", [4, 12])
def test_intervals_of_means_cover_the_truth(samples):
    """Of 2,000 normal and log-normal samples, 95 % +- 1.5 % of the intervals hold the truth."""
    rng = np.random.default_rng(5)
    hits = {"mean": 0, "geometric": 0}
    for _ in range(2000):
        drawn = rng.normal(0.3, 1.0, samples)
        mean, geometric = intervals.mean(drawn), intervals.geometric_mean(np.exp(drawn))
        hits["mean"] += mean.low <= 0.3 <= mean.high
        hits["geometric"] += geometric.low <= np.exp(0.3) <= geometric.high
    assert all(abs(one / 2000 - 0.95) < 0.015 for one in hits.values()), hits


@pytest.mark.parametrize("samples", [6, 12, 25])
def test_intervals_of_medians_cover_the_truth_of_skewed_ratios(samples):
    rng, hits = np.random.default_rng(8), 0
    for _ in range(2000):
        ratios = np.exp(3 * rng.standard_cauchy(samples).clip(-60, 60))  # the median is 1, no mean is
        found = intervals.median_ratio(ratios.tolist(), [1.0] * samples)
        hits += found.low <= 1 <= found.high
    assert 0.94 <= hits / 2000 <= 0.985, hits
    few = intervals.median_ratio([1.0, 2.0, 9.0], [1.0, 1.0, 1.0])
    assert (few.value, few.low, few.high) == (2.0, -np.inf, np.inf)


def test_power_law_is_found():
    x = np.array([1.0, 2, 5, 10, 20])
    of = {b: dict(zip(x.tolist(), (3 * x**b).tolist(), strict=True)) for b in (-0.7, -0.5)}
    factor, power = intervals.power_law([of[-0.7], of[-0.5]])
    assert (factor.value, power.value, power.count) == pytest.approx((3, -0.6, 2))
    assert (power.low, power.high) == pytest.approx((-0.6 - 1.2706, -0.6 + 1.2706), abs=1e-3)
    for wrong in ([], [{1.0: 1.0, 2.0: 2.0}], [{1.0: 1.0, 2.0: 0.0, 3.0: 1.0}]):
        with pytest.raises(ValueError, match=r"no value|three places|positive"):
            intervals.power_law(wrong)


def test_intervals_of_exponents_hold_what_differs_between_networks():
    rng, places, hits = np.random.default_rng(2), np.array([0.003, 0.01, 0.03, 0.1]), 0
    for _ in range(600):
        curves = []
        for exponent in rng.normal(0.5, 0.3, 8):
            y = places**exponent * np.exp(rng.normal(0, 0.1, 4))
            curves.append(dict(zip(places.tolist(), y.tolist(), strict=True)))
        _, power = intervals.power_law(curves)
        hits += power.low <= 0.5 <= power.high
    assert abs(hits / 600 - 0.95) < 0.03, hits


@pytest.mark.usefixtures("toy")
def test_rows_become_xarray():
    pytest.importorskip("xarray")
    rows = [StudyRow(point, _square(point)) for point in _points(False)]
    data = to_xarray(as_columns(rows))
    assert data.sizes == {"point": 6}
    assert data["y"].where(data["x"] == 2.0, drop=True).to_numpy() == pytest.approx([4, 4.1, 4.2])


@pytest.mark.usefixtures("toy")
def test_the_page_has_the_numbers_of_the_results(tmp_path):
    result = run_study("toy", tmp_path, workers=1)
    (tmp_path / "toy.json").rename(tmp_path / "exactness.json")
    text = study_page(tmp_path, tmp_path / "study.md")
    assert f"{result.finding('mean').value:.3g}" in text
    assert "- **What is the mean?** It is 2.6." in text
    assert "What did not hold" not in text


@pytest.mark.usefixtures("toy")
def test_versions_are_those_that_computed_the_points(tmp_path, monkeypatch):
    computed = run_study("toy", tmp_path, workers=1).versions
    monkeypatch.setattr("hwlearn.lab.runs.provenance.package_versions", lambda: {"hwlearn": "9.9"})
    monkeypatch.setattr("hwlearn.lab.sweeps.table.session_facts", lambda: {"versions": {"hwlearn": "9.9"}})
    again = run_study("toy", tmp_path, workers=1).versions
    assert again["hwlearn"].split(", ")[0] == computed["hwlearn"]


def test_a_folder_without_results_has_no_page_and_none_is_overwritten(tmp_path):
    (tmp_path / "page.md").write_text("mine")
    ran = CliRunner().invoke(app, ["study", "-o", str(tmp_path / "empty"), "--page", str(tmp_path / "page.md")])
    assert ran.exit_code == 1
    assert "has no results of studies" in ran.output
    assert (tmp_path / "page.md").read_text() == "mine"
    ran = CliRunner().invoke(app, ["study", "bias", "--quick", "--page", "q.md", "-o", str(tmp_path / "empty")])
    assert ran.exit_code == 2
    assert not (tmp_path / "empty").exists(), "nothing was computed"


@pytest.mark.usefixtures("toy")
def test_results_of_earlier_versions_are_left_out_of_the_page_and_named(tmp_path, monkeypatch):
    for name, version in (("exactness", 1), ("bias", 2)):
        study = Study(name, f"What of {name}?", "Squares.", _points, _square, _mean, _answer, version=version)
        monkeypatch.setattr(running, "find_study", lambda _, study=study: study)
        run_study(name, tmp_path, workers=1)
    now = Study("exactness", "What of exactness?", "Squares.", _points, _square, _mean, _answer, version=1)
    monkeypatch.setattr(page, "find_study", lambda _: now)
    text = study_page(tmp_path, tmp_path / "study.md")
    assert "What of exactness?" in text
    assert "What of bias?" not in text
    assert "Not computed in full now: bias, readout" in text


def test_a_study_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    whole = Study("bias", "What is the mean?", "Squares.", _points, _square, _mean, _answer)
    broken = Study("exactness", "", "", _points, _broken, _mean, _answer)
    for module in (running, page, catalogue):
        monkeypatch.setattr(module, "find_study", {"bias": whole, "exactness": broken}.__getitem__)
    ran = CliRunner().invoke(app, ["study", "exactness", "bias", "-o", str(tmp_path), "--workers", "1"])
    assert ran.exit_code == 1
    assert "3 of 6 points could not be computed" in ran.output
    assert "1 of 2 studies failed" in ran.output
    assert (tmp_path / "bias.json").is_file()
    assert "What is the mean?" in (tmp_path / "study.md").read_text()


def test_the_committed_page_is_that_of_the_committed_results():
    text = study_page(COMMITTED, COMMITTED.with_suffix(".md"))
    assert "Not computed in full" not in text
    assert text == COMMITTED.with_suffix(".md").read_text(encoding="utf-8")


def test_command_lists_and_computes(tmp_path):
    listed = CliRunner().invoke(app, ["study", "--json"])
    assert [json.loads(line)["study"] for line in listed.output.splitlines()] == list(STUDIES)
    written = CliRunner().invoke(app, ["study", "-o", str(COMMITTED), "--page", str(tmp_path / "study.md")])
    assert written.exit_code == 0
    (tmp_path / "study.md").unlink()
    refused = CliRunner().invoke(app, ["study", "exact", "-o", str(tmp_path)])
    assert refused.exit_code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_quick_studies_repeat_committed_numbers(tmp_path):
    """Numbers of quick studies against those of the full ones that docs/study.md reports."""
    committed = {name: COMMITTED / f"{name}.json" for name in ("exactness", "bias", "noise", "readout")}
    missing = [name for name, file in committed.items() if not file.is_file()]
    assert not missing, f"no committed result of {', '.join(missing)}"
    compared = 0
    for name, file in committed.items():
        full, quick = read_result(file), run_study(name, tmp_path, quick=True, workers=2)
        for one in quick.summary.findings:
            if one.name not in {other.name for other in full.summary.findings}:
                continue
            other = full.finding(one.name)
            assert one.interval.meets(other.interval), (name, one, other)
            compared += 1
    assert compared >= QUICK_NUMBERS


def test_quick_study_from_the_command_line_prints_its_findings(tmp_path):
    run = CliRunner().invoke(app, ["study", "bias", "--quick", "--workers", "1", "-o", str(tmp_path)])
    assert run.exit_code == 0, run.output
    assert "How far are the contrasts of EP and CL from the gradient?" in run.output
    again = CliRunner().invoke(app, ["study", "bias", "--quick", "--json", "-o", str(tmp_path)])
    facts = json.loads(again.output.splitlines()[-1])
    assert (facts["study"], facts["points"]) == ("bias", 60)
    assert (tmp_path / "bias-quick.svg").is_file()
