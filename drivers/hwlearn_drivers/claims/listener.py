"""`Listener`: the socket on 127.0.0.1 where the owner of a claim is asked to switch off or to report its outputs.

A request is one line of JSON with the token of the claim and who asks; the reply is one line of JSON. In a request
for a report the token has another name, so that no version takes it for OFF. Any user of the machine can read the
token, because any user may switch off.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from hwlearn_drivers.claims.owner import printable

_MOST_BYTES: Final = 8192  # of a request
_MOST_CLIENTS: Final = 32
_MOST_AT_WORK: Final = 8
_PATIENCE_S: Final = 2.0  # for the rest of a request
_END_S: Final = 1.0
_KEEP_S: Final = 3600.0  # between two touches of the files


class Listener:
    """Answers requests in a daemon thread; a client that is slow, silent or wrong is dropped.

    Parameters
    ----------
    switch_off : callable
        Takes the reason; returns what failed, by the key of the address.
    keep : callable
        Called every hour.
    report : callable
        Returns the state of the instruments, by the key of the address; it sends them nothing.

    Raises
    ------
    OSError
        If this machine has no socket for it.
    """

    def __init__(
        self,
        switch_off: Callable[[str], dict[str, str]],
        keep: Callable[[], None],
        report: Callable[[], dict[str, dict[str, Any]]] = dict,
    ) -> None:
        self.token = secrets.token_hex(16)
        self._switch_off, self._report, self._keep = switch_off, report, keep
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._server.setblocking(False)
        self.port: int = self._server.getsockname()[1]
        self._wake, self._waker = socket.socketpair()
        self._clients: dict[socket.socket, tuple[float, bytearray]] = {}
        self._at_work = threading.Semaphore(_MOST_AT_WORK)
        self._one = threading.Lock()
        self._answering: list[threading.Thread] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="claims", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests that are being answered are answered first, for at most a second."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")
        if self._thread is not threading.current_thread():
            self._thread.join(_END_S)
        for thread in self._answering:
            if thread is not threading.current_thread():
                thread.join(_END_S)
        self._waker.close()

    def abandon(self) -> None:
        """Close the sockets in a forked child, which has no thread."""
        for one in (self._server, self._wake, self._waker, *self._clients):
            one.close()

    def _run(self) -> None:
        touched = time.monotonic()
        with selectors.DefaultSelector() as selector:
            selector.register(self._server, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not self._closing:
                for key, _ in selector.select(0.2 if self._clients else _KEEP_S):
                    if key.fileobj is self._server:
                        self._accept(selector)
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._clients:
                        self._read(selector, key.fileobj)
                self._drop_slow(selector)
                if time.monotonic() - touched >= _KEEP_S:
                    touched = time.monotonic()
                    self._keep()
            for client in list(self._clients):
                client.close()
        self._server.close()
        self._wake.close()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            client, _ = self._server.accept()
        except OSError:
            time.sleep(0.01)  # no more file descriptors
            return
        client.setblocking(False)
        if len(self._clients) >= _MOST_CLIENTS:  # the oldest has sent nothing useful yet
            self._forget(selector, next(iter(self._clients))).close()
        self._clients[client] = (time.monotonic() + _PATIENCE_S, bytearray())
        selector.register(client, selectors.EVENT_READ)

    def _read(self, selector: selectors.BaseSelector, client: socket.socket) -> None:
        request = self._clients[client][1]
        try:
            piece = client.recv(_MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        request += piece
        if b"\n" in request and len(request) <= _MOST_BYTES:
            reports = self._reason(bytes(request), "report_token") is not None
            reason = self._reason(bytes(request), "token")
            self._forget(selector, client)
            if (reason is None and not reports) or not self._at_work.acquire(blocking=False):
                client.close()
                return
            # in a thread of its own: OFF to a broken link takes time, and others ask meanwhile
            thread = threading.Thread(target=self._serve, args=(client, reason), name="claims-off", daemon=True)
            self._answering = [*(one for one in self._answering if one.is_alive()), thread]
            thread.start()
        elif not piece or len(request) > _MOST_BYTES:
            self._forget(selector, client).close()

    def _drop_slow(self, selector: selectors.BaseSelector) -> None:
        now = time.monotonic()
        for client in [client for client, (deadline, _) in self._clients.items() if deadline < now]:
            self._forget(selector, client).close()

    def _forget(self, selector: selectors.BaseSelector, client: socket.socket) -> socket.socket:
        del self._clients[client]
        selector.unregister(client)
        return client

    def _reason(self, request: bytes, name: str) -> str | None:
        """Return who asks for what; None if the request is not valid or has no right token of this name."""
        try:
            found: Any = json.loads(request.partition(b"\n")[0])
            token, pid = found[name], int(found["pid"])
            user, command = (printable(str(found[key])) for key in ("user", "command"))
        except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
            return None
        if not hmac.compare_digest(str(token).encode("utf-8", "replace"), self.token.encode()):
            return None
        return f"requested by process {pid} of user {user[:64]} ({command})"

    def _serve(self, client: socket.socket, reason: str | None) -> None:
        """Switch off for a reason, or report if there is none; then reply."""
        try:
            reply: dict[str, Any] = {}
            if reason is None:
                reply = {"reports": self._report()}
            else:
                with self._one:
                    reply = {"off": True, "failed": self._switch_off(reason)}
            client.settimeout(_PATIENCE_S)
            with contextlib.suppress(OSError):
                client.sendall(json.dumps(reply).encode("ascii") + b"\n")
        finally:
            client.close()
            self._at_work.release()
