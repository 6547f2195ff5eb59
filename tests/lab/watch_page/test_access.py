"""Only who may see the page sees it: hosts, origins and the token, for requests and websockets."""

import asyncio

import pytest

from hwlearn.lab.watch_page.access import AccessGuard

TOKEN = "a" * 20 + "-_"


async def application(scope, receive, send):
    """Answers everything, as the page does."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-page", b"yes")]})
        await send({"type": "http.response.body", "body": b"page"})


def answer(guard, path="/", query="", kind="http", host="127.0.0.1:8000", **headers):
    """Return status and headers of the answer; of a websocket 101 if it opens, else 403."""
    sent = []
    listed = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    listed += [] if host is None else [(b"host", host.encode("latin-1"))]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": listed, "method": "GET"}

    async def receive():
        return {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    if kind == "websocket":
        return (101 if sent[0]["type"] == "websocket.accept" else 403), {}
    return sent[0]["status"], {key.decode(): value.decode() for key, value in sent[0]["headers"]}


PATHS = ["/", "/_nicegui/3.0/static/vue.js", "/_nicegui_ws/socket.io/"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "cookie",
    [
        None,
        "",
        "hwlearn_watch=",
        "hwlearn_watch=wrong",
        f"other={TOKEN}",
        f"hwlearn_watch={TOKEN}x",
        f"hwlearn_watch={TOKEN[:-1]}",
        "hwlearn_watch=\xe9",
    ],
)
def test_without_the_right_token_everything_is_refused(kind, path, cookie):
    guard = AccessGuard(application, token=TOKEN)
    headers = {} if cookie is None else {"cookie": cookie}
    assert answer(guard, path, kind=kind, **headers)[0] == 403
    assert answer(guard, path, query="token=wrong", kind=kind, **headers)[0] == 403
    assert answer(guard, path, query="token=", kind=kind, **headers)[0] == 403


@pytest.mark.parametrize("path", PATHS)
def test_the_cookie_with_the_token_opens_everything(path):
    guard = AccessGuard(application, token=TOKEN)
    for kind, status in (("http", 200), ("websocket", 101)):
        assert answer(guard, path, kind=kind, cookie=f"a=b; hwlearn_watch={TOKEN}")[0] == status


def test_token_in_the_address_becomes_a_cookie_and_leaves_the_address():
    guard = AccessGuard(application, token=TOKEN)
    status, headers = answer(guard, query=f"a=1&token={TOKEN}&b=%26")
    assert (status, headers["location"]) == (303, "/?a=1&b=%26")
    assert headers["set-cookie"] == f"hwlearn_watch={TOKEN}; Path=/; HttpOnly; SameSite=Lax"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert answer(guard, path="//evil.example/", query=f"token={TOKEN}")[1]["location"] == "/evil.example/"
    assert answer(guard, kind="websocket", query=f"token={TOKEN}")[0] == 403  # only pages take it
    # a wrong token in the address is wrong, whatever cookie comes with it
    assert answer(guard, query="token=wrong", cookie=f"hwlearn_watch={TOKEN}")[0] == 403


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("host", "names", "opens"),
    [
        ("127.0.0.1:8000", [], True),
        ("localhost:9", [], True),
        ("LOCALHOST", [], True),
        ("[::1]:8000", [], True),
        ("192.168.1.7:8000", [], True),
        ("lab7:8000", ["Lab7"], True),
        ("lab7:8000", [], False),
        ("evil.example:8000", ["lab7"], False),
        ("127.0.0.1.evil.example", [], False),
        ("localhost.evil.example:8000", [], False),
        ("127.0.0.1:8000@evil.example", [], False),
        ("127.0.0.1:80; script-src *", [], False),
        ("", [], False),
        (None, [], False),
    ],
)
def test_unknown_hosts_are_refused_so_that_no_foreign_name_leads_here(kind, host, names, opens):
    status = answer(AccessGuard(application, names), kind=kind, host=host)[0]
    assert (status != 403) is opens


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("origin", "opens"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://evil.example", False),
        ("http://127.0.0.1:8001", False),
        ("null", False),
    ],
)
def test_other_pages_cannot_reach_the_page(kind, origin, opens):
    assert (answer(AccessGuard(application), kind=kind, origin=origin)[0] != 403) is opens


def test_page_may_load_nothing_from_elsewhere_and_not_be_framed():
    _, headers = answer(AccessGuard(application))
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self' ws://127.0.0.1:8000 wss://127.0.0.1:8000"
    assert not any("http" in value or "*" in value for value in policy.values())
    assert headers["x-page"] == "yes"
