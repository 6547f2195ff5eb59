"""The report of a run: its contents for each kind of network and each way a run can end."""

import itertools
import re

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.figure_style import FAILED
from hwlearn.lab.runs.figures.conductance_map import draw_conductances
from hwlearn.lab.runs.figures.graph_layout import grid_shape, layer_sizes
from hwlearn.lab.runs.figures.run_figure import draw_learning_curve
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import draw_run
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


def test_measured_and_true_scores_are_separate_curves(bench_path, tmp_path, axes):
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
    assert "test, measured" not in labels(axes)  # the test rows are not measured during the training
    assert any(one.get_ylabel() == "accuracy (%)" for one in axes.figure.axes)


@pytest.mark.share(1)
@pytest.mark.parametrize("epochs", [0, 1])
def test_run_of_no_epoch_or_one_epoch_is_drawn(bench_path, tmp_path, epochs):
    run = recorded(hl.open_bench(bench_path, [f"train.epochs={epochs}"]), tmp_path)
    assert draw_run(run).read_bytes().startswith(b"\x89PNG")


def test_run_in_which_nothing_was_programmed_has_no_report(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path), tmp_path, train=False)
    with pytest.raises(hl.HwlearnError, match="before anything was programmed"):
        draw_run(run)


def drawn_texts(figure):
    """Return the extent in pixels of every text that is drawn, by what it says."""
    figure.draw_without_rendering()
    hidden = set()
    for axes in figure.findobj(Axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not axes.axison or not low <= tick.get_loc() <= high:
                    hidden |= {id(tick.label1), id(tick.label2)}
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text() and id(t) not in hidden]
    renderer = figure.canvas.get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer)) for t in texts]


def overlaps(texts):
    """Return the pairs of drawn texts that overlap by more than a pixel."""
    return [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(texts, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


def drawn_figure(run, tmp_path, mocker):
    """Compose the report of a run and return the figure, not rendered."""
    saved = mocker.patch.object(Figure, "savefig", autospec=True)
    draw_run(run, tmp_path / "report.png")
    return saved.call_args.args[0]


OTHERS = ["regression", "virtual-smu", "virtual-board"]
CHANGES = {
    "iris": ["data.validation_fraction=0.2"],  # the most entries in the legend
    "digits": ["data.test_fraction=0.9"],
    "regression": ["data.samples=4"],
    "grid": ["data.validation_fraction=0.2", "data.test_fraction=0.2"],
}


@pytest.fixture
def grid_path(tmp_path, bench_text):
    """A bench with a grid and all kinds of rows, so with long legends in both halves of the report."""
    text = bench_text[bench_text.index("[limits]") :].replace("samples = 6", "samples = 20")
    path = tmp_path / "grid.toml"
    path.write_text('[network]\nkind = "grid"\nrows = 4\ncolumns = 5\n' + text, encoding="utf-8")
    return path


@pytest.mark.share(1)
@pytest.mark.parametrize(
    "name",
    ["iris", "digits", "grid", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)],
)
def test_report_has_plain_numbers_and_no_overlapping_text(name, tmp_path, grid_path, mocker):
    bench = hl.open_bench(grid_path if name == "grid" else name, ["train.epochs=2", *CHANGES.get(name, [])])
    run = recorded(bench, tmp_path)
    figure = drawn_figure(run, tmp_path, mocker)
    texts = drawn_texts(figure)
    assert texts
    assert overlaps(texts) == []
    for text, box in texts:
        assert "$" not in text  # no powers of ten such as 7x10^1
        assert "×" not in text
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([20, 30, 10], id="3", marks=pytest.mark.slow),
        pytest.param([20, 30, 20, 10], id="4", marks=pytest.mark.slow),
        pytest.param([20, 20, 20, 20, 20, 20, 10], id="7"),
    ],
)
def test_labels_of_large_layers_do_not_lie_on_a_heat_map(sizes, tmp_path, bench_text, mocker):
    path = tmp_path / "layers.toml"
    text = bench_text[bench_text.index("[limits]") :]
    text = text.replace('current = "1 mA"', 'current = "100 mA"')
    path.write_text(f'[network]\nkind = "layered"\nsizes = {sizes}\n' + text, encoding="utf-8")
    figure = drawn_figure(recorded(hl.open_bench(path, ["train.epochs=1"]), tmp_path), tmp_path, mocker)
    texts = drawn_texts(figure)
    assert overlaps(texts) == []
    maps = [axes.get_window_extent() for axes in figure.findobj(Axes) if axes.images]
    assert len(maps) == len(sizes) - 1
    for text, box in texts:
        assert not any(box.overlaps(area) for area in maps), text


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_few_epochs_have_whole_numbers_and_a_visible_cost(epochs, bench_path, tmp_path, mocker):
    run = recorded(hl.open_bench(bench_path, [f"train.epochs={epochs}", "train.batch=100"]), tmp_path)
    figure = drawn_figure(run, tmp_path, mocker)
    curve = next(axes for axes in figure.axes if axes.get_xlabel() == "epoch")
    assert all(float(tick).is_integer() for tick in curve.get_xticks())
    cost = next(line for line in curve.lines if line.get_label() == "cost of each batch")
    assert (cost.get_marker() == "o") == (len(run.batch_costs()) == 1)
    assert epochs or not len(curve.get_yticks())  # no cost, so no numbers of it


