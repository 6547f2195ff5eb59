"""``hwlearn resume --epochs``: a finished run goes on as if it had been longer from the beginning."""

import json
import tomllib

import pytest
from stored_runs import everything

from hwlearn.lab.runs.store import Run

pytestmark = pytest.mark.usefixtures("without_reports")
NOISY = ("backend.read_noise=1 mV", "train.anneal=1.0")


def trained(hwlearn, *changes):
    ended = hwlearn("train", "small.toml", "--json", *(word for change in changes for word in ("--set", change)))
    assert ended.code == 0, ended.err
    return Run.open(json.loads(ended.out[0])["run"])


@pytest.mark.share(1)
@pytest.mark.parametrize("keep", ["last", "best"])
def test_extended_run_equals_one_that_was_longer_from_the_beginning(hwlearn, keep):
    run = trained(hwlearn, *NOISY, f"train.keep={keep}", "train.epochs=3")
    whole = trained(hwlearn, *NOISY, f"train.keep={keep}", "train.epochs=8")
    ended = hwlearn("resume", run.folder, "--epochs", 8, "--note", "five more", "--json")
    assert ended.code == 0, ended.err
    mine, theirs = everything(run), everything(whole)
    assert mine["rows"] == theirs["rows"]
    assert [epoch.train for epoch in mine["epochs"]] == [epoch.train for epoch in theirs["epochs"]]
    assert run.meta("result") == whole.meta("result")
    assert run.meta("epochs_requested") == 8
    text = (run.folder / "bench.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["train"]["epochs"] == 8
    with run.contents() as contents:
        assert contents.notes() == ["five more"]
        assert [part.facts["note"] for part in contents.sessions()] == [None, "five more"]
    assert hwlearn("resume", run.folder).code == 2
    assert hwlearn("resume", run.folder, "--epochs", 9, "--json").code == 0


def test_extension_that_changes_nothing_is_refused(hwlearn):
    run = trained(hwlearn, "train.epochs=3")
    for words, text in (
        (["--epochs", 3], "has 3 epochs already; --epochs is the number in total, at least 4"),
        ([], "is complete (finished); there is nothing to resume; to extend it, add --epochs N"),
    ):
        refused = hwlearn("resume", run.folder, *words)
        assert refused.code == 2
        assert text in refused.err[0]
    assert run.status == "finished"


def test_run_that_did_not_improve_is_not_extended(hwlearn):
    run = trained(hwlearn, "train.patience=1", "train.rate=5.0", "train.epochs=30")
    assert run.status == "no improvement"
    refused = hwlearn("resume", run.folder, "--epochs", 40)
    assert refused.code == 2
    assert "did not improve within train.patience epochs" in refused.err[0]
