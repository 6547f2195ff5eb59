"""The folder of the claims and its files: for all users, and whatever somebody else put there."""

import json
import os
import stat
import sys
import time

import pytest

from hwlearn.errors import InUseError, SetupError
from hwlearn_drivers.claims import folder, lock_file
from hwlearn_drivers.claims.claim import Claim, claim_path, owner_of
from hwlearn_drivers.claims.keys import address_key
from hwlearn_drivers.claims.owner import Owner

ADDRESS = "socket://192.0.2.5:5025"
KEY = address_key(ADDRESS)

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files and permissions")


@POSIX
def test_folder_and_files_are_for_all_users(claims_here):
    before = os.umask(0o077)
    try:
        claim = Claim(ADDRESS, KEY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(claims_here.stat().st_mode) == 0o1777
    assert stat.S_IMODE(claim_path(KEY).stat().st_mode) == 0o666
    claim.release()


@POSIX
@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_file_of_another_kind_is_refused_and_untouched(claims_here, tmp_path, kind):
    claims_here.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious", encoding="utf-8")
    path = claim_path(KEY)
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "hard link":
        path.hardlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(SetupError, match=r"cannot be used|no plain file"):
        Claim(ADDRESS, KEY)
    with pytest.raises(SetupError):
        owner_of(KEY)
    assert victim.read_text(encoding="utf-8") == "precious"


@POSIX
@pytest.mark.parametrize("kind", ["file", "link", "missing parent"])
def test_folder_that_cannot_be_used_is_an_error_with_advice(tmp_path, monkeypatch, kind):
    place = tmp_path / "place"
    if kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to(tmp_path)
    else:
        (tmp_path / "file").touch()
        place = tmp_path / "file" / "place"
    monkeypatch.setenv("HWLEARN_CLAIMS", str(place))
    with pytest.raises(SetupError, match="set HWLEARN_CLAIMS"):
        Claim(ADDRESS, KEY)


@POSIX
def test_folder_without_permission_is_an_error(claims_here, monkeypatch):
    claims_here.mkdir()
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(SetupError, match="may not write"):
        Claim(ADDRESS, KEY)


@POSIX
def test_existing_file_is_opened_without_creating_it(claims_here, monkeypatch):
    """Linux refuses O_CREAT for a file of another user in a sticky folder (fs.protected_regular)."""
    Claim(ADDRESS, KEY).release()
    opened = os.open

    def protected(path, flags, *mode, **named):
        if str(path) == str(claim_path(KEY)) and flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, flags, *mode, **named)

    monkeypatch.setattr(os, "open", protected)
    Claim(ADDRESS, KEY).release()


@POSIX
def test_file_that_is_deleted_while_it_is_locked_is_locked_anew(claims_here, monkeypatch):
    locked, cleaned = lock_file._locked, []

    def cleaner(handle, shared=False):
        if not cleaned:
            cleaned.append(claim_path(KEY).unlink())
        return locked(handle, shared)

    monkeypatch.setattr(lock_file, "_locked", cleaner)
    claim = Claim(ADDRESS, KEY)
    assert owner_of(KEY).pid == os.getpid()
    claim.release()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"pid": 1}', b"\xff\xfe", b"[" * 100_000, b'{"pid": true}'],
    ids=["empty", "cut", "list", "null", "incomplete", "binary", "deep", "flag"],
)
def test_content_that_is_no_claim_names_nobody(content):
    assert not Owner.parse(content).known


def test_content_of_somebody_else_cannot_forge_the_message():
    mine = json.loads(Owner.this_process(ADDRESS, 0, "").content())
    forged = Owner.parse(json.dumps(mine | {"command": "x\x1b[2J\ny" + "z" * 5000}).encode())
    assert "\x1b" not in str(forged)
    assert "\n" not in str(forged)
    assert len(str(forged)) < 600
    assert not Owner.parse(json.dumps(mine | {"port": 70000}).encode()).known
    assert not Owner.parse(json.dumps(mine | {"pid": -5}).encode()).known


@POSIX
def test_lock_without_a_name_is_refused_too(claims_here):
    import fcntl

    Claim(ADDRESS, KEY).release()
    with claim_path(KEY).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        began = time.monotonic()
        with pytest.raises(InUseError, match="did not leave its number"):
            Claim(ADDRESS, KEY)
        assert 0.2 < time.monotonic() - began < 5
    Claim(ADDRESS, KEY).release()


def test_default_folder_is_one_for_all_users(monkeypatch):
    monkeypatch.delenv("HWLEARN_CLAIMS")
    monkeypatch.setenv("TMPDIR", "/somewhere/of/one/user")
    monkeypatch.setenv("HOME", "/somewhere/of/one/user")
    assert folder.claims_folder().parts[1] in ("run", "tmp") or sys.platform == "win32"
    monkeypatch.setattr(folder, "_shared", lambda place: False)
    if sys.platform != "win32":
        assert str(folder.claims_folder()) == "/tmp/hwlearn-claims"
