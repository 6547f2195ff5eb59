"""``hwlearn sweep``: its lines, exit codes and refusals."""

import json
import sqlite3
from contextlib import closing

import pytest

import hwlearn as hl

SMALL = ("sweep", "small.toml", "--grid", "train.rate=0.05,0.1", "--set", "train.epochs=1", "-o", "s")


def test_points_run_in_workers_and_the_last_line_says_where_the_table_is(hwlearn):
    ended = hwlearn(*SMALL, "--seeds", 2, "--workers", 1, "--json")
    assert ended.code == 0, ended.err
    *points, last = [json.loads(line) for line in ended.out[1:]]
    assert sorted(line["point"] for line in points) == [0, 1, 2, 3]
    assert (last["points"], last["failed"], last["stopped"]) == (4, 0, "finished")
    assert last["seconds"] > 0
    frame = hl.open_sweep(last["table"]).to_pandas()
    assert (frame.status == "finished").all()
    assert frame.seed.tolist() == [0, 0, 1, 1]


def test_failed_point_ends_with_1_and_can_be_run_again(hwlearn, mocker):
    score = mocker.patch("hwlearn.lab.bench.bench.score_outputs", side_effect=ZeroDivisionError("no rows"))
    ended = hwlearn(*SMALL, "--hardware", "--json")
    assert ended.code == 1
    assert json.loads(ended.out[-1])["failed"] == 2
    assert "2 of 2 points failed; the first is point 0: ZeroDivisionError: no rows" in ended.err[-1]
    mocker.stop(score)
    assert hwlearn("sweep", "--resume", "-o", "s", "--hardware").code == 1
    ended = hwlearn("sweep", "--resume", "--retry-failed", "-o", "s", "--hardware")
    assert (ended.code, ended.err) == (0, [])


def test_interrupted_sweep_keeps_points_and_says_how_to_go_on(hwlearn, mocker):
    from hwlearn.lab.bench.bench import Bench

    train, calls = Bench.train, []

    def interrupted(bench, *args, **options):
        calls.append(bench)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(bench, *args, **options)

    patched = mocker.patch.object(Bench, "train", interrupted)
    ended = hwlearn(*SMALL, "--hardware", "--json")
    assert ended.code == 130
    assert json.loads(ended.out[-1])["finished"] == 1
    assert ended.err[-1].endswith(
        "1 of 2 points are finished and kept, continue with: hwlearn sweep --resume -o s"
    )
    mocker.stop(patched)
    assert hwlearn(*SMALL, "--hardware").code == 0
    ended = hwlearn(*SMALL, "--set", "train.batch=3", "--hardware")
    assert ended.code == 2
    assert "is another one" in ended.err[0]


def test_runs_cannot_be_kept_from_the_middle_of_a_sweep(hwlearn):
    assert hwlearn(*SMALL, "--hardware").code == 0
    ended = hwlearn("sweep", "--resume", "-o", "s", "--keep-runs", "--hardware")
    assert (ended.code, len(ended.err)) == (2, 1)
    assert "--keep-runs belong to a bench" in ended.err[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--grid", "train.ratte=1"], "did you mean 'rate'"),
        (["--grid", "train.rate=0.1", "--workers", 0], "workers is 0"),
        (["--grid", "train.rate=0.1", "--cluster", "head:8786"], "tcp://host:8786"),
        (["--grid", "train.rate=0.1", "--resume"], "no sweep in new to resume"),
        ([], "at least one --grid"),
    ],
)
def test_wrong_request_is_refused_and_leaves_no_folder(hwlearn, folder, options, words):
    pytest.importorskip("distributed")
    ended = hwlearn("sweep", "small.toml", *options, "-o", "new")
    assert ended.code == 2
    assert words in ended.err[0]
    assert not (folder / "new").exists()


def _drawing_fails(error):
    def fails(*args, **options):
        raise error

    return fails


