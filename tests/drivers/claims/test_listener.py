"""The socket of an owner: who asks with the token is answered, everybody else is dropped and blocks nobody."""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from hwlearn_drivers.claims.ask import CONFIRM_S, ask_for_off
from hwlearn_drivers.claims.listener import Listener
from hwlearn_drivers.claims.owner import Owner


@pytest.fixture
def asked():
    """Reasons for which outputs were switched off."""
    return []


@pytest.fixture
def listener(asked):
    """A listener that notes the reasons."""

    def switch_off(reason):
        asked.append(reason)
        return {}

    one = Listener(switch_off, lambda: None)
    yield one
    one.close()


def owner_at(listener, token=None):
    return Owner.this_process("x", listener.port, listener.token if token is None else token)


def talk(listener, data, seconds=5.0):
    """Send bytes and return the reply, b"" if the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", listener.port), timeout=seconds) as link:
        with contextlib.suppress(OSError):
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            return link.recv(4096)
    return b""


def test_request_with_the_token_switches_off_and_is_confirmed(listener, asked):
    reply = ask_for_off(owner_at(listener))
    assert reply.confirmed
    assert reply.failed == {}
    assert [f"process {os.getpid()}" in reason for reason in asked] == [True]
    assert "requested by process" in asked[0]
    assert Path(sys.orig_argv[0]).name in asked[0]


def test_request_with_a_wrong_token_is_ignored(listener, asked):
    assert not ask_for_off(owner_at(listener, "0" * 32)).confirmed
    assert asked == []


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"null\n",
        b"[]\n",
        b"off\n",
        b"\xff\xfe\x00\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"[" * 1500 + b"\n",
        b'{"token": 1}\n',
        b'{"token": ["a"], "pid": 1, "user": "", "command": ""}\n',
        b'{"token": "\\ud800", "pid": 1, "user": "", "command": ""}\n',
        b'{"token": "x", "pid": 1e999, "user": "", "command": ""}\n',
        b'{"token": "x", "pid": "many", "user": "", "command": ""}\n',
        b"x" * 100_000,
        b"",
    ],
)
def test_hostile_request_is_dropped_without_an_answer(listener, asked, data):
    assert talk(listener, data) == b""
    assert ask_for_off(owner_at(listener)).confirmed
    assert len(asked) == 1


def test_half_open_and_silent_clients_do_not_block(listener):
    clients = [socket.create_connection(("127.0.0.1", listener.port), timeout=5) for _ in range(100)]
    for client in clients[::2]:
        with contextlib.suppress(OSError):  # the oldest are dropped
            client.sendall(b'{"token": ')
    began = time.monotonic()
    assert ask_for_off(owner_at(listener)).confirmed
    assert time.monotonic() - began < CONFIRM_S
    for client in clients:
        client.close()


def test_client_that_does_not_read_does_not_block(listener, asked):
    request = json.dumps({"token": listener.token, "pid": 1, "user": "x", "command": "y"}).encode() + b"\n"
    clients = [socket.create_connection(("127.0.0.1", listener.port), timeout=5) for _ in range(4)]
    for client in clients:
        client.sendall(request)
    assert ask_for_off(owner_at(listener)).confirmed
    for client in clients:
        client.close()


def test_failure_is_reported_by_instrument(asked):
    one = Listener(lambda reason: {"net:192.0.2.5:5025": "OUTPUTS MAY BE ON"}, lambda: None)
    assert ask_for_off(owner_at(one)).failed == {"net:192.0.2.5:5025": "OUTPUTS MAY BE ON"}
    one.close()


def test_owner_that_does_not_finish_has_not_confirmed():
    ends = threading.Event()

    def stuck(reason):
        ends.wait(10)
        return {}

    one = Listener(stuck, lambda: None)
    began = time.monotonic()
    assert not ask_for_off(owner_at(one)).confirmed
    assert CONFIRM_S * 0.9 < time.monotonic() - began < CONFIRM_S + 1
    ends.set()
    one.close()


@pytest.mark.parametrize(
    "reply", [b"\n", b"[]\n", b'{"off": 1}\n', b"{" * 70_000, b'{"off": true, "failed": 3}\n', b""]
)
def test_false_owner_has_not_confirmed(reply):
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        client, _ = server.accept()
        with client, contextlib.suppress(OSError):
            client.recv(4096)
            client.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    port = server.getsockname()[1]
    assert not ask_for_off(Owner.this_process("x", port, "t")).confirmed
    thread.join()
    server.close()
    assert not ask_for_off(Owner.this_process("x", port, "t")).confirmed  # nobody listens any more
    assert not ask_for_off(Owner.this_process("x", 0, "")).confirmed


def test_reason_cannot_be_forged_into_several_lines(listener, asked):
    request = {"token": listener.token, "pid": 7, "user": "a\nb\x1b[2J" + "z" * 1000, "command": "c\r\n" * 300}
    assert json.loads(talk(listener, json.dumps(request).encode() + b"\n")) == {"off": True, "failed": {}}
    assert "\n" not in asked[0]
    assert "\x1b" not in asked[0]
    assert len(asked[0]) < 500


def test_closed_listener_has_no_thread_and_no_port(asked):
    one = Listener(lambda reason: {}, lambda: None)
    port = one.port
    one.close()
    assert "claims" not in [thread.name for thread in threading.enumerate() if not thread.is_alive()]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)
