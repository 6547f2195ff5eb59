"""`hl.sweep`: rows, data and figures of a sweep."""

import csv

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.sweeps.definition import define
from hwlearn.lab.sweeps.running import SweepOptions, finished, run_points
from hwlearn.lab.sweeps.table import PointTable


@pytest.fixture(scope="module")
def swept(bench_text, tmp_path_factory):
    """A sweep of two axes and two seeds, run in this process."""
    tmp_path = tmp_path_factory.mktemp("sweep")
    bench = tmp_path / "small.toml"
    bench.write_text(bench_text.replace("epochs = 5", "epochs = 2"), encoding="utf-8")
    definition = define(bench, (), {"train.rate": [0.05, 0.1, 0.2], "train.batch": [3, 6]}, 2)
    with PointTable(tmp_path / "s", definition.facts(), definition.points()) as table:
        run_points(definition, table, SweepOptions(hardware=True))
    return finished(tmp_path / "s")


def test_rows_are_what_a_training_with_the_same_keys_gives(swept, small):
    frame = swept.to_pandas()
    assert (frame.status == "finished").all()
    assert len(frame) == 12
    row = frame[(frame["train.rate"] == 0.1) & (frame["train.batch"] == 3) & (frame.seed == 1)].iloc[0]
    with hl.open_bench(small, {"train.rate": 0.1, "train.batch": 3, "train.seed": 1, "backend.seed": 1}) as bench:
        history = bench.train(record=False)
        result = bench.evaluate()
    assert (row.rms_error_V, row.true_cost) == (result.measured.rms_error_V, result.true.cost)
    curve = swept.to_pandas("curves").loc[row.name].train_cost
    assert curve.tolist() == [epoch.train.cost for epoch in history.epochs]
    with swept.bench(row.name) as again:
        assert again.train().epochs[-1].train == history.epochs[-1].train


def test_arrays_have_a_dimension_for_each_key(swept):
    data, frame = swept.to_xarray(), swept.to_pandas()
    assert dict(data.rms_error_V.sizes) == {"train.rate": 3, "train.batch": 2, "seed": 2}
    one = data.sel({"train.rate": 0.2, "train.batch": 6, "seed": 0})
    assert float(one.rms_error_V) == frame.loc[int(one.point)].rms_error_V
    assert data.rms_error_V.attrs["units"] == "V"
    assert data.train_cost_by_epoch.sizes["epoch"] == 2


def test_table_file_has_every_number_exactly(swept):
    with swept.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["rms_error_V"]) for row in rows] == swept.to_pandas().rms_error_V.tolist()
    pandas = pytest.importorskip("pandas")
    file = swept.export(swept.folder / "t.parquet")
    assert pandas.read_parquet(file).equals(swept.to_pandas())


def test_figures_draw_the_means_over_seeds(swept):
    axes = swept.plot().axes[0]
    (line,) = [line for line in axes.lines if line.get_label() == "train.batch = 3"]
    frame = swept.to_pandas()
    wanted = frame[frame["train.batch"] == 3].groupby("train.rate").rms_error_V.mean()
    np.testing.assert_allclose(line.get_ydata(), wanted, rtol=1e-12)
    assert (swept.folder / "sweep.svg").is_file()
    with pytest.raises(RunError, match="did you mean 'rms_error_V'"):
        swept.plot("rms_eror_V")
    with pytest.raises(RunError, match=r"has train\.rate = 0\.3; its values are: 0\.05, 0\.1, 0\.2$"):
        swept.plot(where={"train.rate": 0.3})
    with pytest.raises(RunError, match=r"has seed = 7; its values are: 0, 1$"):
        swept.plot(where={"seed": 7})
    with pytest.raises(RunError, match=r"no axis 'train\.rat', did you mean 'train\.rate'"):
        swept.plot(where={"train.rat": 0.1})


def test_kept_runs_are_named_in_the_table(small, tmp_path):
    definition = define(small, (), {"train.rate": [0.1]}, None, tmp_path / "s" / "runs")
    with PointTable(tmp_path / "s", definition.facts(), definition.points()) as table:
        run_points(definition, table, SweepOptions(hardware=True))
    row = hl.open_sweep(tmp_path / "s").rows()[0]
    run = hl.open_run(tmp_path / "s" / "runs" / row.result["run"])
    assert run.status == "finished"
    assert run.epochs()[-1].train.cost == row.result["curves"]["train_cost"][-1]
