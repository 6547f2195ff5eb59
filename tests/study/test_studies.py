"""Every study from its points to its summary, with few steps of training: findings, tables and charts."""

import json
import math

import pytest

from hwlearn.errors import SetupError
from hwlearn.study import training
from hwlearn.study.catalogue import STUDIES, find_study
from hwlearn.study.charts import chart_svg
from hwlearn.study.page import study_page
from hwlearn.study.rows import as_columns, from_columns
from hwlearn.study.studies import replica, tasks
from hwlearn.study.study import StudyResult, StudyRow

SHARE = {
    "exactness": lambda p: p["size"] in (8, 24) and p["seed"] < 2,
    "bias": lambda p: p["seed"] < 2,
    "readout": lambda p: p["seed"] < 2 and (p["device_error"], p["adc_bits"]) == (0.2, 12) and p["noise_V"] < 2e-3,
    "subset": lambda p: p["seed"] < 2 and (p["spare"] == 5 or (p["spare"] < 3 and p["rule"] == "analytic")),
    "noise": lambda p: p["seed"] < 2,
    "wires": lambda p: (
        p["seed"] < 2 and (p["lines"], p["wire_ohm"]) in ((8, 10.0), (16, 2.0), (16, 10.0), (32, 10.0))
    ),
    "transistors": lambda p: (
        p["seed"] < 2 and p["lines"] == 8 and p["device_error"] == 0.2 and p["noise_V"] < 2e-3
    ),
    "paired": lambda p: p["seed"] < 2,
    "energy": lambda p: p["bench"] in ("regression", "iris", "iris-pulsed") and p["seed"] < 2,
    "tasks": lambda p: p["seed"] < 2 and (p["task"] in ("iris", "xor-nmos", "sequence") or p.get("edges") == 40),
}
"""Points that are computed here, so that each kind of finding occurs."""

EMPTY = {"findings": [], "tables": [], "charts": [], "remarks": []}


@pytest.fixture
def few_steps(monkeypatch):
    """Trainings of some steps."""
    monkeypatch.setattr(training, "STEPS", 3)
    monkeypatch.setattr(replica, "STEPS", 3)
    short = {"train.epochs": 2, "train.keep": "last"}
    for study in ("energy", "tasks"):
        module = find_study(study).run.__globals__
        trained = module["trained_bench"]
        monkeypatch.setitem(
            module,
            "trained_bench",
            lambda name, seed, changes=None, trained=trained: trained(name, seed, {**(changes or {}), **short}),
        )


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", STUDIES)
def test_study_goes_from_points_to_findings(name, tmp_path):
    study = find_study(name)
    rows = [StudyRow(point, study.run(point)) for point in study.points(False) if SHARE[name](point)]
    assert len(rows) >= 4
    summary = study.summarise(rows)
    names = [one.name for one in summary.findings]
    assert len(names) == len(set(names)) >= 2
    assert all(math.isfinite(one.value) and one.low <= one.high for one in summary.findings)
    assert all(one.low <= one.value <= one.high for one in summary.findings if one.basis.endswith("samples"))
    for table in summary.tables:
        assert all(len(cells) == len(table.columns) for cells in table.rows), table.title
    for chart in summary.charts:
        assert all(len(line.x) == len(line.y) == len(line.low) == len(line.high) > 0 for line in chart.lines)
        svg = chart_svg(chart)
        assert svg == chart_svg(chart)
        assert "<script" not in svg
    stored = from_columns(as_columns(rows))
    again = study.summarise(stored)
    assert [one.verdict for one in again.findings] == [one.verdict for one in summary.findings]
    result = StudyResult(name, study.version, False, study.question, study.method, len(rows), 0, 1.0, {}, summary)
    (tmp_path / f"{name}.json").write_text(json.dumps(result.as_json()), encoding="utf-8")
    text = study_page(tmp_path, tmp_path / "study.md")
    assert study.question in text
    assert all(one.title in text for one in summary.charts)
    (tmp_path / f"{name}.json").write_text(json.dumps({**result.as_json(), "summary": EMPTY}), encoding="utf-8")
    with pytest.raises(SetupError, match=f"study {name} lacks findings .* hwlearn study {name}"):
        study_page(tmp_path, tmp_path / "study.md")


def test_tasks_one_after_the_other_are_of_one_network():
    first, second = (tasks._task(3, 80, which) for which in (0, 1))
    assert first.topology.fingerprint == second.topology.fingerprint
    assert (first.inputs != second.inputs).any()
