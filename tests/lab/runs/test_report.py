"""The picture of a run: what is in it, for every kind of network and however the run ended."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import hwlearn as hl
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import crossbar_shape, draw_conductances, draw_learning_curve, draw_run
from hwlearn.lab.runs.store import Run


@pytest.fixture
def axes():
    figure = Figure()
    FigureCanvasAgg(figure)
    yield figure.subplots()
    figure.canvas.draw()


def recorded(bench, runs, train=True):
    run = Run.create(bench, runs)
    if train:
        with bench, RunRecorder(run, bench) as recorder:
            bench.train([recorder])
    return run


def labels(axes):
    return {label for one in axes.figure.axes for label in one.get_legend_handles_labels()[1]}


def test_measured_and_true_are_told_apart(bench_path, tmp_path, axes):
    run = recorded(hl.open_bench(bench_path, ["backend.read_noise=2 mV"]), tmp_path)
    draw_learning_curve(axes, run)
    assert labels(axes) == {"training, measured", "training, true", "cost of each batch"}
    lines = {line.get_label(): line for one in axes.figure.axes for line in one.lines}
    np.testing.assert_allclose(
        lines["training, measured"].get_ydata(), [1e3 * e.train.rms_error_V for e in run.epochs()]
    )
    np.testing.assert_allclose(
        lines["training, true"].get_ydata(), [1e3 * s["train"].rms_error_V for s in run.true_scores()]
    )
    assert len(lines["cost of each batch"].get_ydata()) == 10


def test_classes_with_validation_rows(tmp_path, axes):
    run = recorded(hl.open_bench("iris", ["train.epochs=3", "data.validation_fraction=0.2"]), tmp_path)
    draw_learning_curve(axes, run)
    assert {f"{rows}, {how}" for rows in ("training", "validation") for how in ("measured", "true")} <= labels(
        axes
    )
    assert "test, true" in labels(axes)
    assert "test, measured" not in labels(axes)  # nobody measured the test rows during the training
    assert any(one.get_ylabel() == "accuracy (%)" for one in axes.figure.axes)


@pytest.mark.parametrize("epochs", [0, 1])
def test_runs_that_hardly_began(bench_path, tmp_path, epochs):
    run = recorded(hl.open_bench(bench_path, [f"train.epochs={epochs}"]), tmp_path)
    assert draw_run(run).read_bytes().startswith(b"\x89PNG")


def test_a_run_in_which_nothing_was_programmed(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path), tmp_path, train=False)
    with pytest.raises(hl.HwlearnError, match="before anything was programmed"):
        draw_run(run)


TOPOLOGIES = {
    "crossbar": (hl.Topology.crossbar(6, 4, range(5), [0, 2]), (6, 4)),
    "a column": (hl.Topology.crossbar(3, 1, [0, 1]), (3, 1)),
    "grid": (hl.Topology.grid(4, 3), None),
    "layers": (hl.Topology.layered([3, 4, 2]), None),
    "two layers are a crossbar": (hl.Topology.layered([3, 4]), (3, 4)),
    "random": (hl.Topology.random(24, 55, 5, 3, seed=1), None),
    "a divider": (hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2), None),
    "parallel edges": (hl.Topology(2, [(0, 1), (0, 1)], [0], [1]), None),
    "one edge": (hl.Topology(2, [(0, 1)], [0], [1]), (1, 1)),
    "fixed wires": (hl.Topology(3, [(0, 1)], [0], [2], fixed_edges=[(1, 2)], fixed_conductances=[1.0]), None),
}


@pytest.mark.parametrize(("topology", "shape"), TOPOLOGIES.values(), ids=TOPOLOGIES)
def test_every_graph_can_be_drawn(axes, topology, shape):
    assert crossbar_shape(topology) == shape
    g = np.geomspace(1e-6, 1e-4, topology.n_edges)
    draw_conductances(axes, topology, g, (1e-6, 1e-4))
    if shape is not None:
        np.testing.assert_allclose(axes.images[0].get_array().data, g.reshape(shape) * 1e6)
    else:
        assert len(axes.lines) == topology.n_edges
        assert np.isfinite([line.get_xydata() for line in axes.lines]).all()
