"""What objects look like in a terminal and in a notebook: short, escaped, and without contacting anything."""

from dataclasses import replace

import numpy as np
import pytest
from html_pages import Page
from stored_runs import recorded

import hwlearn as hl
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import EdgeRecord
from hwlearn_sim import KirchhoffTwin

ATTACK = '<img src=x onerror="alert(1)">'
TAGS = {"div", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td"}


def shown(thing):
    """Return the text of an object's HTML, which is checked; and its plain text, which is one line."""
    page = Page.of(thing._repr_html_())
    assert {tag for tag, _ in page.tags} <= TAGS
    assert "\n" not in repr(thing)
    assert len(repr(thing)) < 400
    return page.text, repr(thing)


def test_topology_and_network_are_shown_open_and_closed(wide_limits):
    names = [ATTACK, "b", "c"]
    topology = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, names=names)
    assert ATTACK in shown(topology)[0]
    network = KirchhoffTwin(topology, wide_limits)
    network.measure([[0.1]])
    for state in ("open", "closed"):
        text, plain = shown(network)
        assert (
            plain == f"<KirchhoffTwin: 3 nodes, 2 edges, 1 inputs, 1 outputs, ground c, {state}, 1 measurements>"
        )
        assert f"state{state}" in text
        network.close()
    assert "not initialised" in repr(KirchhoffTwin.__new__(KirchhoffTwin))


def test_bench_is_shown_without_opening_its_network(bench_path, monkeypatch):
    bench = hl.open_bench(bench_path)
    text, plain = shown(bench)
    assert plain == "<Bench small: backend sim, not opened yet>"
    assert "limit of voltage500 mV" in text
    bench.open()
    monkeypatch.setattr(KirchhoffTwin, "instruments", property(lambda network: 1 / 0))  # must not be read
    assert shown(bench)[1] == "<Bench small: backend sim, open>"
    assert shown(bench.network)
    bench.close()
    assert shown(bench)[1] == "<Bench small: backend sim, closed>"


def test_history_and_programming_are_shown(bench_path):
    with hl.open_bench(bench_path) as bench:
        history = bench.train(record=False)
        result = bench.network.program(history.values)
    score = history.epochs[-1].train
    assert shown(history)[1] == (
        f"<History: finished after 5 epochs; rms error {1e3 * score.rms_error_V:.3f} mV on training samples; "
        f"{history.measurements:,} measurements>"
    )
    assert shown(result)[1] == "<Programmed: 30 edges, 0 failed>"
    failed = replace(result, failed=np.arange(30) == 7, reached=np.full(30, np.nan))
    assert "failed edges7" in shown(failed)[0]
    assert shown(hl.History())[1] == "<History: finished after 0 epochs; 0 measurements>"


def test_runs_are_shown_also_damaged_ones(bench_path, tmp_path):
    run = recorded(hl.open_bench(bench_path, ["train.epochs=2"]), tmp_path)
    run.set_meta(bench=ATTACK)
    recorded(hl.open_bench(bench_path, ["train.epochs=1"]), tmp_path)
    text, plain = shown(run)
    assert plain.startswith(f"<Run {run.name}: finished, 2 of 2 epochs, rms error ")
    assert ATTACK in text
    listed = hl.runs(tmp_path)
    assert isinstance(listed, list)
    assert "2 runs" in shown(listed)[0]
    (run.folder / "run.sqlite").write_bytes(b"no database")
    assert "which cannot be read" in shown(run)[1]
    assert "cannot be read" in shown(listed)[0]
    assert "0 runs" in shown(hl.runs(tmp_path / "none"))[0]


def test_calibration_record_is_shown(divider):
    record = CalibrationRecord.of(divider, (ATTACK,))
    found = {"gain": [1.1, 0.9], "gain_sigma": [0.01, 0.01], "scale_sigma": 0.1, "scale_known": False}
    text, plain = shown(record.with_step("edges", EdgeRecord(**found, chi=1.0, configurations=4)))
    assert plain.endswith(": edges>")
    assert "gain 0.9 to 1.1; chi 1; configurations 4; stuck 0 edges" in text
    assert ATTACK in text


@pytest.fixture
def divider():
    return hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
