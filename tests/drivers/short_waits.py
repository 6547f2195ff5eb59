"""A short time-out for the answers that a test loses; all others may be late on a busy machine."""

from contextlib import contextmanager


@contextmanager
def short_waits(*transports, seconds=0.3):
    """Let these transports wait only so long for an answer in this block, where one is expected to fail."""
    usual = [transport.timeout_s for transport in transports]
    for transport in transports:
        transport.timeout_s = seconds
    try:
        yield
    finally:
        for transport, timeout_s in zip(transports, usual, strict=True):
            transport.timeout_s = timeout_s
