"""A truncated or damaged database of a run gives one named error, never a traceback and never other numbers."""

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from campaign import commit_seed
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from shares import examples

import hwlearn as hl
from hwlearn.errors import RunError
from hwlearn.lab.runs.packing import Encoding, Packed, pack
from hwlearn.lab.runs.reading import reported_damage
from hwlearn.lab.runs.recorder import RunRecorder
from hwlearn.lab.runs.report import draw_run
from hwlearn.lab.runs.store import Run


@pytest.fixture(scope="module")
def intact(tmp_path_factory, bench_text):
    """A finished run, and what it answers."""
    folder = tmp_path_factory.mktemp("intact")
    (folder / "small.toml").write_text(bench_text, encoding="utf-8")
    bench = hl.open_bench(folder / "small.toml", ["train.epochs=6"])
    run = Run.create(bench, folder / "runs")
    with bench, RunRecorder(run, bench) as recorder:
        bench.train([recorder])
    return run, answers(run)


def answers(run):
    """Return every number that a run answers."""
    with Run.open(run.folder).contents() as contents:
        progress = contents.progress()
        contents.sessions()
        contents.seconds()
        return [
            contents.conductances().tobytes(),
            [contents.conductances(step).tobytes() for step in range(contents.steps())],
            [{k: v.tobytes() for k, v in contents.readings(step).items()} for step in range(contents.steps())],
            contents.epochs(),
            contents.true_scores(),
            [array.tobytes() for array in progress.optimizer_state.values()],
            progress.network.reached.tobytes(),
        ]


def damaged(run, folder, data):
    """Return a copy of a run with other contents of its database."""
    shutil.rmtree(folder, ignore_errors=True)
    copy = Run(shutil.copytree(run.folder, folder))
    (folder / "run.sqlite").write_bytes(data)
    return copy


def outcome(read):
    """Return what a function returns and None, or None and the text of its error."""
    try:
        return read(), None
    except RunError as error:
        return None, str(error)


def check(copy, wanted):
    """Everything that reads the run returns what it had, or raises an error that names it."""
    for read in (lambda: answers(copy), lambda: copy.status, copy.bench, lambda: draw_run(copy)):
        got, error = outcome(read)
        if error is not None:
            assert copy.folder.name in error
            assert error.isprintable()
        elif isinstance(got, list):
            assert got == wanted


@pytest.fixture
def not_drawn(monkeypatch):
    """Reports are composed, but not rendered, which takes long."""
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **_: file.write(b"picture"))


@pytest.mark.usefixtures("not_drawn")
def test_truncated_database_is_named(intact, tmp_path):
    run, wanted = intact
    data = (run.folder / "run.sqlite").read_bytes()
    for size in [0, 1, 15, 16, 99, 100, 4095, 4096, *np.linspace(5000, len(data) - 1, 25).astype(int).tolist()]:
        copy = damaged(run, tmp_path / "copy", data[:size])
        with pytest.raises(RunError, match=r"copy"), Run.open(copy.folder).contents() as contents:
            contents.verify()
        check(copy, wanted)


@pytest.mark.usefixtures("not_drawn")
def test_changed_bytes_change_no_number(intact, tmp_path):
    run, wanted = intact
    whole, rng = (run.folder / "run.sqlite").read_bytes(), np.random.default_rng(commit_seed())
    for _ in range(15):
        content, start = bytearray(whole), int(rng.integers(len(whole)))
        new = rng.bytes(int(rng.integers(1, 65))) if rng.random() < 0.8 else bytes(4096)
        content[start : start + len(new)] = new
        check(damaged(run, tmp_path / "changed", bytes(content)), wanted)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.text(max_size=60) | st.sampled_from(['[["a","<f8",[3]]]', '[["a","<f8",[9999999999999999999]]]']),
    st.binary(),
)
@pytest.mark.parametrize("encoding", Encoding)
def test_unreadable_blob_is_reported_with_the_name_of_its_run(encoding, layout, data):
    with contextlib.suppress(RunError), reported_damage(Path("my-run")):
        Packed(layout, encoding, data).arrays()


def test_compressed_blob_that_expands_without_end_is_refused():
    packed = pack({"a": np.zeros(10_000_000)}, Encoding.ZLIB)
    small = pack({"a": np.zeros(10)})
    with pytest.raises(ValueError, match="bytes instead of 80"):
        Packed(small.layout, Encoding.ZLIB, packed.data).arrays()
