"""Instruments behind one Prologix or AR488 adapter: no answer is taken for another one's, OFF does not wait."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from exit_paths import POSIX

from hwlearn import Limits
from hwlearn.circuit.topology import Topology
from hwlearn.errors import InUseError
from hwlearn_drivers.bench.backend import BenchBackend
from hwlearn_drivers.bench.settings import BenchSettings
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.claims.keys import address_key
from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.smu import ChannelLimit, open_smu
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_drivers.smu.registry import write_off
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.links.tcp_socket import SocketLink
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import GpibPlace, PlacedAdapter, PlacedScanner, PlacedSmu
from hwlearn_sim.wire.gpib_adapter import BusInstrument, VirtualGpibAdapter
from hwlearn_sim.wire.serve import TcpServer

KINDS = ("prologix", "ar488")

PROGRAM = """
import sys, time
from hwlearn_drivers.smu import ChannelLimit, open_smu
smus = [open_smu(address, {1: ChannelLimit(2.0, 1e-3)}, model="2400") for address in sys.argv[1:]]
for smu in smus:
    channel = smu.channel(1)
    channel.voltage_source(0.5, 1e-3)
    channel.on()
print("on", flush=True)
time.sleep(60)
"""


class Instrument:
    """Answers ``N?`` with name and number, ``*ESE?`` and ``BLOCK?``; remembers everything else."""

    takes_blocks = True

    def __init__(self, name):
        self.name, self.taken, self.errors, self.enabled = name, [], [], 0
        self.asked = 0

    def execute(self, message):
        if message.startswith(b"*ESE ") and message.endswith(b";*ESE?"):
            self.enabled = int(message[5:-6])
            return b"%d\n" % self.enabled
        if message == b"N?":
            self.asked += 1
            return b"%s%d\n" % (self.name, self.asked)
        if message == b"BLOCK?":
            return b"#15a\r\n\x1b+\n"
        if not message.startswith(b"*ESE"):
            self.taken.append(message)
        return b""

    def queue_error(self, code):
        self.errors.append(code)


class Desk:
    """Two instruments behind one virtual adapter, and transports to them."""

    def __init__(self, kind):
        self.a, self.b = Instrument(b"a"), Instrument(b"b")
        self.on_bus = {7: BusInstrument(self.a), 24: BusInstrument(self.b)}
        self.adapter = VirtualGpibAdapter(self.on_bus, kind)
        self.server = TcpServer(self.adapter).start()
        self._open = []

    def transport(self, number, timeout_s=5.0, **options):
        address = f"PROLOGIX::127.0.0.1::{self.server.port}::GPIB::{number}"
        made = Connector(LinkOptions(timeout_s=timeout_s), **options).transport(address, lambda: lambda _: None)
        self._open.append(made)
        return made

    def close(self):
        for transport in self._open:
            transport.close()
        self.server.close()


@pytest.fixture(params=KINDS)
def desk(request):
    one = Desk(request.param)
    yield one
    one.close()


def test_messages_reach_their_instrument_unchanged(desk):
    one, other = desk.transport(7), desk.transport(24)
    for k in range(1, 4):
        assert one.query("N?") == f"a{k}"
        assert other.query("N?") == f"b{k}"
    assert other.query_block("BLOCK?") == b"a\r\n\x1b+"
    one.write("VOLT +1.5e+0", "++addr 24")
    other.write_block("DATA", b"\r\n\x1b++\n")
    assert (one.query("N?"), other.query("N?")) == ("a4", "b4")
    assert desk.a.taken == [b"VOLT +1.5e+0", b"++addr 24"]
    assert desk.b.taken == [b"DATA #16\r\n\x1b++\n"]
    assert desk.a.errors == desk.b.errors == []


def test_addresses_are_not_written_into_the_memory_of_the_adapter(desk):
    one, other = desk.transport(7), desk.transport(24)
    before = desk.adapter.writes
    for transport in (one, other) * 3:
        transport.query("N?")
    assert desk.adapter.writes == before <= 1


def test_late_answer_is_not_taken_for_that_of_another_instrument(desk):
    one, other = desk.transport(7, timeout_s=0.1), desk.transport(24)
    one.query("N?")
    desk.on_bus[7].faults.inject("late", seconds=0.2)
    with pytest.raises(LinkTimeout):
        one.query("N?")
    assert other.query("N?") == "b1"
    assert one.query("N?") == "a3"


def test_answer_that_the_adapter_passes_on_late_is_not_taken_for_another_ones(desk):
    one, other = desk.transport(7, timeout_s=0.1), desk.transport(24)
    one.query("N?")
    desk.server.faults.inject("late", seconds=0.3)
    with pytest.raises(LinkTimeout):
        one.query("N?")
    assert other.query("N?") == "b1"
    assert one.query("N?") == "a3"


def test_long_reading_outlasts_the_read_time_out_of_the_adapter(desk):
    one = desk.transport(7)
    desk.on_bus[7].faults.inject("late", seconds=0.9)
    assert one.query("N?") == "a1"


def test_off_does_not_wait_for_the_reading_of_another_instrument(desk):
    one, other = desk.transport(7, timeout_s=3.0), desk.transport(24)
    desk.on_bus[7].faults.inject("dropped")
    failed = []

    def read():
        try:
            one.query("N?")
        except LinkTimeout as error:
            failed.append(error)

    reading = threading.Thread(target=read)
    reading.start()
    while not desk.a.asked:
        time.sleep(0.001)
    began = time.monotonic()
    other.halt("OUTP 0")
    sent_s = time.monotonic() - began
    while b"OUTP 0" not in desk.b.taken:
        assert time.monotonic() - began < 2.0, "OFF waited for a reading"
        time.sleep(0.001)
    reading.join()
    assert sent_s < 1.0
    assert failed


def test_message_cut_short_is_ended_before_the_next_one(desk, mocker):
    one, other = desk.transport(7), desk.transport(24)
    one.query("N?")
    whole = SocketLink.write

    def in_part(link, data):
        whole(link, data[:-5])
        raise KeyboardInterrupt

    mocker.patch.object(SocketLink, "write", in_part)
    with pytest.raises(KeyboardInterrupt):
        one.write("OUTPUT 1")
    mocker.stopall()
    other.halt("OUTP 0")
    other.rearm()
    assert other.query("N?") == "b1"
    assert desk.b.taken == [b"OUTP 0"]
    assert desk.a.taken == [b"OUTP~~"]  # a command of no language


def test_adapter_that_is_gone_is_an_error_until_each_instrument_is_opened_again(desk):
    one, other = desk.transport(7), desk.transport(24)
    one.query("N?")
    desk.server.faults.inject("reset")
    with pytest.raises(LinkError):
        one.query("N?")
    with pytest.raises(LinkError, match="is not connected"):
        other.write("OUTP 0")
    one.reopen()
    other.reopen()
    assert other.query("N?") == "b1"
    assert one.query("N?") == "a3"


def test_mute_adapter_is_named_and_still_sent_off(desk):
    desk.server.faults.muted = True
    one = desk.transport(7)
    one.halt("OUTP 0")
    one.rearm()
    with pytest.raises(LinkError, match=r"the adapter at .* does not answer"):
        one.query("N?")
    assert desk.a.taken == [b"OUTP 0"]


def test_adapter_is_claimed_once_by_each_process(desk):
    one = desk.transport(7)
    other = desk.transport(24)
    with pytest.raises(InUseError):
        desk.transport(7)
    itself = f"TCPIP::127.0.0.1::{desk.server.port}::SOCKET"
    one.close()
    with pytest.raises(InUseError):
        Claim(itself, address_key(itself))  # the other instrument still needs the adapter
    other.close()
    Claim(itself, address_key(itself)).release()


def test_scanner_and_source_behind_one_adapter_are_read_and_reported():
    """A scan list arrives as a block; `status` sends queries only, and leaves the outputs as they are."""
    adapter = PlacedAdapter("prologix")
    graph = Topology(4, [(0, 1), (1, 2), (0, 2), (1, 3)], inputs=[1], outputs=[2, 3], ground=0)
    placed = [
        PlacedSmu("smu", "2400", (1,), gpib=GpibPlace(adapter, 24)),
        PlacedScanner("scan", "34970A", {101: 2, 102: 3}, {1: "34901A"}, gpib=GpibPlace(adapter, 9)),
    ]
    limits = Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 2e-4))
    with VirtualBench(graph, placed, conductances=1e-4, meters=Meters(noise=0.0)) as bench:
        table = BenchSettings(
            instruments=[
                {"name": "smu", "model": "2400", "address": bench.address("smu")},
                {"name": "scan", "model": "34970A", "address": bench.address("scan"), "high_impedance": True},
            ],
            terminals=[
                {"node": 1, "source": "smu:1"},
                {"node": 2, "read": "scan:101"},
                {"node": 3, "read": "scan:102"},
            ],
            edges=1e-4,
        )
        with BenchBackend.open(table, graph, limits) as network:
            found = network.measure([[0.4], [-0.2]]).voltages
        np.testing.assert_allclose(found, [[0.2, 0.4], [-0.1, -0.2]], atol=1e-4)
        bench.instrument("smu").execute(b":OUTP 1")
        source, scanner = BenchBackend.status(table)
        assert (source.outputs[0].on, scanner.identity.split()[1]) == (True, "34970A")
        assert bench.instrument("smu").channels[0].settings.output


@POSIX
@pytest.mark.parametrize("ending", ["SIGTERM", "SIGKILL", "off"])
def test_outputs_behind_an_adapter_are_off_after_every_end(ending):
    adapter = PlacedAdapter("ar488", wire="pty")
    smus = [PlacedSmu(f"smu{k}", "2400", (k,), gpib=GpibPlace(adapter, 7 + k)) for k in (0, 1)]
    graph = Topology(4, [(0, 3), (1, 3), (0, 2)], inputs=[0, 1], outputs=[2], ground=3)
    with VirtualBench(graph, smus, conductances=1e-3) as bench:
        addresses = [placed["address"] for placed in bench.instruments]
        program = subprocess.Popen([sys.executable, "-c", PROGRAM, *addresses], stdout=subprocess.PIPE, text=True)
        assert program.stdout.readline() == "on\n"
        outputs = [bench.instrument(f"smu{k}").channels[0].settings for k in (0, 1)]
        assert [one.output for one in outputs] == [True, True]
        with pytest.raises(InUseError):
            open_smu(addresses[0], {1: ChannelLimit(2.0, 1e-3)}, model="2400")
        if ending == "off":
            channels = [{"address": text, "model": "2400", "node": k} for k, text in enumerate(addresses)]
            done = SmuBackend.off(SmuBackend.Settings(channels=channels, edges=1e-3))
            assert [one.way for one in done] == ["owner", "owner"]
        os.kill(program.pid, signal.SIGKILL if ending == "off" else getattr(signal, ending))
        program.communicate(timeout=30)
        if ending == "SIGKILL":
            for address in addresses:
                write_off(address, "2400", Connector())
        deadline = time.monotonic() + 5
        while any(one.output for one in outputs):
            assert time.monotonic() < deadline, "outputs stay on"
            time.sleep(0.01)
