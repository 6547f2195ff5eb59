"""The durable table: continued, refused, idempotent."""

import shutil
import sqlite3
from contextlib import closing

import pytest

import hwlearn
from hwlearn.errors import NetworkError, RunError
from hwlearn.lab.sweeps.execution import execute_here
from hwlearn.lab.sweeps.table import Outcome, PointTable, StoredTable

POINTS = [{"x": x} for x in range(4)]


def square(point):
    if point["x"] == 2:
        raise ValueError("no\nsquare")
    return {"y": 0.1 * point["x"] ** 2}


def test_table_is_continued_and_a_finished_row_is_never_written_again(tmp_path):
    with PointTable(tmp_path / "s", {"f": 1}, POINTS) as table:
        table.put(Outcome(1, '{"y": 0.1}', None, 0.5))
        table.put(Outcome(1, None, "late", 0.7))
        table.put(Outcome(3, None, "no", 0.7))
    with PointTable(tmp_path / "s", {"f": 1}, POINTS) as table:
        assert [row.number for row in table.to_run()] == [0, 2]
        assert [row.number for row in table.to_run(failed=True)] == [0, 2, 3]
    row = StoredTable(tmp_path / "s").rows()[1]
    assert (row.status, row.result, row.seconds, row.attempts) == ("finished", {"y": 0.1}, 0.5, 1)


def test_table_of_another_definition_is_refused_once_a_point_was_run(tmp_path):
    PointTable(tmp_path, {"settings": {"rate": 1}}, POINTS).close()
    with PointTable(tmp_path, {"settings": {"rate": 2}}, POINTS) as table:
        table.put(Outcome(0, "{}", None, 0.1))
    with pytest.raises(RunError, match=r"settings\.rate was 2, is now 3"):
        PointTable(tmp_path, {"settings": {"rate": 3}}, POINTS)


@pytest.fixture
def killed(tmp_path):
    """The folder of a sweep that was killed before its first point: the WAL of its table is left."""
    with PointTable(tmp_path / "running", {"f": 1}, POINTS):
        shutil.copytree(tmp_path / "running", tmp_path / "killed")
    assert (tmp_path / "killed" / "sweep.sqlite-wal").stat().st_size
    return tmp_path / "killed"


@pytest.mark.parametrize("deleted", [False, True])
def test_table_that_replaces_one_of_a_killed_process_is_sound(killed, deleted):
    if deleted:
        (killed / "sweep.sqlite").unlink()
    points = [{"x": x} for x in range(800)]
    with PointTable(killed, {"f": 2}, points) as table:
        table.put(Outcome(0, '{"y": 1}', None, 0.1))
    assert StoredTable(killed).counts() == {"pending": 799, "finished": 1, "failed": 0}
    assert len(StoredTable(killed).sessions()) == 1


def _of_another_version(folder):
    with closing(sqlite3.connect(folder / "sweep.sqlite")) as db, db:
        db.execute("UPDATE sessions SET facts = json_set(facts, '$.versions.hwlearn', '0.0.1')")


@pytest.mark.parametrize("done", [0, 1, len(POINTS)])
def test_table_that_another_version_began_is_continued_with_a_warning(tmp_path, caplog, done):
    with PointTable(tmp_path, {}, POINTS) as table:
        for number in range(done):
            table.put(Outcome(number, "{}", None, 0.1))
    PointTable(tmp_path, {}, POINTS).close()
    assert caplog.messages == []
    _of_another_version(tmp_path)
    PointTable(tmp_path, {}, POINTS).close()
    if done not in (0, len(POINTS)):  # only then two versions meet
        (line,) = caplog.messages
        assert f"hwlearn was 0.0.1, is now {hwlearn.__version__}; for one version" in line
    else:
        assert caplog.messages == []


def test_table_that_another_process_writes_is_refused(tmp_path):
    with PointTable(tmp_path, {}, POINTS), pytest.raises(RunError, match="being written by another process"):
        PointTable(tmp_path, {}, POINTS)


def test_failed_point_does_not_lose_the_others(tmp_path):
    with PointTable(tmp_path, {}, POINTS) as table:
        execute_here(square, table)
        assert [row.status for row in table.rows()] == ["finished", "finished", "failed", "finished"]
        assert table.rows()[2].error == "ValueError: no square"


def test_hardware_that_fails_ends_the_sweep_at_that_point(tmp_path):
    def lost(point):
        if point["x"] == 1:
            raise NetworkError("the cable is out")
        return {}

    with PointTable(tmp_path, {}, POINTS) as table:
        with pytest.raises(NetworkError, match="cable"):
            execute_here(lost, table)
        assert [row.status for row in table.rows()] == ["finished", "failed", "pending", "pending"]


def test_folder_without_a_table_is_named(tmp_path):
    with pytest.raises(RunError, match=r"not a sweep folder: it has no sweep\.sqlite"):
        StoredTable(tmp_path).counts()
