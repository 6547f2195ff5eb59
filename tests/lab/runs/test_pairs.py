"""Runs that score differences of outputs: what they store, their reports, and resuming them."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from interruptions import interrupted_run, new_run, train_part, unequal_rows
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from noisy_benches import write_bench
from stored_runs import recorded

import hwlearn as hl
from hwlearn.lab.runs.figures.run_figure import draw_learning_curve
from hwlearn.lab.runs.inputs import changed_settings
from hwlearn.lab.runs.report import draw_run
from hwlearn.lab.runs.store import Run

PAIRS = {"data.output_pairs": [["n11", "n13"], [1, 2]]}


def score_label(run):
    """Return the label of the axis of scores in a learning curve."""
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw_learning_curve(axes, run)
    return next(one for one in figure.axes if one is not axes).get_ylabel()


def test_scores_of_a_run_follow_from_its_stored_outputs_and_pairs(bench_path, tmp_path):
    """Whoever reads the database can repeat every score: outputs, pairs and the unit are in it."""
    run = recorded(hl.open_bench(bench_path, PAIRS | {"train.batch": 6, "backend.read_noise": "1 mV"}), tmp_path)
    targets, pairs = run.bench().data.targets, np.array(run.meta("output_pairs"))
    assert pairs.tolist() == [[0, 2], [1, 2]]
    assert run.meta("cost") == "MSE"
    for epoch in run.epochs():
        stored = run.readings(epoch.number)
        volts = stored["outputs"]
        missed = volts[:, pairs[:, 0]] - volts[:, pairs[:, 1]] - targets[stored["samples"]]
        assert epoch.train.rms_error_V == pytest.approx(np.sqrt((missed**2).mean()), rel=1e-12)


def test_report_of_a_killed_run_names_differences(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path, PAIRS), tmp_path, 5)
    assert score_label(run) == "rms error of differences (mV)"
    bench_path.unlink()
    (run.folder / "bench.toml").unlink()  # only the database is read
    assert draw_run(run).read_bytes().startswith(b"\x89PNG")


def test_run_of_an_earlier_version_has_no_pairs(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path), tmp_path, 5)
    assert run.meta("output_pairs") is None
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as db, db:
        assert db.execute("DELETE FROM meta WHERE key = 'output_pairs'").rowcount == 1
    assert score_label(run) == "rms error (mV)"
    assert draw_run(run).read_bytes().startswith(b"\x89PNG")
    assert train_part(run)["measurements"] > 0


@pytest.mark.parametrize(
    ("backend", "kills"),
    [
        ("sim drift", [(5, True), (11, False)]),
        pytest.param("board", [(7, True)], marks=pytest.mark.slow),
        pytest.param("2612B", [(12, False)], marks=pytest.mark.slow),
    ],
)
def test_resumed_run_equals_uninterrupted_run(backend, kills, tmp_path):
    path = write_bench(tmp_path, backend, data='output_pairs = "consecutive"', keep="best")
    whole, resumed = new_run(path, tmp_path / "runs"), new_run(path, tmp_path / "runs")
    assert whole.meta("output_pairs") == [[0, 1]]
    result = train_part(whole)
    assert interrupted_run(resumed, kills) == result
    assert unequal_rows(whole, resumed) == []


def test_changed_pairs_are_a_change_of_the_run(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path, PAIRS), tmp_path, 5)
    assert Run.open(run.folder).bench().data.pairs.pairs == ((0, 2), (1, 2))  # as stored
    changed = run.folder / "bench.toml"
    changed.write_text(changed.read_text(encoding="utf-8").replace('"n13"', '"n12"'), encoding="utf-8")
    assert run.bench().data.pairs.pairs == ((0, 2), (1, 2))
    assert [line for line in changed_settings(run.meta("settings"), changed) if "data.output_pairs" in line]


def test_old_settings_are_stored_as_before(bench_path):
    """A bench without pairs has the text that it had before there were pairs."""
    assert "output_pairs" not in hl.open_bench(bench_path).text()
    assert 'output_pairs = [["n11", "n13"], [1, 2]]' in hl.open_bench(bench_path, PAIRS).text()
    assert json.dumps(hl.open_bench(bench_path, PAIRS).file.data.output_pairs) == '[["n11", "n13"], [1, 2]]'
