"""The definition of a sweep is checked before anything runs."""

import pytest

from hwlearn.errors import SetupError
from hwlearn.lab.sweeps.definition import define
from hwlearn.lab.sweeps.running import SweepOptions


def test_points_are_all_values_for_each_seed_in_turn(small):
    points = define(small, (), {"train.rate": [0.1, 0.2], "backend.read_noise": "0,1 mV"}, 2).points()
    assert len(points) == 8
    assert points[0] == {"train.rate": 0.1, "backend.read_noise": 0, "seed": 0}
    assert points[3] == {"train.rate": 0.2, "backend.read_noise": 1e-3, "seed": 0}
    assert points[4]["seed"] == 1


def test_seed_is_of_training_devices_and_split_unless_the_key_has_a_value(small):
    grid = {"train.rate": [0.1]}
    split = define(small, ["data.test_fraction=0.5"], grid, [7])
    file = split.trained.bench(split.points()[0]).file
    assert (file.train.seed, file.data.split_seed, file.tables["backend"]["seed"]) == (7, 7, 7)
    fixed = define(small, ["backend.seed=3"], grid, [7])
    file = fixed.trained.bench(fixed.points()[0]).file
    assert (file.train.seed, file.data.split_seed, file.tables["backend"]["seed"]) == (7, 0, 3)


@pytest.mark.parametrize(
    ("overrides", "grid"),
    [(["train.seed=1", "backend.seed=1"], {"train.rate": [0.1]}), (["backend.seed=1"], {"train.seed": [1, 2]})],
)
def test_seeds_that_change_nothing_are_refused(small, overrides, grid):
    with pytest.raises(SetupError, match=r"seeds would change nothing, since .*train\.seed"):
        define(small, overrides, grid, 3)
    assert len(define(small, [*overrides, "data.test_fraction=0.5"], grid, 3).points()) >= 3


def test_devices_of_equal_seeds_are_equal_for_all_values_of_the_grid(small):
    swept = define(small, ["backend.device_spread=0.2"], {"train.rate": [0.1, 0.2]}, 2)
    drawn = []
    for point in swept.points():
        with swept.trained.bench(point) as bench:
            drawn.append(bench.network.true_outputs(bench.data.inputs))
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[2] == drawn[3]).all()
    assert not (drawn[0] == drawn[2]).all()


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"train.ratte": [1]}, "did you mean 'rate'"),
        ({"trian.rate": [1]}, "did you mean 'train'"),
        ({"train.rate": [0.1, -1], "backend.seed": [1]}, "the point train.rate=-1, backend.seed=1 is refused"),
        ({"data.amplitude": "400 mV,600 mV"}, "the point data.amplitude=600 mV is refused"),
        ({"backend.read_noise": ["1 mV", 0.001]}, "twice"),
        ({"train.rate": "0:1:2000000"}, "at least 2"),
        ({}, "at least one --grid"),
    ],
)
def test_wrong_definition_is_refused_naming_the_point(small, grid, words):
    with pytest.raises(SetupError, match=words):
        define(small, (), grid)


def test_hardware_is_refused_unless_it_is_wanted_and_then_runs_in_this_process(small, mocker):
    mocker.patch("hwlearn_sim.twin.backend.SimBackend.simulated", False)
    swept = define(small, (), {"train.rate": [0.1]})
    assert swept.hardware
    with pytest.raises(SetupError, match="--hardware"):
        SweepOptions().check(swept)
    with pytest.raises(SetupError, match="one point at a time"):
        SweepOptions(workers=2, hardware=True).check(swept)
    SweepOptions(hardware=True).check(swept)


def test_backends_of_instruments_are_not_declared_as_simulated():
    from hwlearn.installed import entry_points
    from hwlearn.lab.bench.backends import GROUP

    simulated = {point.name for point in entry_points(GROUP) if getattr(point.load(), "simulated", False)}
    assert simulated >= {"sim", "virtual-smu", "virtual-board", "virtual-bench"}
    assert not simulated & {"smu", "board", "bench", "arc2"}
