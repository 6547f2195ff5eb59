"""`Owner`: the process that holds a claim, as it is written in the file of the claim."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Self

from hwlearn_drivers.claims import processes

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds a claim.

    Attributes
    ----------
    pid : int
        0 if the file does not say: its owner is not known.
    start : str
        Start of the process, because numbers of processes are used again.
    host, user, command : str
    since : str
        When the claim was made.
    address : str
        Address of the instrument, as its owner spells it.
    port : int
        Port on 127.0.0.1 at which the owner can be asked to switch off; 0 if it has none.
    token : str
        Sent with the request.
    """

    pid: int = 0
    start: str = ""
    host: str = ""
    user: str = ""
    command: str = ""
    since: str = ""
    address: str = ""
    port: int = 0
    token: str = ""

    @classmethod
    def this_process(cls, address: str, port: int, token: str) -> Self:
        """Return this process as the owner of an address."""
        pid = os.getpid()
        return cls(
            pid,
            processes.started(pid) or "",
            socket.gethostname(),
            processes.user_name(),
            processes.command_line()[:_LONGEST],
            datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
            address,
            port,
            token,
        )

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Return the owner that the content of a file names; an unknown one if the content is not valid."""
        try:
            found: Any = json.loads(content)
        except (ValueError, RecursionError):
            return cls()
        if not isinstance(found, dict):
            return cls()
        values: dict[str, Any] = {}
        for field in fields(cls):
            kind = int if field.name in ("pid", "port") else str
            value = found.get(field.name)
            if type(value) is not kind:
                return cls()
            values[field.name] = printable(value) if isinstance(value, str) else value
        if values["pid"] < 1 or not 0 <= values["port"] < 65536:
            return cls()
        return cls(**values)

    def content(self) -> bytes:
        """Return the content of the file of the claim."""
        return json.dumps(asdict(self)).encode("ascii")

    @property
    def known(self) -> bool:
        """Whether the file names its owner."""
        return self.pid > 0

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this machine."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether the process runs; one of another machine, which shares the folder, cannot be seen."""
        return self.known and (not self.here or processes.started(self.pid) == self.start)

    def __str__(self) -> str:
        if not self.known:
            return "a process that did not leave its number"
        if self.here and self.pid == os.getpid() and processes.started(self.pid) == self.start:
            return f"this process ({self.pid}), since {self.since}"
        return f"process {self.pid} of user {self.user} on {self.host} ({self.command}), since {self.since}"


def printable(text: str) -> str:
    """Return text of another program on one line, at most 300 characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])