@pytest.mark.parametrize("error", [ValueError("no\nfont"), OSError(28, "No space left on device"), MemoryError()])
def test_figure_that_cannot_be_drawn_is_a_warning_in_one_line(hwlearn, monkeypatch, caplog, error):
    monkeypatch.setattr("hwlearn.lab.sweeps.sweep.sweep_figure", _drawing_fails(error))
    ended = hwlearn(*SMALL, "--hardware", "--json")
    last = json.loads(ended.out[-1])
    assert (ended.code, last["stopped"], last["finished"]) == (0, "finished", 2)
    assert "figure" not in last
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert record.getMessage().endswith("write it later with: hwlearn sweep --resume -o s")


def test_names_with_dollars_are_drawn_as_they_are(hwlearn, folder):
    (folder / "a$b_$.toml").write_text((folder / "small.toml").read_text(encoding="utf-8"), encoding="utf-8")
    ended = hwlearn("sweep", "a$b_$.toml", *SMALL[2:], "--hardware")
    assert (ended.code, ended.err) == (0, [])
    assert ended.out[-1].startswith("figure")
    assert (folder / "s" / "sweep.svg").is_file()
    assert hl.open_sweep("s").plot().axes[0].get_title() == r"a\$b_\$"


def test_table_file_that_cannot_be_written_leaves_the_points_and_the_last_line(hwlearn, folder):
    (folder / "s" / "table.csv" / "x").mkdir(parents=True)
    ended = hwlearn(*SMALL, "--hardware", "--json")
    last = json.loads(ended.out[-1])
    assert (ended.code, last["event"], last["stopped"], last["finished"]) == (1, "end", "failed", 2)
    assert last["table"] == str(folder / "s" / "sweep.sqlite")
    assert "cannot write s/table.csv" in ended.err[-1]
    assert ended.err[-1].endswith(
        "2 of 2 points are finished and kept, write the table and the figure with: hwlearn sweep --resume -o s"
    )


def test_folder_in_the_place_of_the_figure_is_a_warning(hwlearn, folder, caplog):
    (folder / "s" / "sweep.svg").mkdir(parents=True)
    ended = hwlearn(*SMALL, "--hardware", "--json")
    assert (ended.code, "figure" in json.loads(ended.out[-1])) == (0, False)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("what", ["sweep_figure", "csv_text"])
def test_interrupt_while_the_results_are_written_ends_with_the_last_line(hwlearn, monkeypatch, what):
    monkeypatch.setattr(f"hwlearn.lab.sweeps.sweep.{what}", _drawing_fails(KeyboardInterrupt()))
    ended = hwlearn(*SMALL, "--hardware", "--json")
    last = json.loads(ended.out[-1])
    assert (ended.code, last["stopped"], last["points"], last["failed"]) == (130, "interrupted", 2, 0)
    assert last["seconds"] > 0
    assert last["table"].endswith("table.csv" if what == "sweep_figure" else "sweep.sqlite")
    assert ended.err[-1].startswith("hwlearn: interrupted; 2 of 2 points are finished and kept, write the table")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE points SET result = '{bad' WHERE number = 1", "the result of point 1 cannot be read"),
        ("UPDATE points SET result = '[1]'", "the result of point 0 has no values by name"),
        ("UPDATE points SET point = 3 WHERE number = 0", "point 0 has no values by name"),
        ("UPDATE points SET status = 'odd'", "the status of point 0 is 'odd'"),
        ("DELETE FROM meta WHERE key = 'definition'", "its definition has no values by name"),
        ("UPDATE meta SET value = '{}' WHERE key = 'definition'", "not of a sweep of a bench"),
        ("DROP TABLE points", "no such table"),
    ],
)
def test_damaged_table_is_one_line(hwlearn, damage, words):
    assert hwlearn(*SMALL, "--hardware").code == 0
    with closing(sqlite3.connect("s/sweep.sqlite")) as db, db:
        db.execute(damage)
    ended = hwlearn("sweep", "--resume", "-o", "s", "--hardware")
    assert ended.code in (1, 2)
    assert len(ended.err) == 1
    assert words in ended.err[0]
