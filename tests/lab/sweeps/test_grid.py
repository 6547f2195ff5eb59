"""The syntax of grids and seeds."""

import copy
import time

import numpy as np
import pytest

from hwlearn.errors import SetupError
from hwlearn.lab.sweeps.grid import Axis, make_axes, make_axis, make_seeds, parse_axis, refuse_repeated


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("k.x=0.02,0.05", (0.02, 0.05)),
        ("k.x=1:5:5", (1, 2, 3, 4, 5)),
        ("k.x=0:0.5:6", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)),
        ("k.x=5,1:3:3", (5, 1, 2, 3)),
        ("k.x=1e-3:1e-1:5:log", (0.001, 0.00316227766017, 0.01, 0.0316227766017, 0.1)),
        ("k.x=10 us:30 us:3", (1e-5, 2e-5, 3e-5)),
        ("k.x=1k:3k:3", (1000.0, 2000.0, 3000.0)),
        ("k.x=gep,analytic", ("gep", "analytic")),
        ("k.x=true,false", (True, False)),
        ("k.x=50 us,1 ms", ("50 us", "1 ms")),
        ('k.x="a,b",[1, 2],{a = 1, b = 2}', ("a,b", [1, 2], {"a": 1, "b": 2})),
        ("k.x=GPIB0::9::INSTR", ("GPIB0::9::INSTR",)),
        ("k.x=0.5:-0.5:3", (0.5, 0.0, -0.5)),
    ],
)
def test_values_of_an_axis(text, values):
    axis = parse_axis(text)
    assert axis.key == "k.x"
    assert axis.values == values
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train.rate", "must read"),
        ("k.x=", "empty value"),
        ("k.x=1,,2", "empty value"),
        ("k.x=1,1.0", "twice"),
        ("k.x=0:1", "no range"),
        ("k.x=0:1:1", "at least 2"),
        ("k.x=0:1:2.5", "at least 2"),
        ("k.x=0:1:3:ln", "only word"),
        ("k.x=0:1:3:log", "above 0"),
        ("k.x=1 mV:2 us:3", "different units"),
        ("k.x=1:2 us:3", "different units"),
        ("k.x=1 parsec:2 parsec:3", "no quantity"),
    ],
)
def test_wrong_axis_is_refused(text, words):
    with pytest.raises(SetupError, match=words):
        parse_axis(text)


def test_arrays_become_plain_numbers():
    values = make_axis("k.x", np.linspace(0, 1, 3)).values
    assert values == (0.0, 0.5, 1.0)
    assert all(type(value) is float for value in values)


@pytest.mark.parametrize(
    "grid", [{"k.x": [1, 2]}, "k.x=1,2", ["k.x=1,2"], Axis("k.x", (1, 2)), (Axis("k.x", (1, 2)),)]
)
def test_axes_of_a_grid(grid):
    assert make_axes(grid) == (Axis("k.x", (1, 2)),)


@pytest.mark.parametrize("grid", [3, [3], {1: [2]}, ["train.rate"], b"k.x=1", np.ones(2), np.array(3)])
def test_wrong_grid_is_refused(grid):
    with pytest.raises(SetupError, match="grid"):
        make_axes(grid)


def test_single_number_of_an_array_is_one_value():
    assert make_axis("k.x", np.array(0.5)).values == (0.5,)


def test_many_values_are_compared_in_short_time():
    values = tuple(range(200_000))
    began = time.process_time()
    refuse_repeated("k.x", values)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("value", [1, "a", True, [1, [2]], {"a": [1]}])
def test_repeated_value_is_refused_whatever_it_is(value):
    refuse_repeated("k.x", (value, 2, False, [1], {"a": 1}))
    with pytest.raises(SetupError, match="twice"):
        refuse_repeated("k.x", (value, 2, copy.deepcopy(value)))


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        (None, None),
        (3, (0, 1, 2)),
        (np.array(3), (0, 1, 2)),
        (np.arange(2), (0, 1)),
        ("3", (0, 1, 2)),
        ("3,7", (3, 7)),
        ("7,", (7,)),
        ([4, 2], (4, 2)),
    ],
)
def test_seeds(given, seeds):
    assert make_seeds(given) == seeds


@pytest.mark.parametrize("given", [0, -1, "x", [-1], [1.5], [], True, "1,1", 2.5, {1: 2}, b"1", np.array(2.5)])
def test_wrong_seeds_are_refused(given):
    with pytest.raises(SetupError, match=r"seeds"):
        make_seeds(given)
