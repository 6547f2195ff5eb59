"""The report as one HTML file: complete, closed to the outside, and there for every way a run can end."""

import json
import re
import signal
import sqlite3
import time

import numpy as np
import pytest
from html_pages import Page
from noisy_benches import write_bench
from stored_runs import recorded

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.runs.html_report import tables
from hwlearn.lab.runs.html_report.verdict import wilson_interval
from hwlearn.lab.runs.packing import Encoding, Packed, pack
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import write_report
from hwlearn.lab.runs.store import Run
from hwlearn.lab.runs.views.energy import energy_of_run
from hwlearn.lab.runs.views.failures import failed_edges
from hwlearn.learning.energy import training_energy
from hwlearn.units import format_quantity

ATTACK = "<script>alert(1)</script> $\\frac \"'> \u202e"


def reported(run, **options):
    path = run.report(**options)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    page = Page.of(text)
    assert len(page.ids) == len(set(page.ids))
    assert not page.all("script")
    assert not page.all("link")
    assert all(one.startswith(("#", "data:image/png;base64,")) for one in page.references)
    used = {one[1:] for one in page.references if one.startswith("#")}
    used |= set(re.findall(r"url\(#([^)]+)\)", text))
    used |= {name for _, attributes in page.tags for name in (attributes.get("aria-labelledby") or "").split()}
    assert used <= set(page.ids)
    assert "@import" not in text
    assert not re.findall(r"(?<!xmlns=\")https?://", text)
    return page


def test_report_is_complete_accessible_and_needs_nothing_else(tmp_path, monkeypatch):
    bench = hl.open_bench("iris", ["train.epochs=3"])
    with bench:
        bench.train(record=tmp_path, note=ATTACK)
        result = bench.evaluate()
    run = hl.open_run(bench.run_folder)
    run.set_meta(result={"measured": vars(result.measured), "true": None, "rows": 45, "held_out": True})
    monkeypatch.chdir(tmp_path)
    page = reported(run)
    assert (run.folder / "report.html").is_file()
    assert f"{100 * result.measured.accuracy:.1f} % on 45 held-out samples" in page.text
    assert "<script>alert(1)</script>" in page.text  # as text
    assert "\u202e" not in page.text
    assert page.headings[1:] == [
        f"Accuracy {100 * result.measured.accuracy:.1f} % on 45 held-out samples",
        *("Learning curves", "Predicted and target", "Edges", "Programming"),
        *("Energy", "Calibration", "Bench", "Instruments", "Provenance"),
    ]
    drawings = page.all("svg")
    assert len(drawings) == 7
    assert all(one["role"] == "img" for one in drawings)
    assert all(one["scope"] in ("row", "col") for one in page.all("th"))
    costs = [float(cost) for row in re.findall(r"<tr>.*?</tr>", run_text(run)) for cost in worst_cost(row)]
    with run.contents() as contents:
        last = np.concatenate([read["costs"] for _, read in contents.rows("batches", "WHERE epoch = 2")])
    np.testing.assert_allclose(costs, np.sort(last)[:-11:-1], rtol=1e-3)


def run_text(run):
    return (
        (run.folder / "report.html")
        .read_text(encoding="utf-8")
        .partition("Worst samples")[2]
        .partition("</table")[0]
    )


def worst_cost(row):
    return re.findall(r'<td class="number">([^<]+)</td></tr>', row)


@pytest.mark.share(2)
@pytest.mark.parametrize("state", ["created", "one batch", "one epoch", "summary", "copy of a killed run"])
def test_every_run_has_a_report(bench_path, tmp_path, state):
    overrides = ["train.epochs=2", *(['run.keep="summary"'] if state == "summary" else [])]
    run = Run.create(hl.open_bench(bench_path, overrides), tmp_path)
    stop = {"one batch": 1, "one epoch": 3, "copy of a killed run": 4}.get(state)
    if state != "created":
        run = recorded(hl.open_bench(bench_path, overrides), tmp_path, stop)
    if state == "copy of a killed run":
        run.set_meta(status="running")
    page = reported(run, path=tmp_path / "report.html")
    expected = {
        "created": ("created", "Nothing was measured.", "Nothing was programmed."),
        "one batch": ("No epoch was completed",),
        "one epoch": ("after 1 epoch",),
        "summary": ('keep = "summary"',),
        "copy of a killed run": ("aborted", "can be resumed"),
    }
    assert all(text in page.text for text in expected[state])


def test_targets_of_a_missing_data_file_are_not_invented(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path, ["train.epochs=1"]), tmp_path)
    with sqlite3.connect(run.folder / "run.sqlite") as db:
        db.execute("UPDATE meta SET value = '\"other\"' WHERE key = 'data_sha256'")
    page = reported(run)
    assert "Targets are not shown. The data file is not that of the run any more." in page.text
    assert "The drops are not drawn" in page.text


@pytest.mark.slow
def test_transistors_are_reported_in_volts(tmp_path):
    page = reported(recorded(hl.open_bench(write_bench(tmp_path, "sim transistors", epochs=1)), tmp_path / "runs"))
    assert "range of gate voltages400 mV to 8 V" in page.text
    assert "A wider line: a higher place in its range." in page.text


