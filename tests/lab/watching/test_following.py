"""A run is followed in bounded time, while it grows and after a kill; its views are those of the whole run."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from stored_runs import recorded

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.runs.database import create_database
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run
from hwlearn.lab.watching.choice import FixedRun, chosen_run
from hwlearn.lab.watching.follower import RunFollower
from hwlearn.lab.watching.layout import edge_cells, network_places
from hwlearn.lab.watching.thinning import ThinnedRows


def followed(run):
    follower = RunFollower(FixedRun(run))
    follower.poll()
    assert not follower.error
    return follower


class Watcher(hl.Callback):
    """Follows a run from within its training, after each update and each epoch."""

    def __init__(self, run):
        self.follower, self.seen = RunFollower(FixedRun(run)), []

    def on_step(self, step):
        self.follower.poll()
        self.seen.append((self.follower.view.condition.phase, self.follower.view.steps))

    def on_epoch(self, epoch):
        self.follower.poll()
        assert self.follower.view.epochs[-1].measured["train"] == epoch.train


def test_view_grows_with_the_run_and_ends_as_one_that_is_read_at_once(bench_path, tmp_path, monkeypatch):
    monkeypatch.setattr("hwlearn.lab.watching.follower._SHARE", 0)  # read as often as it is asked for
    bench = hl.open_bench(bench_path)
    run = Run.create(bench, tmp_path / "runs")
    watcher = Watcher(run)
    with bench, RunRecorder(run, bench) as recorder:
        bench.train([recorder, watcher])
        assert watcher.seen == [("running", k + 1) for k in range(10)]
    watcher.follower.poll()
    grown, whole = watcher.follower.view, followed(run).view
    assert grown.condition == whole.condition
    assert whole.condition.phase == "finished"
    assert [epoch.measured["train"] for epoch in whole.epochs] == [epoch.train for epoch in run.epochs()]
    assert [epoch.true for epoch in whole.epochs] == run.true_scores()
    for view in (grown, whole):
        np.testing.assert_array_equal(view.costs[:, 1], run.batch_costs())
        np.testing.assert_array_equal(view.values, run.values())
        assert sorted(view.readings) == list(range(6))
        last = run.readings(9)
        for place, row in enumerate(last["samples"].tolist()):
            np.testing.assert_array_equal(view.readings[row].outputs, last["outputs"][place])
    # the targets are those that the rms error of the run was computed with: the last epoch has every sample once
    found = whole.prediction
    rms = float(np.sqrt(((found.scored - found.targets) ** 2).mean()))
    assert rms == pytest.approx(run.epochs()[-1].train.rms_error_V, rel=1e-12)
    version = watcher.follower.version
    assert watcher.follower.poll() == version  # nothing has changed


def test_drops_of_a_sample_obey_the_circuit_and_end_at_the_measured_outputs(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path), tmp_path)  # an ideal twin: the model is exact
    follower = followed(run)
    view = follower.view
    for row, reading in view.readings.items():
        sample, topology = follower.sample(row), view.definition.topology
        np.testing.assert_allclose(sample.voltages[topology.outputs], reading.outputs, rtol=0, atol=1e-9)
        before = run.values(reading.step - 1) if reading.step else None
        ends = sample.voltages[topology.edges]
        np.testing.assert_array_equal(sample.drops, ends[:, 0] - ends[:, 1])
        if before is not None:  # Kirchhoff's law at every node that is not driven
            current = np.zeros(topology.n_nodes)
            np.add.at(current, topology.edges[:, 0], before * sample.drops)
            np.add.at(current, topology.edges[:, 1], -before * sample.drops)
            free = np.setdiff1d(np.arange(topology.n_nodes), topology.driven)
            assert np.abs(current[free]).max() < 1e-9 * np.abs(before * sample.drops).max()
    assert follower.sample(6) is None


@pytest.mark.parametrize(
    ("facts", "instruments", "phase", "outputs"),
    [
        ({"status": "running"}, [], "killed", "none"),
        ({"status": "running", "backend": "sim"}, None, "killed", "none"),
        ({"status": "running", "outputs": "on"}, ["SMU"], "killed", "may be on"),
        ({"status": "finished", "outputs": "off"}, ["SMU"], "finished", "off"),
        ({"status": "finished", "outputs": "on"}, ["SMU"], "finished", "may be on"),
        ({"status": "finished"}, None, "finished", "may be on"),
        ({"status": "interrupted", "outputs": "off"}, ["SMU"], "stopped", "off"),
        ({"status": "failed: cable", "outputs": "off"}, ["SMU"], "failed", "off"),
        ({"status": "failed: OUTPUTS MAY BE ON: cable", "outputs": "off"}, ["SMU"], "failed", "may be on"),
        ({"status": "running", "outputs": "on", "host": "bench7"}, ["SMU"], "unknown", "may be on"),
        ({"status": "finished", "outputs": "on", "dry_run": True}, ["SMU"], "finished", "none"),
    ],
)
def test_outputs_count_as_on_unless_the_run_proves_otherwise(
    bench_path, tmp_path, facts, instruments, phase, outputs
):
    run = recorded(hl.open_bench(bench_path), tmp_path, stop=2)
    host = facts.pop("host", None)
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as db, db:
        db.execute("DELETE FROM meta WHERE key = 'outputs'")
        more = "json_set(facts, '$.host', coalesce(?, json_extract(facts, '$.host')))"
        db.execute(f"UPDATE sessions SET facts = json_set({more}, '$.instruments', json(?))",
                   (host, "null" if instruments is None else str(instruments).replace("'", '"')))  # fmt: skip
    run.set_meta(**{"backend": "smu"} | facts)
    condition = followed(run).view.condition
    assert (condition.phase, condition.outputs, condition.alive) == (phase, outputs, False)


def test_run_on_instruments_records_that_outputs_were_switched_off(bench_path, tmp_path, monkeypatch):
    monkeypatch.setattr("hwlearn_sim.twin.twin.KirchhoffTwin.instruments", ("a virtual instrument",))
    bench = hl.open_bench(bench_path)
    run = Run.create(bench, tmp_path / "runs")
    run.set_meta(backend="smu")
    with bench, RunRecorder(run, bench) as recorder:
        bench.train([recorder])
        assert followed(run).view.condition.outputs == "on"
    assert followed(run).view.condition.outputs == "may be on"  # a script need not have closed the bench


def test_saturated_readings_are_recorded_and_counted(write, bench_text, tmp_path):
    flaws = 'kind = "sim"\nadc_bits = 8\nadc_range = "60 mV"'
    bench = hl.open_bench(write(bench_text.replace('kind = "sim"', flaws)))
    run = recorded(bench, tmp_path)
    marked = 0
    for step in range(run.steps()):
        read = run.readings(step)
        for phase in ("free", "plus", "minus"):
            volts = read[f"{phase}_voltages"]
            ends = (volts >= 0.06 * (1 - 2**-7)) | (volts <= -0.06)
            np.testing.assert_array_equal(read.get(f"{phase}_saturated", np.zeros_like(ends)), ends)
            marked += ends.sum()
    assert marked
    with run.contents() as contents:
        assert contents.variable("free_saturated").unit == "1"
    view = followed(run).view
    for row, reading in view.readings.items():
        read = run.readings(reading.step)
        place = read["samples"].tolist().index(row)
        marks = [read[name][place].sum() for name in read if name.endswith("_saturated")]
        assert reading.saturated == sum(marks)


def test_cost_of_a_read_does_not_grow_with_the_run(tmp_path):
    """Counted in instructions of SQLite's virtual machine, which do not depend on the computer."""
    counts, kept = {}, {}
    for batches in (10_000, 160_000):
        create_database(tmp_path, {}, {})
        with closing(sqlite3.connect(tmp_path / "run.sqlite", isolation_level=None)) as db:
            db.execute("PRAGMA synchronous=OFF")
            rows = "WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < ?) "
            db.execute(f"INSERT INTO batches {rows}SELECT k, k / 10, k, k * 0.5, 0, 1, 0, 0, x'00' FROM n",
                       (batches - 1,))  # fmt: skip
            thinned, done = ThinnedRows("batches"), []
            db.set_progress_handler(lambda done=done: done.append(1) and None, 10)
            thinned.read(db)
            counts[batches] = len(done)
            db.set_progress_handler(None, 0)
            kept[batches] = len(thinned.rows)
            assert list(thinned.rows)[:-1] == list(range(0, batches, thinned.stride))[: kept[batches] - 1]
            assert all(row == (k // 10, k, k * 0.5, 0) for k, row in thinned.rows.items())
            assert thinned.last in thinned.rows
        (tmp_path / "run.sqlite").unlink()
    assert kept[160_000] <= 1002
    assert counts[160_000] < 1.6 * counts[10_000]


def test_bench_is_followed_before_its_run_begins_and_to_the_run_that_is_running(bench_path, tmp_path):
    runs = tmp_path / "runs"
    chosen = chosen_run(str(bench_path), runs)
    follower = RunFollower(chosen)
    assert follower.poll() == 0
    assert follower.view is None
    assert not follower.error
    first = recorded(hl.open_bench(bench_path), runs)
    other = hl.open_bench(bench_path).with_(train__seed=3)
    running = Run.create(other, runs)
    assert chosen.current().folder == running.folder  # the newest
    third = Run.create(other, runs)
    with other, RunRecorder(running, other):
        assert chosen.current().folder == running.folder  # the one that runs
    assert chosen.current().folder == max(first.folder, running.folder, third.folder)
    assert chosen_run(first.name, runs).current().folder == first.folder


@pytest.mark.parametrize("wrong", ["nothing-of-this-name", "", "runs/20200101"])
def test_neither_run_nor_bench_is_refused_in_one_line(tmp_path, wrong):
    with pytest.raises(RunError, match=r"^[^\n]*not a bench either"):
        chosen_run(wrong, tmp_path)


def test_damaged_run_is_an_error_of_the_view_and_not_an_exception(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path), tmp_path)
    with closing(sqlite3.connect(run.folder / "run.sqlite")) as db, db:
        db.execute("UPDATE batches SET checksum = checksum + 1 WHERE step = 9")
    follower = RunFollower(FixedRun(run))
    follower.poll()
    assert follower.view is None
    assert "damaged" in follower.error


def test_run_without_readings_and_run_without_its_data_are_shown_as_far_as_they_go(write, tmp_path, bench_text):
    (tmp_path / "data.csv").write_text("a,b,c,d,x,y,z\n" + "0.1,0.2,0.1,-0.1,0.01,0.02,0.03\n" * 6, "utf-8")
    data = 'source = "data.csv"\ntarget_columns = ["x", "y", "z"]\nencoding = "plain"'
    text = bench_text.replace('source = "teacher"\nsamples = 6\namplitude = "400 mV"', data)
    run = recorded(hl.open_bench(write(text + '\n[run]\nkeep = "summary"\n')), tmp_path)
    view = followed(run).view
    assert view.readings == {}
    assert not view.readings_kept
    assert view.prediction is None
    run = recorded(hl.open_bench(write(text)), tmp_path)
    (tmp_path / "data.csv").unlink()
    assert followed(run).view.prediction is not None  # the run has a copy
    for path in (run.folder / "files").iterdir():
        path.unlink()
    follower = followed(run)
    assert follower.view.prediction is None
    assert "data.csv" in follower.view.definition.missing
    assert follower.sample(0).voltages is None


@pytest.mark.parametrize(
    ("topology", "drawn"),
    [
        (hl.Topology.crossbar(6, 5, inputs=range(4), outputs=[0, 1]), True),
        (hl.Topology.grid(5, 4, inputs=[0, 3], outputs=[16]), True),
        (hl.Topology.random(14, 30, inputs=4, outputs=3, seed=5), True),
        (hl.Topology.crossbar(64, 200, inputs=range(40), outputs=[0]), False),
        (hl.Topology.random(400, 2000, inputs=4, outputs=3, seed=5), False),
    ],
    ids=["crossbar", "lattice", "random", "large crossbar", "large graph"],
)
def test_networks_have_places_of_their_own_or_bounded_heat_maps(topology, drawn):
    places = network_places(topology)
    assert (places is not None) is drawn
    if places is not None:
        np.testing.assert_array_equal(places.nodes, network_places(topology).nodes)
        assert len(np.unique(places.nodes.round(6), axis=0)) == topology.n_nodes
    cells, numbers = edge_cells(topology), np.arange(topology.n_edges, dtype=float)
    means = cells.mean(numbers)
    assert len(means) <= 4000
    assert cells.rows * cells.columns <= 4000
    weights = np.bincount(cells.cells[:, 0] * cells.columns + cells.cells[:, 1])
    total = sum(mean * weights[row * cells.columns + column] for row, column, mean, _ in means)
    assert total == pytest.approx(numbers.sum())  # every edge is in one cell
