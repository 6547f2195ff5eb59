"""``hwlearn sweep``: its lines, exit codes and refusals."""

import json

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
