"""A full or read-only disk while something is recorded: outputs off first, one line, exit code 1, data kept."""

import contextlib
import errno
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hwlearn.lab.calibration.journal.journal import Journal
from hwlearn.lab.runs import recorder
from hwlearn.lab.runs.store import Run
from hwlearn.network.network import Network
from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog
from hwlearn_sim.twin.twin import KirchhoffTwin

pytestmark = pytest.mark.usefixtures("without_reports")

TRAIN = ("train", "small.toml", "--json", "--set", "train.epochs=30")


@pytest.fixture
def closed(monkeypatch):
    """The networks that were closed so far."""
    found = []
    close = Network.close

    def noted(network):
        found.append(network)
        close(network)

    monkeypatch.setattr(KirchhoffTwin, "close", noted)
    return found


@pytest.fixture
def limit_pages(monkeypatch):
    """Return a function that limits by how many pages the database of a run can grow, as a full disk does."""
    connect = recorder.connect

    def limit(pages):
        def limited(folder, *synchronous):
            db = connect(folder, *synchronous)
            if pages is not None:
                (now,) = db.execute("PRAGMA page_count").fetchone()
                db.execute(f"PRAGMA max_page_count={now + pages}")
            return db

        monkeypatch.setattr(recorder, "connect", limited)

    return limit


def whole_run(hwlearn):
    return Run.open(json.loads(hwlearn(*TRAIN).out[-1])["run"])


def test_run_on_a_full_disk_is_kept_and_resumed(hwlearn, limit_pages, closed):
    whole = whole_run(hwlearn)
    limit_pages(3)
    ended = hwlearn(*TRAIN)
    assert ended.code == 1
    assert closed
    (line,) = ended.err
    assert "cannot be written: database or disk is full; free some space on its disk; all stored" in line
    named = [row for row in map(json.loads, hwlearn("runs", "--json").out) if row["run"] in line]
    row = max(named, key=lambda row: len(row["run"]))  # the name of another run may be the beginning of its name
    run = Run.open(row["run"])
    assert row["status"].startswith("failed: ")
    printed = [json.loads(text)["number"] for text in ended.out if '"epoch"' in text]
    assert [epoch.number for epoch in run.epochs()][: len(printed)] == printed
    assert 0 < run.steps() < whole.steps()
    limit_pages(None)
    assert json.loads(hwlearn("resume", run.folder, "--json").out[-1])["stopped"] == "finished"
    assert (run.conductances() == whole.conductances()).all()


def test_run_on_a_disk_that_became_read_only_names_it(hwlearn, monkeypatch, closed):
    connect = recorder.connect

    def read_only(folder, *synchronous):
        connect(folder, *synchronous).close()
        return sqlite3.connect(f"file:{folder / 'run.sqlite'}?mode=ro", uri=True)

    monkeypatch.setattr(recorder, "connect", read_only)
    ended = hwlearn(*TRAIN)
    assert ended.code == 1
    assert closed
    assert "attempt to write a readonly database; its disk is read-only now" in ended.err[-1]


@pytest.mark.parametrize(
    ("number", "after"),
    [(errno.ENOSPC, 3), (errno.EFBIG, 3), (errno.EROFS, 4)],
    ids=["full", "limit", "read-only"],
)
@pytest.mark.usefixtures("without_rendering")
def test_calibration_on_a_full_disk_is_kept_and_continued(hwlearn, monkeypatch, closed, number, after):
    written = []

    def fsync(handle):
        written.append(handle)
        if len(written) > after:
            raise OSError(number, os.strerror(number))

    with monkeypatch.context() as full:
        full.setattr("hwlearn.storage.atomic_file.os.fsync", fsync)
        ended = hwlearn("calibrate", "small.toml", "noise", "--json")
        assert ended.code == 1
        assert closed
        (line,) = ended.err
        assert os.strerror(number) in line
        assert "its disk" in line
        assert "all measurements are kept; run the same command again to continue" in line
    again = hwlearn("calibrate", "small.toml", "noise", "--json")
    assert again.code == 0
    (done,) = [json.loads(text) for text in again.out if '"step"' in text and "kept" in text]
    assert done["kept"] > 0, "what was measured before is not measured again"


def test_entries_of_a_journal_survive_a_full_disk(tmp_path, monkeypatch):
    with Journal(tmp_path / "journal", {}) as journal:
        journal.keep(0, {"kind": "measure"}, {})
        monkeypatch.setattr("os.replace", lambda *_: None)
        with monkeypatch.context() as full:
            full.setattr("hwlearn.storage.atomic_file.os.fsync", _full)
            with pytest.raises(OSError, match="free some space"):
                journal.keep(1, {"kind": "measure"}, {})
        assert journal.answer(0, {"kind": "measure"}) == {}
        assert journal.entries == 1
    assert not list((tmp_path / "journal").glob(".*.npz.*")), "no rest of the entry that did not fit"


def _full(handle):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Wire:
    """A link that keeps what is sent."""

    has_clear = False

    def __init__(self):
        self.sent = []

    def write(self, data):
        self.sent.append(data)

    def close(self):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full of Linux")
def test_off_is_sent_although_the_wire_log_is_full():
    link, log = Wire(), WireLog("/dev/full")
    transport = Transport("smu", lambda: link, wire_log=log)
    with pytest.raises(LinkError, match=r"the wire log /dev/full cannot be written: .*No space left"):
        transport.write(":OUTP 1")
    transport.halt(":OUTP 0")
    transport.close()
    log.close()
    assert link.sent == [b":OUTP 0\n"]


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
from hwlearn.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of file sizes")
def test_file_size_limit_of_the_system_ends_a_run_that_can_be_resumed(hwlearn, folder):
    whole = whole_run(hwlearn)
    ended = subprocess.run([sys.executable, "-c", LIMITED, *TRAIN], capture_output=True, text=True, cwd=folder)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.count("\n") == 1
    assert "cannot be written" in ended.stderr
    run = Run.open(json.loads(ended.stdout.splitlines()[0])["run"])
    assert 0 < run.steps() < whole.steps()
    assert json.loads(hwlearn("resume", run.folder, "--json").out[-1])["stopped"] == "finished"
    assert (run.conductances() == whole.conductances()).all()


@pytest.fixture
def small_disk(folder):
    """A file system of 300 kB."""
    place = folder / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    with contextlib.suppress(OSError):
        subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system of Linux")
def test_full_file_system_ends_a_run_that_can_be_resumed(hwlearn, small_disk):
    whole = whole_run(hwlearn)
    ended = hwlearn(*TRAIN, "--runs", small_disk / "runs")
    assert ended.code == 1
    (line,) = ended.err
    assert "cannot be written" in line
    subprocess.run(["mount", "-o", "remount,size=20M", str(small_disk)], check=True)
    run = Run.open(json.loads(ended.out[0])["run"])
    assert 0 < run.steps() < whole.steps()
    assert json.loads(hwlearn("resume", run.folder, "--json").out[-1])["stopped"] == "finished"
    assert (run.conductances() == whole.conductances()).all()
