"""What the tests of scanning voltmeters share: a virtual one at three nodes, and its driver."""

from __future__ import annotations

import time
from contextlib import contextmanager

import hwlearn as hl
from hwlearn_drivers.roles.values import ChannelUse
from hwlearn_drivers.scanner.instrument import ScannerInstrument
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.wire_log import optional_log
from hwlearn_sim import VirtualBench
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import PlacedScanner, PlacedSmu

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-6, 1e-3))
NODES = {101: 1, 102: 2, 115: 3}
USE = ChannelUse(reads={"115": "n3", "101": "n1", "102": "n2"})
OHM = 100e3


def ladder() -> hl.Topology:
    """Ground, a driven node and two more, with equal resistors between them."""
    return hl.Topology(5, [(0, 1), (1, 2), (2, 3), (3, 0), (3, 4)], inputs=[1], outputs=[2, 3, 4], ground=0)


@contextmanager
def served(noise=0.0, cards=None, nodes=None, model="34970A", **kind):
    """Serve a scanner, and an SMU that drives the first node; yield the bench."""
    placed = [
        PlacedSmu("smu", "2450", (1,)),
        PlacedScanner("scan", model, NODES if nodes is None else nodes, cards or {1: "34901A"}, **kind),
    ]
    with VirtualBench(ladder(), placed, conductances=1 / OHM, meters=Meters(noise), seed=5) as bench:
        yield bench


def table(bench=None, **keys):
    """Return the table of the scanner in a bench file."""
    address = "TCPIP::127.0.0.1::9::SOCKET" if bench is None else bench.address("scan")
    return ScannerInstrument(**{"name": "scan", "model": "34970A", "address": address, **keys})


@contextmanager
def opened(bench, log=None, timeout_s=3.0, limits=LIMITS, use=USE, **keys):
    """Open the scanner with its driver; yield it. Messages are recorded in the file ``log``."""
    with optional_log(log) as wire_log:
        connector = Connector(LinkOptions(timeout_s=timeout_s), wire_log)
        scanner = table(bench, **keys).open(use, limits, connector)
        try:
            yield scanner
        finally:
            scanner.close()


def is_open_soon(bench) -> bool:
    """Return whether the scanner opens every channel within 5 s; OFF is not answered."""
    deadline = time.monotonic() + 5.0
    while bench.instrument("scan").closed and time.monotonic() < deadline:
        time.sleep(0.001)
    return not bench.instrument("scan").closed


def drive(bench, volts):
    """Drive the first node: the others follow at two thirds and one third."""
    bench.instrument("smu").execute(f":SOUR:FUNC VOLT;:SOUR:VOLT {volts};:OUTP 1".encode())


def sent(path):
    """Return the messages to the instrument, in order."""
    rows = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]
    return [row[3].removesuffix("\\n") for row in rows if row[2] == ">"]
