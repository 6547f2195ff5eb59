"""Folder locks: one holder at a time, named after what the folder holds."""

import subprocess
import sys

import pytest

from hwlearn.errors import RunError
from hwlearn.storage.lock import FolderLock


@pytest.mark.parametrize("what", ["run", "calibration"])
def test_second_lock_is_refused_and_names_what_the_folder_holds(tmp_path, what):
    with FolderLock(tmp_path, what), pytest.raises(RunError, match=f"^{what} .* is being written by another"):
        FolderLock(tmp_path, what)
    FolderLock(tmp_path, what).release()


def test_lock_ends_with_its_process(tmp_path):
    program = (
        "import os, pathlib; from hwlearn.storage.lock import FolderLock; "
        f"lock = FolderLock(pathlib.Path({str(tmp_path)!r}), 'run'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    FolderLock(tmp_path, "run").release()


def test_releasing_twice_is_harmless(tmp_path):
    lock = FolderLock(tmp_path, "run")
    lock.release()
    lock.release()
