"""What a refused continuation says of two definitions."""

import pytest

from hwlearn.errors import RunError
from hwlearn.lab.sweeps.definition import define
from hwlearn.lab.sweeps.differences import differences
from hwlearn.lab.sweeps.table import Outcome, PointTable


def test_changed_bench_file_is_refused_naming_the_keys_as_the_file_has_them(small, tmp_path):
    grid = {"train.batch": [3, 6]}
    first = define(small, (), grid)
    with PointTable(tmp_path / "s", first.facts(), first.points()) as table:
        table.put(Outcome(0, "{}", None, 0.1))
    text = small.read_text(encoding="utf-8")
    small.write_text(text.replace("epochs = 2", "epochs = 7"), encoding="utf-8")
    second = define(small, (), grid)
    with pytest.raises(RunError, match=r"another one: train\.epochs was 2, is now 7; give another folder"):
        PointTable(tmp_path / "s", second.facts(), second.points())


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("[a]\nx = 1\ny = 2", "[a]\ny = 2\nx = 1  # the same", ""),
        ("[a]\nx = 1", "[a]\nx = 1\n[b]\ny = 2", "b.y was not set, is now 2"),
        ("[a]\nx = true", '[a]\nx = "true"', 'a.x was true, is now "true"'),
        ("[a]\nx = nan", "[a]\nx = nan  # the same", ""),
        ("[a]\nx = 1", "no TOML", "a.x was 1, is now not set; settings was not set, is now no TOML"),
    ],
)
def test_settings_are_compared_by_what_they_mean(before, after, text):
    found = differences({"settings": before}, {"settings": after})
    assert found.startswith(text)
    assert bool(found) == bool(text)


def test_long_values_are_shown_where_they_begin_to_differ():
    rates = [k / 10 for k in range(40)]
    found = differences({"grid": {"k": rates}}, {"grid": {"k": [*rates[:35], 7.5]}})
    was, is_now = found.removeprefix("grid.k was ").split(", is now ")
    assert was != is_now
    assert "7.5" in is_now
    assert len(found) < 160