def test_overlapping_text_is_found(axes):
    axes.text(0.5, 0.5, "one")
    assert overlaps(drawn_texts(axes.figure)) == []
    axes.text(0.5, 0.5, "another")
    assert overlaps(drawn_texts(axes.figure)) == [("one", "another")]


def test_both_logarithmic_axes_have_numbers(bench_path, tmp_path, mocker):
    figure = drawn_figure(recorded(hl.open_bench(bench_path), tmp_path), tmp_path, mocker)
    costs, errors = (axes for axes in figure.axes if axes.get_yscale() == "log" and "S)" not in axes.get_ylabel())
    for axes in (costs, errors):
        low, high = axes.get_ylim()
        labelled = [t.get_text() for t in axes.get_yticklabels() if low <= t.get_position()[1] <= high]
        assert len(labelled) >= 2
        assert all(re.fullmatch(r"[0-9.]+(e-?[0-9]+)?", text) for text in labelled)


def test_report_needs_no_data_set(bench_text, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("0.1,0.2,-0.1,0.3,0.0,0.1,0.2\n" * 6, encoding="utf-8")
    bench = tmp_path / "small.toml"
    bench.write_text(bench_text, encoding="utf-8")
    changes = ["data.source=rows.csv", "data.target_columns=[4, 5, 6]"]
    run = recorded(hl.open_bench(bench, changes), tmp_path / "runs")
    rows.unlink()
    assert draw_run(run).is_file()


TOPOLOGIES = {
    "crossbar": (hl.Topology.crossbar(6, 4, range(5), [0, 2]), (6, 4)),
    "a column": (hl.Topology.crossbar(3, 1, [0, 1]), (3, 1)),
    "grid": (hl.Topology.grid(4, 3), None),
    "layers": (hl.Topology.layered([3, 4, 2]), None),
    "two layers are a crossbar": (hl.Topology.layered([3, 4]), (3, 4)),
    "random": (hl.Topology.random(24, 55, 5, 3, seed=1), None),
    "large grid": (hl.Topology.grid(30, 20), None),
    "large layers": (hl.Topology.layered([40, 30, 5]), None),
    "large graph": (hl.Topology.random(120, 300, 5, 3, seed=1), None),
    "a divider": (hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2), None),
    "parallel edges": (hl.Topology(2, [(0, 1), (0, 1)], [0], [1]), None),
    "one edge": (hl.Topology(2, [(0, 1)], [0], [1]), (1, 1)),
    "fixed wires": (hl.Topology(3, [(0, 1)], [0], [2], fixed_edges=[(1, 2)], fixed_conductances=[1.0]), None),
}


