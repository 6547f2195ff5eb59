"""What a run keeps of each step, and how large it becomes."""

import pytest
from combinations import pairwise
from stored_runs import everything, recorded

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.runs.forecast import forecast_size
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import draw_run
from hwlearn.lab.runs.store import Run


@pytest.mark.slow
def test_rows_of_small_networks_are_little_more_than_their_numbers(bench_text, tmp_path):
    """A step of nine edges took 5.7 kB; every second one has the health and energy of an epoch, 1.4 kB."""
    path = tmp_path / "nine.toml"
    network = (
        '[network]\nkind = "crossbar"\nrows = 3\ncolumns = 3\ninputs = [0, 1]\noutputs = [0, 1]\nground = 2\n'
    )
    path.write_text(network + bench_text[bench_text.index("[limits]") :], encoding="utf-8")
    sizes = []
    for epochs in (20, 80):
        run = recorded(hl.open_bench(path, [f"train.epochs={epochs}", "train.batch=3"]), tmp_path / "runs")
        sizes.append((run.folder / "run.sqlite").stat().st_size)
        assert run.steps() == 2 * epochs
    assert (sizes[1] - sizes[0]) / 120 < 1900


KEPT = {
    "all": {"samples", "outputs", "costs", "plus_voltages", "strength"},
    "outputs": {"samples", "outputs", "costs"},
}


@pytest.mark.share(1)
@pairwise(1, keep=["all", "outputs", "summary"], conductances=["steps", "epochs"])
def test_what_is_kept_of_each_step_is_chosen_and_a_resumed_run_is_the_same(
    bench_path, tmp_path, keep, conductances
):
    changes = [f"run.keep={keep}", f"run.conductances={conductances}", "train.keep=best", "train.epochs=6"]
    whole = recorded(hl.open_bench(bench_path, changes), tmp_path)
    for stop in (1, 2, 7):
        run = recorded(hl.open_bench(bench_path, changes), tmp_path, stop)
        with run.bench() as bench, RunRecorder(run, bench) as recorder:
            bench.train([recorder], run.progress())
        mine, theirs = everything(run), everything(whole)
        assert mine["rows"] == theirs["rows"]
        assert [epoch.train for epoch in mine["epochs"]] == [epoch.train for epoch in theirs["epochs"]]
    assert set(whole.readings(4)) >= KEPT.get(keep, set())
    assert ("plus_voltages" in whole.readings(4)) == (keep == "all")
    assert len(whole.batch_costs()) == 12
    with whole.contents() as contents:
        assert contents.kept_steps() == list(range(12) if conductances == "steps" else range(1, 12, 2))
    if conductances == "epochs":
        with pytest.raises(RunError, match=r"last step of each epoch only; .* to 6 is [57]"):
            whole.conductances(6)
    assert draw_run(whole).is_file()


SIZES = {
    "iris": ("iris", ["train.epochs=20"]),
    "regression": ("regression", ["train.epochs=150"]),
    "outputs only": ("iris", ["train.epochs=40", "run.keep=outputs"]),
    "epochs": ("iris", ["train.epochs=40", "run.conductances=epochs"]),
    "analytic": ("iris", ["train.epochs=40", "train.rule=analytic"]),
    "large": ("digits", ["train.epochs=3", "data.test_fraction=0.8"]),
}


@pytest.mark.share(1)
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(changed, id=name, marks=() if name in ("iris", "epochs") else pytest.mark.slow)
        for name, changed in SIZES.items()
    ],
)
def test_size_is_forecast_within_20_percent(changed, tmp_path):
    bench = hl.open_bench(*changed)
    run = Run.create(bench, tmp_path)
    with bench, RunRecorder(run, bench) as recorder:
        forecast = forecast_size(bench, run.folder)
        bench.train([recorder])
    draw_run(run)
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    assert abs(forecast.total / size - 1) < 0.2, (forecast, size)
    assert forecast.fits
    assert "MB" in forecast.text() or "kB" in forecast.text()


@pytest.mark.slow
def test_readings_of_a_resumed_part_only_count_in_its_forecast(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path, ["train.epochs=100"]), tmp_path, 150)
    with run.bench() as bench:
        rest = forecast_size(bench, run.folder, run.steps())
        whole = forecast_size(bench, run.folder)
    assert rest.more < 0.4 * whole.more
