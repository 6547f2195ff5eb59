"""Files that are replaced at once: their contents, leftovers and permissions."""

import os
import stat
import sys

import pytest

from hwlearn.errors import SetupError
from hwlearn.storage import atomic_file
from hwlearn.storage.atomic_file import write_atomically

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@posix
def test_new_file_has_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "report.html", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "report.html") == 0o640


@posix
def test_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "record.toml"
    path.write_bytes(b"old")
    path.chmod(0o600)
    write_atomically(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "record.toml"
    path.write_bytes(b"old")

    def fail(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file.os, "fsync", fail)
    with pytest.raises(atomic_file.StorageError, match="free some space"):
        write_atomically(path, b"new")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("record.toml", b"old")]


@posix
def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, what in (("pipe", "a named pipe"), ("link", "a named pipe"), ("folder", "a folder")):
        with pytest.raises(SetupError, match=f"it is {what}; give the name of a file"):
            write_atomically(tmp_path / name, b"new")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "pipe"]
