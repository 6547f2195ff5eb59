"""A run as labelled arrays and tables: equal to the store, read in parts, also killed and while written."""

import signal
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from stored_runs import recorded

import hwlearn as hl
from hwlearn.errors import RunError, SetupError
from hwlearn.lab.runs import contents as stored_contents
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run

pd = pytest.importorskip("pandas", reason="the extra `data` is not installed")
xr = pytest.importorskip("xarray", reason="the extra `data` is not installed")

CHILD = """
import os, signal, sys
import hwlearn as hl
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.store import Run

class Events(hl.Callback):
    def on_gradient(self, epoch, number, samples, gradient):
        print(number, flush=True)
        if number == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

run = Run.open(sys.argv[1])
with run.bench() as bench, RunRecorder(run, bench) as recorder:
    bench.train([recorder, Events()], run.progress())
"""


def trained_elsewhere(bench, runs, last=10**9):
    """Return a run that another process writes until it kills itself in a step, and the process."""
    run = Run.create(bench, runs)
    command = [sys.executable, "-c", CHILD, str(run.folder), str(last)]
    return run, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """A run with batches of 30, 30 and 15 samples, validation rows and classes."""
    bench = hl.open_bench("iris", ["train.epochs=3", "data.validation_fraction=0.2"])
    return recorded(bench, tmp_path_factory.mktemp("runs"))


def assert_equal_to_store(data, run):
    """Check every array of every step against the readings and conductances that the store returns."""
    for k, step in enumerate(data.step.values.tolist()):
        readings = run.readings(step)
        samples = int(data.kept_samples[k])
        for name, array in readings.items():
            assert data[name].dtype == array.dtype
            np.testing.assert_array_equal(data[name].values[k, :samples], array)
    for k, step in enumerate(data.kept_step.values.tolist()):
        np.testing.assert_array_equal(data["requested"].values[k], run.conductances(step))


def test_dataset_has_all_readings_with_units_and_provenance(uneven):
    data = hl.open_run(uneven.folder).to_xarray()
    assert dict(data.sizes) == {
        "step": 9,
        "sample": 30,
        "output": 3,
        "kept_step": 9,
        "edge": 154,
        "epoch": 3,
        "end": 2,
        "input": 10,
        "fixed_edge": 0,
    }
    assert data.free_voltages.dims == ("step", "sample", "output")
    assert data.gradient.dims == ("kept_step", "edge")
    assert data.kept_samples.values.tolist() == 3 * [30, 30, 15]
    assert_equal_to_store(data, uneven)
    # what fills the places of samples that a small batch does not have
    assert np.isnan(data.free_voltages.values[2, 15:]).all()
    assert (data.samples.values[2, 15:] == -1).all()
    units = {name: data[name].attrs.get("units") for name in data.variables}
    expected = {"free_voltages": "V", "plus_output_currents": "A", "requested": "S", "cost": "1", "time": "s"}
    assert units | expected == units
    assert data.attrs["bench_file"] == uneven.meta("settings")
    assert '"numpy"' in data.attrs["versions"]
    assert data.attrs["status"] == "finished"
    assert '"git_commit"' in data.attrs["sessions"]
    scores = [(e.train.accuracy, e.validation.cost) for e in uneven.epochs()]
    assert list(zip(data.train_accuracy.values, data.validation_cost.values, strict=True)) == scores


def test_cost_of_voltages_is_in_square_volts(bench_path, tmp_path):
    data = recorded(hl.open_bench(bench_path), tmp_path).to_xarray()
    units = [data[name].attrs["units"] for name in ("cost", "error", "gradient", "true_train_rms_error")]
    assert units == ["V^2", "V", "V^2/S", "V"]


def test_any_part_is_read_lazily(uneven, monkeypatch):
    data = uneven.to_xarray()
    whole = data.free_voltages.values
    read = []
    rows = stored_contents.RunContents.rows

    def counted(*args):
        for keys, arrays in rows(*args):
            read.append(keys[0])
            yield keys, arrays

    monkeypatch.setattr(stored_contents.RunContents, "rows", counted)
    data = uneven.to_xarray()
    assert {type(key) for key in read} == {str}, "only the graph and the like, no row of a step"
    parts = [slice(None, None, -2), slice(3, 7), 4, -1, [8, 0, 3, 3]]
    for steps, samples in product(parts, [slice(2, 25, 3), 7, [1, 29]]):
        part = data.free_voltages.isel(step=steps, sample=samples, output=[2, 0])
        expected = xr.DataArray(whole, dims=("step", "sample", "output"))
        expected = expected.isel(step=steps, sample=samples, output=[2, 0])
        np.testing.assert_array_equal(part.values, expected.values)
    read.clear()
    assert data.free_voltages.sel(step=5).shape == (30, 3)
    np.testing.assert_array_equal(data.free_voltages.sel(step=5).values, whole[5])
    assert read == [5]


