"""`WireLog`: every message with time and direction, complete even after a kill."""

import subprocess
import sys

import pytest
from scpi_device import LONG_S, SHORT_S, Scpi, connect

from hwlearn_drivers.errors import LinkTimeout
from hwlearn_drivers.transport.wire_log import WireLog


def test_wire_log_has_time_direction_and_bytes(responder, tmp_path):
    path = tmp_path / "wire.log"
    with WireLog(path) as log:
        transport = connect(responder(Scpi()).url, wire_log=log)
        transport.query("ONE?")
        # flushed line by line: complete while the file is still open
        rows = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]
        assert [row[2:] for row in rows] == [["!", "opened"], [">", "ONE?\\n"], ["<", "one"]]
        assert all(row[1] == "instrument" and row[0].endswith("+00:00") for row in rows)
        transport.close()


def test_wire_log_records_timeout_and_resynchronisation(responder, tmp_path):
    path = tmp_path / "wire.log"
    with WireLog(path) as log:
        transport = connect(responder(Scpi(**{"LOST?": None})).url, SHORT_S, wire_log=log)
        with pytest.raises(LinkTimeout):
            transport.query("LOST?")
        transport.timeout_s = LONG_S
        transport.query("ONE?")
        transport.close()
    text = path.read_text(encoding="ascii")
    assert "out of sync" in text
    assert "in sync again" in text


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_wire_log_keeps_every_line_after_a_kill(responder, tmp_path):
    path = tmp_path / "wire.log"
    program = """
import sys
from hwlearn_drivers.transport.addresses import open_link
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog
transport = Transport("killed", lambda: open_link(sys.argv[1]), wire_log=WireLog(sys.argv[2]))
for k in range(10**9):
    transport.query(f"Q{k}?")
    print(k, flush=True)
"""
    device = responder(Scpi())
    with subprocess.Popen(
        [sys.executable, "-c", program, device.url, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        seen = [process.stdout.readline() for _ in range(200)]
        process.kill()
    acknowledged = [int(line) for line in seen]
    text = path.read_text(encoding="ascii")
    assert all(f"\t<\tq{k}\n" in text for k in acknowledged)
