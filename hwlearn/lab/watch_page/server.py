"""Serve the page of a run on one port until Ctrl-C."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hwlearn.errors import SetupError
from hwlearn.installed import extra_module
from hwlearn.lab.watch_page.access import TOKEN, AccessGuard
from hwlearn.lab.watching.follower import RunFollower


@dataclass(frozen=True)
class WatchAddress:
    """Where the page is served.

    Attributes
    ----------
    host : str
        Name or address to listen on.
    port : int
        0: a free one.
    """

    host: str = "127.0.0.1"
    port: int = 0


def serve(
    follower: RunFollower, address: WatchAddress, ready: Callable[[str], None], browser: bool = False
) -> None:
    """Serve the page until Ctrl-C.

    On an address that other computers can reach, a token is needed, which is made anew each time.

    Parameters
    ----------
    follower : RunFollower
    address : WatchAddress
    ready : callable
        Called once with the address of the page, with the token if there is one, when it can be opened.
    browser : bool
        Whether to open the page in a browser.

    Raises
    ------
    SetupError
        If the extra ``watch`` is not installed, or the address cannot be used.
    """
    for package in ("nicegui", "uvicorn", "fastapi"):
        extra_module(package, "watch", "hwlearn watch")
    with closing(_listening(address)) as listening:
        port = int(listening.getsockname()[1])
        local = _is_loopback(listening)
        token = None if local else secrets.token_urlsafe(32)
        names = set() if local else {address.host, socket.gethostname(), socket.getfqdn()}
        url = _url(address.host, port, token)
        guard = AccessGuard(_application(follower), names, token, f"hwlearn_watch_{port}")
        server = _server(guard, lambda: _on_ready(url, ready, browser))
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def _application(follower: RunFollower) -> Any:
    from fastapi import FastAPI
    from nicegui import ui

    from hwlearn.lab.watch_page.page import build_page

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    async def root() -> None:
        await build_page(follower)

    ui.run_with(
        app,
        root=root,
        title="hwlearn watch",
        favicon=_ICON,
        dark=None,
        reconnect_timeout=10.0,
        tailwind=False,
        show_welcome_message=False,
        cache_control_directives="private, max-age=3600",
    )
    return app


def _server(app: Any, started: Callable[[], None]) -> Any:
    import uvicorn

    class Started(uvicorn.Server):
        """Says when the page can be opened."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

    config = uvicorn.Config(
        app, log_level="error", access_log=False, timeout_graceful_shutdown=1, server_header=False, lifespan="on"
    )
    return Started(config)


def _on_ready(url: str, ready: Callable[[str], None], browser: bool) -> None:
    ready(url)
    if browser:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _listening(address: WatchAddress) -> socket.socket:
    """Return a socket that listens at an address.

    Raises
    ------
    SetupError
        If it cannot.
    """
    if not address.host.strip():
        raise SetupError("--host is empty; use 127.0.0.1, or an address or name of this computer")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise SetupError(f"--host {address.host} is no address of this computer: {error}") from error
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows: another program could listen at the same port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(where)
        found.listen(128)
    except OSError as error:
        found.close()
        raise SetupError(
            f"cannot listen at {address.host}, port {address.port}: {error.strerror or error}; choose another "
            "--port, or --port 0 for a free one"
        ) from error
    return found


def _is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(str(listening.getsockname()[0]).partition("%")[0]).is_loopback


def _url(host: str, port: int, token: str | None) -> str:
    """Return the address of the page; of a host that means every address, by the name of this computer."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    with suppress(ValueError):
        if ipaddress.ip_address(name).version == 6:
            name = f"[{name}]"
    query = "" if token is None else f"?{TOKEN}={quote(token)}"
    return f"http://{name}:{port}/{query}"


_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" '
    'fill="#1f3a5f"/><path d="M5 23c5 0 5-14 11-14s6 8 11 5" fill="none" stroke="#f08a6f" stroke-width="3.4" '
    'stroke-linecap="round"/></svg>'
)