@pytest.mark.slow
def test_saturated_readings_are_counted(bench_path, tmp_path, mocker):
    def packed(samples, gradient, keep):
        read = {"outputs": gradient.outputs, "costs": gradient.costs, "free_voltages": gradient.outputs}
        return pack({"samples": samples, **read, "free_saturated": gradient.outputs > gradient.outputs.min()})

    mocker.patch("hwlearn.lab.runs.recorder.packed_batch", packed)
    run = recorded(hl.open_bench(bench_path, ["train.epochs=1", "train.batch=6"]), tmp_path)
    assert "saturated readings17 of 18 in the last epoch" in reported(run).text


def test_edges_that_missed_their_targets_are_crossed(bench_path, tmp_path):
    whole = reported(recorded(hl.open_bench(bench_path, ["train.epochs=1"]), tmp_path / "whole")).text
    assert "missed their targets" not in whole
    stuck = {"train.epochs": 1, "backend.stuck_fraction": 0.3}
    run = recorded(hl.open_bench(bench_path, stuck), tmp_path / "stuck")
    with run.contents() as contents:
        count = int(failed_edges(contents).sum())
    assert count >= 1
    assert reported(run).text.count(f"Edges that missed their targets are crossed: {count}.") == 2


def test_energy_is_shown_where_it_is_known(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path, ["train.epochs=2"]), tmp_path)
    free = sum(epoch.energy["free_J"] for epoch in run.epochs())
    with run.contents() as contents:
        text = Page.of(tables.energy(energy_of_run(contents, run.epochs()))).text
    assert f"free phases{format_quantity(free, 'J')} in " in text
    assert "programmingenergy not known" in text
    assert "whole training, energy without programming" in text
    assert tables.energy({}) == ""


def test_energy_of_an_interrupted_epoch_is_in_the_report(bench_path, tmp_path):
    class Press(hl.Callback):
        def on_step(self, step):
            if step.number == 4:  # the first of two batches
                signal.raise_signal(signal.SIGINT)

    bench = hl.open_bench(bench_path, ["train.epochs=4", "train.batch=3"])
    run = Run.create(bench, tmp_path)
    with bench, RunRecorder(run, bench) as recorder:
        history = bench.train(callbacks=[recorder, Press()], progress=False)
    assert history.stopped == "interrupted"
    with run.contents() as contents:
        found = energy_of_run(contents, run.epochs())
    assert found == history.energy
    assert found["updates"] > sum(epoch.energy["updates"] for epoch in run.epochs())
    assert found["training_J"] > training_energy(epoch.energy for epoch in run.epochs())["training_J"]


def test_ending_and_format_of_a_report_agree(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path, ["train.epochs=1"]), tmp_path)
    assert write_report(run, kind="png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in write_report(run, kind="svg").read_bytes()
    assert write_report(run, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(RunError, match=r"ends in \.png, and the format is html"):
        write_report(run, tmp_path / "a.png", "html")
    with pytest.raises(RunError, match="'docx' is no format of figures"):
        write_report(run, tmp_path / "a.docx")


def test_wilson_interval_against_published_values():
    """Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3."""
    published = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605)}
    published |= {(0, 20): (0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (count, of), ends in published.items():
        np.testing.assert_allclose(wilson_interval(count / of, of), ends, atol=5e-5)


@pytest.mark.slow
def test_report_of_a_million_measurements_is_small(tmp_path, figure):
    bench = hl.open_bench("iris", ["train.epochs=1"])
    run = recorded(bench, tmp_path)
    each = run.epochs()[0].measurements
    with sqlite3.connect(run.folder / "run.sqlite") as db:
        _repeat(db, -(-1_000_000 // each))
    began = time.perf_counter()
    reported(run)
    size = (run.folder / "report.html").stat().st_size
    seconds = time.perf_counter() - began
    figure(f"report of 1 000 000 measurements: {size / 1e6:.2f} MB (at most 3 MB) in {seconds:.0f} s")
    assert size < 3e6


def _repeat(db, epochs):
    """Repeat the only epoch of a run until it has so many."""
    batches = db.execute("SELECT * FROM batches ORDER BY step").fetchall()
    updates = db.execute("SELECT * FROM updates ORDER BY step").fetchall()
    (record,) = db.execute("SELECT record FROM epochs").fetchone()
    layouts = dict(db.execute("SELECT id, arrays FROM layouts"))

    def again(table, row, keys):
        layout, encoding, _, data = row[-4:]
        check = Packed(layouts[layout], Encoding(encoding), data).checksum(*keys)
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT INTO {table} VALUES ({marks})", (*keys, layout, encoding, check, data))

    steps = len(batches)
    for epoch in range(1, epochs):
        for k, (batch, update) in enumerate(zip(batches, updates, strict=True)):
            step = epoch * steps + k
            again("batches", batch, (step, epoch, *batch[2:5]))
            again("updates", update, (step, epoch, update[2]))
        text = json.dumps({**json.loads(record), "number": epoch})
        check = Packed("[]", Encoding.PLAIN, b"").checksum(epoch, text)
        db.execute("INSERT INTO epochs VALUES (?, ?, ?)", (epoch, text, check))
    for table, keys in (("optimizer", (0, epochs * steps - 1)), ("network", (0, epochs * steps, epochs))):
        row = db.execute(f"SELECT * FROM {table}").fetchone()
        db.execute(f"DELETE FROM {table}")
        again(table, row, keys)