@pytest.fixture
def axes_of_a_panel():
    """Axes of the size that a report gives to its conductances."""
    figure = Figure(figsize=(5.2, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.subplots()


@pytest.mark.share(4)
@pytest.mark.parametrize(("topology", "shape"), TOPOLOGIES.values(), ids=TOPOLOGIES)
def test_every_graph_is_drawn_with_all_its_conductances(axes_of_a_panel, topology, shape):
    assert topology.crossbar_size == shape
    g = np.geomspace(1e-6, 1e-4, topology.n_edges)
    draw_conductances(axes_of_a_panel, topology, g, (1e-6, 1e-4))
    assert overlaps(drawn_texts(axes_of_a_panel.figure)) == []
    if shape is not None:
        np.testing.assert_allclose(axes_of_a_panel.images[0].get_array().data, g.reshape(shape) * 1e6)
        return
    images = [image.get_array().compressed() for image in axes_of_a_panel.figure.findobj(AxesImage)]
    lines = [c for c in axes_of_a_panel.collections if isinstance(c, LineCollection) and c.get_label() != "fixed"]
    cells = [c.get_array()[: topology.n_edges] for c in axes_of_a_panel.collections if c.get_array() is not None]
    if lines:
        assert np.isfinite(np.concatenate(lines[0].get_segments())).all()
        assert len(np.unique(lines[0].get_colors(), axis=0)) == len(lines[0].get_segments()) == topology.n_edges
    else:
        np.testing.assert_allclose(np.sort(np.concatenate(images or cells)), g * 1e6)


@pytest.mark.share(4)
@pytest.mark.parametrize(("topology", "shape"), TOPOLOGIES.values(), ids=TOPOLOGIES)
def test_failed_edges_are_crossed_where_they_are_drawn(axes_of_a_panel, topology, shape):
    g, failed = np.full(topology.n_edges, 1e-5), np.zeros(topology.n_edges, dtype=bool)
    failed[[0, -1]] = True
    draw_conductances(axes_of_a_panel, topology, g, (1e-6, 1e-4), failed)
    marks = [c for c in axes_of_a_panel.figure.findobj(PathCollection) if to_hex(c.get_facecolor()[0]) == FAILED]
    places = np.concatenate([c.get_offsets() for c in marks])
    edges = topology.edges[failed]
    if shape is not None:
        assert {divmod(int(k), shape[1]) for k in np.flatnonzero(failed)} == {(int(y), int(x)) for x, y in places}
    elif grid_shape(topology) is not None:
        rows, columns = np.divmod(edges, grid_shape(topology)[1])
        np.testing.assert_allclose(places, np.stack([columns.mean(axis=1), rows.mean(axis=1)], axis=1))
    else:  # of a matrix of nodes both triangles
        assert len(places) in (failed.sum(), 2 * failed.sum())
    assert np.isfinite(places).all()


def test_grid_is_drawn_at_its_rows_and_columns(axes):
    grid = hl.Topology.grid(3, 4)
    assert grid_shape(grid) == (3, 4)
    assert grid_shape(hl.Topology.layered([3, 4, 2])) is None
    draw_conductances(axes, grid, np.arange(1.0, grid.n_edges + 1) * 1e-6, (1e-6, 1e-4))
    image = axes.images[0]
    for edge, (a, b) in enumerate(grid.edges):
        (row, column), (row_b, column_b) = divmod(a, 4), divmod(b, 4)
        assert image.get_array()[row + row_b, column + column_b] == pytest.approx(edge + 1)


@pytest.mark.parametrize("sizes", [[3, 4, 2], [1, 1, 1], [2, 5], [7, 3, 3, 2]])
def test_layers_are_recognised(sizes):
    assert layer_sizes(hl.Topology.layered(sizes)) == sizes
    if len(sizes) > 2:
        assert layer_sizes(hl.Topology.layered(sizes, rectifier=hl.elements.IdealDiode())) == sizes


def test_graphs_without_layers_have_no_layer_sizes():
    assert layer_sizes(hl.Topology.random(24, 55, 5, 3, seed=1)) is None
    assert layer_sizes(hl.Topology.grid(4, 3)) is None


def test_report_replaces_a_symbolic_link_and_not_its_target(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path, ["train.epochs=1"]), tmp_path / "runs")
    outside = tmp_path / "notes.txt"
    outside.write_text("mine", encoding="utf-8")
    picture = run.folder / "report.png"
    picture.symlink_to(outside)
    assert draw_run(run) == picture
    assert outside.read_text(encoding="utf-8") == "mine"
    assert not picture.is_symlink()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert draw_run(run, tmp_path / "curve.pdf").read_bytes().startswith(b"%PDF")


def test_failed_report_leaves_the_old_one_and_no_other_file(bench_path, tmp_path, monkeypatch):
    run = recorded(hl.open_bench(bench_path, ["train.epochs=1"]), tmp_path / "runs")
    picture = draw_run(run)
    before, files = picture.read_bytes(), sorted(run.folder.iterdir())

    def full(self, file, **_):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="disk full"):
        draw_run(run)
    assert (picture.read_bytes(), sorted(run.folder.iterdir())) == (before, files)
    with pytest.raises(RunError, match="'docx' is no format of figures"):
        draw_run(run, tmp_path / "report.docx")


def test_names_with_dollar_signs_are_drawn_as_they_are(bench_path, tmp_path):
    odd = bench_path.with_name(r"a $\frac{$ b $x$.toml")
    bench_path.rename(odd)
    run = recorded(hl.open_bench(odd, ["train.epochs=1"]), tmp_path / "runs")
    assert draw_run(run).read_bytes().startswith(b"\x89PNG")
    svg = draw_run(run, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg.startswith("<?xml")
    assert (run.report()).is_file()
