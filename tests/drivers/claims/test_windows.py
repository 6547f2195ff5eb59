"""Claims on Windows, as far as it can be imitated: the lock of one byte, the folder, and its permissions."""

import os
import sys
import types

import pytest

from hwlearn.errors import InUseError
from hwlearn_drivers.claims import folder, lock_file, windows
from hwlearn_drivers.claims.claim import Claim, owner_of
from hwlearn_drivers.claims.keys import address_key

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="imitates Windows")

KEY = address_key("COM3")


@pytest.fixture
def on_windows(monkeypatch, tmp_path):
    """Make the claims believe that they run on Windows; locks are the mandatory locks of one byte of `msvcrt`."""
    monkeypatch.setenv("HWLEARN_CLAIMS", str(tmp_path / "claims"))

    import fcntl

    def locking(handle, mode, count):
        assert (mode, count) == (2, 1)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(13, "Permission denied") from None

    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    for module in (lock_file, windows, folder):
        monkeypatch.setattr(module, "sys", types.SimpleNamespace(platform="win32"))
    granted = []
    monkeypatch.setattr(windows.subprocess, "run", lambda command, **_: granted.append(command))
    return granted


def test_second_opener_is_refused_and_the_content_stays_readable(on_windows, tmp_path):
    claim = Claim("COM3", KEY)
    assert owner_of(KEY).pid == os.getpid()
    with pytest.raises(InUseError, match="this process"):
        Claim("ASRL3::INSTR", address_key("ASRL3::INSTR"))
    claim.release()
    assert owner_of(KEY) is None
    assert on_windows == [["icacls", str(tmp_path / "claims"), "/grant", "*S-1-5-32-545:(OI)(CI)M"]]


def test_locked_byte_is_behind_the_content(on_windows, tmp_path):
    (tmp_path / "file").touch()
    handle = os.open(tmp_path / "file", os.O_RDWR)
    assert windows.locked(handle)
    assert os.lseek(handle, 0, os.SEEK_CUR) > lock_file.MOST_BYTES
    os.close(handle)


def test_folder_is_in_the_data_of_all_users(on_windows, monkeypatch):
    monkeypatch.delenv("HWLEARN_CLAIMS")
    monkeypatch.setenv("PROGRAMDATA", "D:/Data")
    assert folder.claims_folder().as_posix() == "D:/Data/hwlearn/claims"
