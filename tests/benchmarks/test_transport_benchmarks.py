"""Speed of our transport compared with the query of pyvisa-py and the block read of pyserial."""

import os
import statistics
import subprocess
import sys
import time

import pytest

from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.blocks import encode_block
from hwlearn_drivers.transport.links.visa import VisaLink
from hwlearn_drivers.transport.transport import Transport

pyvisa = pytest.importorskip("pyvisa")
serial = pytest.importorskip("serial")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ptys, and processes pinned to one core")

ROUNDS, QUERIES = 4, 400
BLOCK = bytes(range(256)) * 140  # 35 840 bytes, newlines among them

RESPONDER = """
import os, pty, socket, sys, threading, tty
size = int(sys.argv[1])
data = bytes(range(256)) * (size // 256)
block = b"#%d%d" % (len(str(size)), size) + data + b"\\n"
server = socket.create_server(("127.0.0.1", 0))
master, slave = pty.openpty()
tty.setraw(master)
tty.setraw(slave)
print(server.getsockname()[1], os.ttyname(slave), flush=True)

def reply(request):
    return block if b"DATA?" in request else b"+1.000000E-03\\n"

def serve():
    while True:
        client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=talk, args=(client,), daemon=True).start()

def talk(client):
    while request := client.recv(4096):
        client.sendall(reply(request))

threading.Thread(target=serve, daemon=True).start()
while True:
    answer = reply(os.read(master, 4096))
    while answer:
        answer = answer[os.write(master, answer):]
"""


@pytest.fixture(scope="module")
def instrument():
    """Start a responder process on the core of this process; yield its VISA socket address and its pty."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(
        0, {min(before)}
    )  # on two cores the scheduler would add more time than either library takes
    process = subprocess.Popen(
        [sys.executable, "-c", RESPONDER, str(len(BLOCK))], stdout=subprocess.PIPE, text=True
    )
    port, tty = process.stdout.readline().split()
    yield f"TCPIP::127.0.0.1::{port}::SOCKET", tty
    process.kill()
    process.wait()
    process.stdout.close()
    os.sched_setaffinity(0, before)


def median_us(query):
    """Return the median time of a query in microseconds."""
    for _ in range(20):
        query()
    times = []
    for _ in range(QUERIES):
        began = time.perf_counter()
        query()
        times.append(time.perf_counter() - began)
    return 1e6 * statistics.median(times)


def pyvisa_resource(address):
    resource = pyvisa.ResourceManager("@py").open_resource(address)
    resource.read_termination = resource.write_termination = "\n"
    return resource


def compared(theirs, ours):
    """Return the best of several rounds of each side, in alternating turns."""
    rounds = [(median_us(theirs), median_us(ours)) for _ in range(ROUNDS)]
    return min(their for their, _ in rounds), min(our for _, our in rounds)


@pytest.mark.alone
@pytest.mark.parametrize("through", ["direct", "visa"])
def test_query_over_tcp_is_as_fast_as_pyvisa(instrument, through):
    address, _ = instrument
    resource = pyvisa_resource(address)
    how = LinkOptions()
    opener = {"direct": lambda: open_link(address, how), "visa": lambda: VisaLink(address, "@py", 9600, 3.0)}
    transport = Transport("tcp", opener[through])
    theirs, ours = compared(lambda: resource.query("READ?"), lambda: transport.query("READ?"))
    transport.close()
    resource.close()
    print(f"TCP query, {through}: {ours:.1f} us, pyvisa-py {theirs:.1f} us, ratio {ours / theirs:.2f}")
    assert ours <= 1.15 * theirs


@pytest.mark.alone
def test_query_over_a_pty_is_as_fast_as_pyvisa(instrument):
    _, tty = instrument
    address = f"ASRL{tty}::INSTR"

    def once(opened):
        taken_us = median_us(lambda: opened.query("READ?"))
        opened.close()  # only one can have the port open
        return taken_us

    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(once(pyvisa_resource(address)))
        ours.append(once(Transport("pty", lambda: open_link(address))))
    print(f"pty query: {min(ours):.1f} us, pyvisa-py {min(theirs):.1f} us, ratio {min(ours) / min(theirs):.2f}")
    assert min(ours) <= 1.15 * min(theirs)


@pytest.mark.alone
def test_block_over_a_pty_is_fifty_times_faster_than_reading_bytes(instrument):
    _, tty = instrument
    framed = encode_block(BLOCK) + b"\n"
    # the terminator of pyserial's loop must not occur in the data
    with serial.Serial(tty, 115200, timeout=10) as port:
        theirs = []
        for _ in range(2):
            port.write(b"DATA?\n")
            while port.in_waiting == 0:
                pass
            began = time.perf_counter()
            assert port.read_until(BLOCK[-512:] + b"\n") == framed
            theirs.append(time.perf_counter() - began)
    transport = Transport("pty", lambda: open_link(tty))
    ours = []
    for _ in range(10):
        began = time.perf_counter()
        assert transport.query_block("DATA?") == BLOCK
        ours.append(time.perf_counter() - began)
    transport.close()
    ratio, ours_ms, theirs_ms = min(theirs) / min(ours), 1e3 * min(ours), 1e3 * min(theirs)
    print(f"35 kB over a pty: {ours_ms:.2f} ms, read_until {theirs_ms:.1f} ms, ratio {ratio:.0f}")
    assert ratio >= 50


def test_tcp_query(benchmark, instrument):
    transport = Transport("tcp", lambda: open_link(instrument[0]))
    benchmark(transport.query, "READ?")
    transport.close()


def test_pty_query(benchmark, instrument):
    transport = Transport("pty", lambda: open_link(instrument[1]))
    benchmark(transport.query, "READ?")
    transport.close()
