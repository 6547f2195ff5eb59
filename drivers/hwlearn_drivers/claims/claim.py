"""`Claim`: this process alone uses an instrument, until the claim is released or the process ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hwlearn.errors import InUseError, SetupError
from hwlearn_drivers.claims.folder import claims_folder, prepared_folder
from hwlearn_drivers.claims.keys import AddressKey, address_key, instrument_key
from hwlearn_drivers.claims.listener import Listener
from hwlearn_drivers.claims.lock_file import LockFile, read_if_locked
from hwlearn_drivers.claims.owner import Owner
from hwlearn_drivers.errors import HaltedError, OutputsMayBeOnError

_NAMED_S: Final = 0.3
"""Time in which an owner that has just locked a file writes its name into it."""

_READERS_S: Final = 2.0
"""Time in which others that only look who the owner is let go of a file."""

_held: list[Claim] = []
_guard = threading.RLock()
_listener: Listener | None = None
_switch_off: Callable[[str], None] | None = None
_report: Callable[[], dict[str, dict[str, Any]]] | None = None


class Claim:
    """The claim of an instrument: first of its address, then, with `identified`, of its serial number.

    A forked child does not hold the claims of its parent. Behind an adapter, the adapter is claimed too, once for
    all instruments of this process.

    Parameters
    ----------
    address : str
        As the bench file spells it.
    key : AddressKey or None
        None if nothing needs to be claimed.

    Raises
    ------
    InUseError
        If another process, or this one, has claimed it. Nothing was sent.
    SetupError
        If the folder of the claims cannot be used.

    Attributes
    ----------
    switched_off_by : str or None
        Why another process switched the outputs off.
    """

    def __init__(self, address: str, key: AddressKey | None) -> None:
        self.address, self.key = address, key
        self.switched_off_by: str | None = None
        self._instrument: str | None = None
        self._files: list[LockFile] = []
        self._adapter: LockFile | None = None  # one claim of those behind an adapter holds it
        self._pid = 0
        self.renew()

    def renew(self) -> None:
        """Go on after the outputs were switched off; claim the instrument again if the claim was released.

        Raises
        ------
        InUseError, SetupError
            As the constructor.
        """
        self.switched_off_by = None
        if self.key is None or self._pid == os.getpid():
            return
        with _guard:
            self._pid = os.getpid()
            _held.append(self)
            try:
                self._lock(self.key.text)
                if self._instrument is not None:
                    self._lock(self._instrument)
                if self.key.adapter and not any(claim._adapter for claim in self._beside()):
                    self._lock(self.key.adapter)
                    self._adapter = self._files.pop()
            except BaseException:
                self.release()
                raise

    def identified(self, model: str, serial: str) -> None:
        """Claim the instrument that answers at the address, because others may reach it at another address.

        Raises
        ------
        InUseError
            If another process, or this one, has claimed it.
        """
        if self.key is None or self.key.alone or self._instrument is not None or self._pid != os.getpid():
            return
        wanted = instrument_key(model, serial)
        if wanted is not None:
            self._lock(wanted)
            self._instrument = wanted

    def check(self) -> None:
        """Refuse to go on with an instrument that was switched off by another process while it was being opened.

        Raises
        ------
        HaltedError
        """
        if self.switched_off_by is not None:
            raise HaltedError(f"outputs were switched off: {self.switched_off_by}; {self.address} was not opened")

    def release(self) -> None:
        """Release the claim; releasing it twice is harmless."""
        if self._pid != os.getpid():
            return
        with _guard:
            self._pid = 0
            for file in self._files:
                file.release()
            self._files.clear()
            heir = next(iter(self._beside()), None)
            if self._adapter is not None and heir is not None:
                heir._adapter = self._adapter
            elif self._adapter is not None:
                self._adapter.release()
            self._adapter = None
            if self in _held:
                _held.remove(self)
        _stop_listening()

    def touch(self) -> None:
        """Renew the times of the files, see `LockFile.touch`."""
        for file in [*self._files, *filter(None, [self._adapter])]:
            file.touch()

    def abandon(self) -> None:
        """Leave the claim to the parent, in a forked child."""
        self._pid = 0
        for file in [*self._files, *filter(None, [self._adapter])]:
            file.abandon()
        self._files.clear()
        self._adapter = None

    def _beside(self) -> list[Claim]:
        """Return the other claims of this process behind the same adapter."""
        adapter = "" if self.key is None else self.key.adapter
        return [c for c in _held if adapter and c is not self and c.key is not None and c.key.adapter == adapter]

    def _lock(self, key: str) -> None:
        path = prepared_folder() / _file_name(key)
        began = time.monotonic()
        while (file := LockFile.lock(path)) is None:
            owner = _named(path)
            waited_s = time.monotonic() - began
            if owner is not None and (owner.alive or waited_s > _NAMED_S):
                raise _in_use(self.address, owner, path)
            if waited_s > _READERS_S:
                raise SetupError(
                    f"the instrument at {self.address} cannot be claimed: a program that is no owner holds a lock "
                    f"of {path}; nothing was sent; end that program (on Linux: fuser {path})"
                )
            time.sleep(0.002)
        self._files.append(file)
        port, token = _listening()
        file.write(Owner.this_process(self.address, port, token).content())


def owner_of(key: AddressKey | None) -> Owner | None:
    """Return the process that has claimed an address; None if nobody has.

    Raises
    ------
    SetupError
        If the file of the claim cannot be read.
    """
    if key is None:
        return None
    path = claim_path(key)
    deadline = time.monotonic() + _NAMED_S
    while (owner := _named(path)) is not None and not owner.alive and time.monotonic() < deadline:
        time.sleep(0.002)
    return owner


def check_unclaimed(addresses: list[str]) -> None:
    """Refuse a bench of which one instrument is in use, before the first one is opened.

    Raises
    ------
    InUseError
        If an address is claimed.
    """
    for address in addresses:
        owner = owner_of(address_key(address))
        if owner is not None:
            raise _in_use(address, owner, claims_folder())


def claim_path(key: AddressKey) -> Path:
    """Return the file of the claim of an address."""
    return claims_folder() / _file_name(key.text)


def switch_off_with(function: Callable[[str], None]) -> None:
    """Set what switches all outputs of this process off; it takes the reason."""
    global _switch_off
    _switch_off = function


def report_with(function: Callable[[], dict[str, dict[str, Any]]]) -> None:
    """Set what reports the instruments of this process, by the key of the address; it sends them nothing."""
    global _report
    _report = function


def _in_use(address: str, owner: Owner, path: Path) -> InUseError:
    return InUseError(
        f"the instrument at {address} is in use by {owner}; nothing was set or measured; wait until it ends, or "
        f"stop it and switch its outputs off with: hwlearn off BENCH (claims are in {path})"
    )


def _named(path: Path) -> Owner | None:
    content = read_if_locked(path)
    return None if content is None else Owner.parse(content)


def _file_name(key: str) -> str:
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", key)[:60].strip("-")
    return f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.lock"


def _on_off(reason: str) -> dict[str, str]:
    """Switch off all outputs of this process; return what failed, by the key of the address."""
    claims = list(_held)  # without the lock, which an opening may hold while it waits
    for claim in claims:
        claim.switched_off_by = reason
    if _switch_off is None:
        return {}
    try:
        _switch_off(reason)
    except OutputsMayBeOnError as error:
        text = str(error)
        named = {c.key.text: text for c in claims if c.key is not None and c.address.upper() in text.upper()}
        return named or {c.key.text: text for c in claims if c.key is not None}
    return {}


def _on_report() -> dict[str, dict[str, Any]]:
    return {} if _report is None else _report()


def _listening() -> tuple[int, str]:
    """Return port and token of the socket of this process; 0 if it can have none."""
    global _listener
    with _guard:
        if _listener is None:
            with contextlib.suppress(OSError):  # without it, the instruments are still claimed
                _listener = Listener(_on_off, _keep, _on_report)
        return (0, "") if _listener is None else (_listener.port, _listener.token)


def _stop_listening() -> None:
    global _listener
    with _guard:
        ended, _listener = (None, _listener) if _held else (_listener, None)
    if ended is not None:
        ended.close()  # waits for requests that are being answered, which need the lock


def _keep() -> None:
    with _guard:
        for claim in _held:
            claim.touch()


def _in_child() -> None:
    global _guard, _listener
    _guard = threading.RLock()  # another thread of the parent may have held it
    for claim in _held:
        claim.abandon()
    _held.clear()
    if _listener is not None:
        _listener.abandon()
        _listener = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
