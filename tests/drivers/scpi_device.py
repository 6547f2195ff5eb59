"""A SCPI instrument for `Responder`, transports to it, and replies that are held back."""

import threading

from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.fence import SCPI_FENCE
from hwlearn_drivers.transport.transport import Transport

SHORT_S = 0.15
LONG_S = 10.0


class Scpi:
    """Answers ``NAME?`` with ``name``, the fence queries, and the messages in ``replies``."""

    def __init__(self, **replies):
        self.replies = replies
        self.enabled = "0"

    def __call__(self, line):
        if line in self.replies:
            return self.replies[line]
        if line.startswith("*ESE "):
            self.enabled = line.split()[1].split(";")[0]
            return self.enabled.encode() + b"\n" if "?" in line else None
        if line.startswith('print("'):
            return line[7:-2].encode() + b"\n"
        return line.rstrip("?").lower().encode() + b"\n" if line.endswith("?") else None


def connect(address, timeout_s=LONG_S, fence=SCPI_FENCE, **options):
    how = LinkOptions(timeout_s=timeout_s)
    return Transport("instrument", lambda: open_link(address, how), timeout_s=timeout_s, fence=fence, **options)


def held_back(reply):
    """Return a reply that is sent only when an event is set, and the event."""
    release = threading.Event()

    def send():
        assert release.wait(LONG_S)
        return reply

    return send, release
