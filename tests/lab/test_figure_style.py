"""Logarithmic axes with plain numbers, none over another."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hwlearn.errors import SetupError
from hwlearn.lab.figure_style import drawn, log_ticks, set_log_scale

RANGES = [(66, 84), (1.1, 1.3), (0.3, 60), (1, 32), (1e-7, 1), (2e-9, 5e8), (0.8, 9), (99, 101), (1.5, 4.4)]


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_log_ticks_are_two_to_seven_round_numbers_within_the_axis(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 7
    assert ticks.min() >= low * (1 - 1e-6)
    assert ticks.max() <= high * (1 + 1e-6)
    assert all(len(f"{tick:.4g}") <= 6 for tick in ticks)


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (1, 1), (1, np.inf)])
def test_log_ticks_of_an_impossible_axis_are_none(ends):
    assert not log_ticks(*ends).size


def test_names_with_dollar_signs_are_no_formulas(tmp_path):
    def draw(left, right):
        left.plot([0, 1], label=r"node $\frac{$")
        left.legend()
        right.set_title("$x$ and $")

    assert drawn(tmp_path / "a.png", draw).read_bytes().startswith(b"\x89PNG")


def test_figure_replaces_a_symbolic_link(tmp_path):
    outside, picture = tmp_path / "outside", tmp_path / "noise.png"
    outside.write_text("mine")
    picture.symlink_to(outside)
    drawn(picture, lambda left, right: None)
    assert outside.read_text() == "mine"
    assert not picture.is_symlink()
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.share(6)
@pytest.mark.parametrize("which", ["x", "y"])
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_log_axis_has_plain_labels_that_do_not_overlap(low, high, which):
    figure = Figure(figsize=(5, 3.8), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([low, high], [low, high])
    set_log_scale(axes, which)
    axes.set(**{f"{which}lim": (low, high)})
    canvas.draw()
    labels = axes.get_xticklabels() if which == "x" else axes.get_yticklabels()
    shown = [label for label in labels if label.get_text()]
    assert len(shown) >= 2
    assert not any("$" in label.get_text() for label in shown)  # no powers of ten
    boxes = [label.get_window_extent() for label in shown]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_figure_that_cannot_be_written_is_a_setup_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot write"):
        drawn(tmp_path / "file" / "a.png", lambda left, right: None)
