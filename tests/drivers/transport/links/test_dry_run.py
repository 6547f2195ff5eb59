"""`DryLink` prints commands and sends none."""

import io
import time
from concurrent.futures import ThreadPoolExecutor

from hwlearn_drivers.transport.links.dry_run import DryLink
from hwlearn_drivers.transport.transport import Transport


def test_dry_run_prints_commands_and_sends_none():
    out = io.StringIO()
    transport = Transport("SMU", lambda: DryLink("SMU", lambda message: b"0" if b"?" in message else None, out))
    transport.write("OUTP 0", "VOLT 0.5")
    assert transport.query("OUTP?") == "0"
    assert out.getvalue() == "SMU > OUTP 0\nSMU > VOLT 0.5\nSMU > OUTP?\n"
    transport.close()


class SlowStream:
    """A text stream on which every write lets other threads run, as a busy terminal does."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        time.sleep(0.0005)
        self.text += text

    def flush(self):
        pass


def test_lines_of_two_instruments_do_not_interleave():
    out = SlowStream()
    links = [DryLink(name, lambda message: None, out) for name in ("GPIB0::24", "GPIB0::26")]

    def send(link):
        for number in range(40):
            link.write(b"VOLT %d\n" % number)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(send, links))
    lines = out.text.splitlines()
    assert len(lines) == 80
    for name in ("GPIB0::24", "GPIB0::26"):
        mine = [line for line in lines if line.startswith(name)]
        assert mine == [f"{name} > VOLT {number}" for number in range(40)]
