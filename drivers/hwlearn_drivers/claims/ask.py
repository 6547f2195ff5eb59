"""Asks the owner of a claim to switch off or to report its outputs, and ends an owner that does not answer."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hwlearn_drivers.claims import processes
from hwlearn_drivers.claims.lock_file import lock_holders
from hwlearn_drivers.claims.owner import Owner

CONFIRM_S: Final = 1.0
"""Time in which an owner must confirm that it has sent OFF."""

_MOST_BYTES: Final = 1_048_576
_NO_ANSWER: Final = (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
_LONGEST_COMMAND: Final = 300


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The reply of an owner.

    Attributes
    ----------
    confirmed : bool
        Whether it has sent OFF to its instruments.
    failed : dict
        What it could not switch off, by the key of the address.
    """

    confirmed: bool
    failed: dict[str, str] = field(default_factory=dict)


def ask_for_off(owner: Owner) -> Confirmation:
    """Ask an owner to switch its outputs off; it confirms within `CONFIRM_S` or not at all."""
    try:
        found = _answer(owner, "token")
        failed = {str(key): str(text) for key, text in found["failed"].items()}
        return Confirmation(found["off"] is True, failed)
    except _NO_ANSWER:
        return Confirmation(False)


def ask_for_reports(owner: Owner) -> dict[str, dict[str, Any]] | None:
    """Ask an owner for the state of its instruments; it sends them nothing.

    Returns
    -------
    dict of str to dict, or None
        By the key of the address: what `InstrumentReport.fields` returned there. None if it does not answer
        within `CONFIRM_S`.
    """
    try:
        # without a "token": an owner of an earlier version, which knows one request, must not take this for OFF
        found = _answer(owner, "report_token")["reports"]
        return {str(key): dict(fields) for key, fields in found.items()}
    except _NO_ANSWER:
        return None


def _answer(owner: Owner, token: str) -> Any:
    """Return what an owner replies to a request, whose token has this name; raises one of `_NO_ANSWER`."""
    if not owner.port or not owner.here:
        raise ConnectionError
    deadline = time.monotonic() + CONFIRM_S
    command = processes.command_line()[:_LONGEST_COMMAND]
    request = {token: owner.token, "pid": os.getpid(), "user": processes.user_name(), "command": command}
    reply = b""
    with socket.create_connection(("127.0.0.1", owner.port), timeout=CONFIRM_S) as link:
        link.sendall(json.dumps(request).encode("ascii") + b"\n")
        while b"\n" not in reply and len(reply) < _MOST_BYTES:
            link.settimeout(max(0.001, deadline - time.monotonic()))
            piece = link.recv(4096)
            if not piece:
                raise ConnectionError
            reply += piece
    return json.loads(reply)


def end_owner(owner: Owner, claim: Path) -> str | None:
    """End the process that holds a claim.

    It is ended only if it is certain which one it is: number and start of the process are as in the claim, and
    the kernel, where it says so, names it as the holder of the lock. Anybody may write a file of a claim.

    Returns
    -------
    str or None
        Why it was not ended; None if it has ended.
    """
    if not owner.known:
        return f"{claim} is locked by a process that did not leave its number; end it by hand"
    if not owner.here:
        return f"{owner} runs on another machine"
    holders = lock_holders(claim)
    if holders and owner.pid not in holders:
        found = " and ".join(map(str, holders))
        return f"{claim} names process {owner.pid}, but process {found} holds it; end that by hand"
    return processes.end(owner.pid, owner.start)