def test_tables_have_a_row_for_each_sample_batch_epoch_and_edge(uneven):
    samples = uneven.to_pandas()
    assert len(samples) == 3 * 75
    assert samples.index.names == ["step", "sample"]
    readings = uneven.readings(5)
    np.testing.assert_array_equal(samples.loc[5, "row"], readings["samples"])
    np.testing.assert_array_equal(samples.loc[5, "minus_voltages_1"], readings["minus_voltages"][:, 1])
    assert samples.attrs["units"]["minus_voltages_1"] == "V"
    np.testing.assert_array_equal(uneven.to_pandas("steps")["cost"], uneven.batch_costs())
    edges = uneven.to_pandas("edges")
    np.testing.assert_array_equal(edges.loc[4, "requested"], uneven.conductances(4))
    assert list(uneven.to_pandas("epochs")["seconds"]) == [epoch.seconds for epoch in uneven.epochs()]
    with pytest.raises(RunError, match="it has: samples, steps, epochs, edges"):
        uneven.to_pandas("nodes")


@pytest.mark.parametrize("keep", ["outputs", "summary"])
def test_what_was_not_kept_is_left_out(bench_path, tmp_path, keep):
    run = recorded(hl.open_bench(bench_path, [f"run.keep={keep}", "run.conductances=epochs"]), tmp_path)
    data = run.to_xarray()
    assert "plus_voltages" not in data
    assert ("outputs" in data) == (keep == "outputs")
    assert data.kept_step.values.tolist() == [1, 3, 5, 7, 9]  # the last of each epoch
    assert len(run.to_pandas()) == (30 if keep == "outputs" else 0)
    assert_equal_to_store(data, run)


def test_run_without_a_step_has_empty_arrays(bench_path, tmp_path):
    run = Run.create(hl.open_bench(bench_path), tmp_path)
    data = run.to_xarray()
    assert data.sizes["step"] == data.sizes["epoch"] == 0
    assert data.attrs["status"] == "created"
    assert [len(run.to_pandas(table)) for table in ("samples", "steps", "epochs", "edges")] == 4 * [0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills a process")
def test_killed_run_has_every_stored_step(bench_path, tmp_path):
    run, process = trained_elsewhere(hl.open_bench(bench_path, ["train.epochs=50"]), tmp_path, 7)
    printed = process.communicate(timeout=60)[0]
    assert (process.returncode, printed.split()[-1]) == (-signal.SIGKILL, "7")
    data = hl.open_run(run.folder).to_xarray()
    assert data.attrs["status"] == "aborted"
    assert data.step.values.tolist() == list(range(8))  # measured and acknowledged, its update is lost
    assert data.kept_step.values.tolist() == list(range(7))
    assert_equal_to_store(data, run)


def test_run_is_read_while_another_process_writes_it(bench_path, tmp_path):
    run, process = trained_elsewhere(hl.open_bench(bench_path, ["train.epochs=2000"]), tmp_path)
    try:
        seen = []
        for number in map(int, process.stdout):
            if number % 20 or not number:
                continue
            data = run.to_xarray()
            assert data.sizes["step"] > number
            assert "running" in data.attrs["status"]
            assert len(data.free_voltages.values) == data.sizes["step"]
            assert np.isfinite(data.requested.values).all()
            seen.append(data)
            if len(seen) == 4:
                break
        # what was opened first still answers, with the steps that it had
        assert seen[0].plus_voltages.shape[0] == seen[0].sizes["step"] < seen[3].sizes["step"]
        np.testing.assert_array_equal(seen[0].cost, seen[3].cost[: seen[0].sizes["step"]])
    finally:
        process.kill()
        process.communicate()


def test_step_that_was_measured_again_is_refused(bench_path, tmp_path):
    """A batch whose update was lost is measured again by `resume`; an earlier data set must not mix the two."""
    bench = hl.open_bench(bench_path, ["backend.read_noise=1 mV"])
    run = Run.create(bench, tmp_path)

    class Stop(hl.Callback):
        def on_gradient(self, epoch, number, samples, gradient):
            if number == 4:
                raise ConnectionResetError

    with pytest.raises(ConnectionResetError), bench, RunRecorder(run, bench) as recorder:
        bench.train([recorder, Stop()])
    before = run.to_xarray()
    assert before.sizes["step"] == 5
    with run.bench() as again, RunRecorder(run, again) as recorder:
        again.train([recorder], run.progress())
    np.testing.assert_array_equal(before.free_voltages[:4], run.to_xarray().free_voltages[:4])
    with pytest.raises(RunError, match="step 4 was dropped or measured again after the run was opened; open it"):
        before.free_voltages.load()


def test_missing_package_names_the_extra(uneven, monkeypatch):
    for package, read in (("xarray", uneven.to_xarray), ("pandas", uneven.to_pandas)):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(SetupError, match=rf"needs the package {package}.* pip install 'hwlearn\[data\]'"):
            read()


def test_runs_of_a_folder_are_listed_and_plotted(uneven):
    assert [run.name for run in hl.runs(uneven.folder.parent)] == [uneven.name]
    assert hl.open_run(uneven.name[:8], uneven.folder.parent).folder == uneven.folder
    figure = uneven.plot()
    assert len(figure.axes) == 4  # curve, its second scale, map, its colours
