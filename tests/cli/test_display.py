"""The progress line and the closing table of a training, at the usual widths of a terminal."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

import hwlearn as hl
from hwlearn.cli.display import closing_table
from hwlearn.lab.bench.evaluation import Evaluation
from hwlearn.lab.progress.terminal import LiveProgress, outputs_on
from hwlearn.learning.records import Epoch, History
from hwlearn.learning.scoring import Score

VOLTS = Score(0.00123, rms_error_V=0.123456)
CLASSES = Score(0.0456, accuracy=1.0)


def terminal(width):
    return Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None)


def last_line(console):
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    return [line.rstrip() for line in re.split("[\r\n]", text) if line.strip()][-1]


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("score", [VOLTS, CLASSES], ids=["volts", "classes"])
@pytest.mark.parametrize("name", ["iris", "digits-diode", "a-bench-with-a-very-long-name"])
def test_progress_line_keeps_epochs_score_and_time_left(width, score, name):
    console = terminal(width)
    shown = LiveProgress(name, 400, 8, console=console)
    for number in (0, 1):
        shown.on_epoch(Epoch(number, score, None, 123456, 0, 0.01))
    shown.stop()
    line = last_line(console)
    assert len(line) <= width
    assert line.startswith(name[:15])
    assert "2/400 epochs" in line
    assert ("rms error 123.456 mV" if score is VOLTS else "accuracy 100.0 %") in line
    assert re.search(r"\d:\d\d:\d\d left", line)
    assert ("cost" in line) == (width >= 100)
    assert ("measurements/s" in line) == (width >= 120)
    assert line.count("…") == (len(name) > 16)


def test_finished_progress_line_shows_the_whole_time():
    console = terminal(80)
    shown = LiveProgress("iris", 1, 8, console=console)
    shown.on_epoch(Epoch(0, VOLTS, None, 12, 0, 0.01))
    shown.stop()
    assert re.search(r"\d:\d\d:\d\d in total", last_line(console))


def test_progress_of_a_resumed_run_starts_at_its_epochs():
    console = terminal(80)
    LiveProgress("iris", 60, 4, 25, console).stop()
    assert "25/60 epochs" in last_line(console)


@pytest.mark.parametrize("validated", [False, True])
def test_closing_table_names_the_best_epoch(validated):
    scores = [Score(0.3, 0.8), Score(0.1, 0.975), Score(0.2, 0.9)]
    worse = Score(0.5, 0.5)
    epochs = [Epoch(k, worse if validated else s, s if validated else None, 9, 0, 1) for k, s in enumerate(scores)]
    history = History(epochs, np.array([1e-6, 1e-4]), best_epoch=1)
    console = terminal(80)
    console.print(closing_table(Evaluation(scores[2], None, 45, True), history, 4.31, 16932))
    text = console.file.getvalue()
    kind = "validation" if validated else "training"
    assert f"2 of 3: accuracy 97.5 % on {kind} samples" in text
    assert "accuracy 90.0 % on 45 held-out samples" in text
    assert "finished after 3 epochs, 4.3 s" in text
    assert "16,932" in text


def test_closing_table_of_an_interrupted_training_has_no_result():
    console = terminal(80)
    console.print(closing_table(None, History([], np.array([1e-6]), None, "interrupted"), 0.5, 12))
    assert "interrupted after 0 epochs" in console.file.getvalue()
    assert "best epoch" not in console.file.getvalue()


@pytest.mark.parametrize("name", ["a-bench-with-a-very-long-name", "[bold]bench[/bold]"])
def test_large_epoch_numbers_are_shown_in_full_beside_a_long_name(name):
    console = terminal(80)
    shown = LiveProgress(name, 1_000_000, 8, console=console)
    for number in (499_999, 500_000):
        shown.on_epoch(Epoch(number, VOLTS, None, 123456, 0, 0.01))
    shown.stop()
    line = last_line(console)
    assert line.startswith(name[:6])
    assert "500001/1000000 epochs  rms error 123.456 mV" in line
    assert re.search(r"(\d:\d\d:\d\d|-:--:--) left", line)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_progress_line_says_that_outputs_are_on_while_they_are(width):
    console, on = terminal(width), [True]
    shown = LiveProgress("digits-diode", 400, 8, console=console, outputs_on=lambda: on[0])
    shown.on_epoch(Epoch(0, VOLTS, None, 123456, 0, 0.01))
    shown.stop()
    line = last_line(console)
    assert line.startswith("OUTPUTS ON ")
    assert len(line) <= width
    assert "1/400 epochs" in line
    assert "rms error 123.456 mV" in line
    on[0] = False
    console = terminal(width)
    shown = LiveProgress("digits-diode", 400, 8, console=console, outputs_on=lambda: on[0])
    shown.stop()
    assert "OUTPUTS ON" not in last_line(console)


def test_outputs_of_a_bench_are_on_from_the_first_measurement_until_they_are_switched_off():
    with hl.open_bench("virtual-smu") as bench:
        are_on = outputs_on(bench)
        assert are_on is not None
        assert not are_on()
        bench.network.measure(np.zeros((1, bench.topology.n_inputs)))
        assert are_on()
        bench.network.switch_off()
        assert not are_on()
    assert not are_on()
    with hl.open_bench("iris") as bench:
        assert outputs_on(bench) is None
