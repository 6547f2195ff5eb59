"""`AccessGuard`: who may see the page. It guards every request, websockets too, before the page sees it."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

TOKEN: Final = "token"
"""Parameter of the address that has the token."""

_LOCAL_NAMES: Final = frozenset({"localhost"})
_HOST: Final = re.compile(r"[\w.-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?", re.ASCII)
_HEADERS: Final = [
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
]


class AccessGuard:
    """ASGI middleware: refuses foreign hosts and origins, and everything without the token if there is one.

    A page of another web site cannot reach this one through a name that it points at this computer (DNS
    rebinding), because the host of each request must be an address or a known name. It cannot open a websocket
    either, because the origin of a request must be its host.

    The token comes once in the address. The answer stores it in a cookie, which scripts cannot read, and leads to
    the address without it.

    Parameters
    ----------
    app : callable
        The application.
    names : iterable of str
        Names of this computer, besides localhost and addresses.
    token : str or None
        None: no token is needed.
    cookie : str
        Name of the cookie; different for each port, because browsers share cookies between ports.
    """

    def __init__(
        self, app: Application, names: Iterable[str] = (), token: str | None = None, cookie: str = "hwlearn_watch"
    ) -> None:
        self._app, self._token, self._cookie = app, token, cookie
        self._names = _LOCAL_NAMES | {name.lower().rstrip(".") for name in names}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] not in ("http", "websocket"):  # start and end of the server
            await self._app(scope, receive, send)
            return
        headers = [(key.lower(), value.decode("latin-1")) for key, value in scope["headers"]]
        host = _only(headers, b"host")
        reason = self._refused(host, headers)
        if reason is None and self._token is not None:
            given, rest = _without_token(scope.get("query_string", b""))
            if given is not None and scope["type"] == "http":
                if self._fits(given):
                    await self._redirect(scope, rest, send)
                    return
                reason = "wrong token"
            elif not any(self._fits(value) for value in _cookies(headers, self._cookie)):
                reason = "wrong or missing token: open the address that hwlearn watch has printed"
        if reason is not None:
            await _refuse(scope, receive, send, reason)
            return
        await self._app(scope, receive, _with_headers(send, host) if scope["type"] == "http" else send)

    def _refused(self, host: str | None, headers: list[tuple[bytes, str]]) -> str | None:
        """Return why the host or the origin of a request is refused; None if it is not."""
        if host is None or not _HOST.fullmatch(host) or not self._is_known(_name_of(host)):
            return "unknown host: open the page by the address that hwlearn watch has printed"
        for key, value in headers:
            if key == b"origin" and urlsplit(value).netloc.lower() != host.lower():
                return "requests from other pages are refused"
        return None

    def _is_known(self, name: str) -> bool:
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True

    def _fits(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _redirect(self, scope: Message, rest: bytes, send: Send) -> None:
        """Store the token in a cookie and lead to the same address without it."""
        path = quote("/" + str(scope["path"]).lstrip("/\\"))  # "//name" would lead to another host
        where = path.encode() + (b"?" + rest if rest else b"")
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Lax"
        headers = [(b"location", where), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
        headers += [(b"cache-control", b"no-store"), *_HEADERS]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _only(headers: list[tuple[bytes, str]], name: bytes) -> str | None:
    """Return the value of a header that occurs once, else None."""
    found = [value for key, value in headers if key == name]
    return found[0] if len(found) == 1 else None


def _name_of(host: str) -> str:
    """Return the name or address in a host header, without the port.

    Examples
    --------
    >>> [_name_of(host) for host in ("Lab.local:80", "[::1]:8080", "127.0.0.1")]
    ['lab.local', '::1', '127.0.0.1']
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower().rstrip(".") if ":" in host else host.lower().rstrip(".")


def _without_token(query: bytes) -> tuple[str | None, bytes]:
    """Return the token of a query, None if it has none, and the query without it."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    given = [value for key, value in pairs if key == TOKEN]
    return (given[0] if given else None), urlencode([pair for pair in pairs if pair[0] != TOKEN]).encode()


def _cookies(headers: list[tuple[bytes, str]], name: str) -> list[str]:
    """Return the values of a cookie."""
    found = []
    for key, value in headers:
        if key == b"cookie":
            for part in value.split(";"):
                label, _, text = part.strip().partition("=")
                if label == name:
                    found.append(text)
    return found


def _with_headers(send: Send, host: str | None) -> Send:
    """Return a function that adds headers to an answer: the page loads nothing from another computer."""
    policy = (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://{host} wss://{host}; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )
    added = [*_HEADERS, (b"content-security-policy", policy.encode("ascii"))]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending


async def _refuse(scope: Message, receive: Receive, send: Send, reason: str) -> None:
    """Answer 403; a websocket is closed before it opens, which servers answer with 403."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    body = f"403: {reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": [*headers, *_HEADERS]})
    await send({"type": "http.response.body", "body": body})
