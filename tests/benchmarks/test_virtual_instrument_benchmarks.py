"""Time of the virtual instruments themselves, for comparison with the benchmarks of the drivers.

Run with ``python -m pytest tests/benchmarks --benchmark-enable``.
"""

from __future__ import annotations

import itertools
import socket

import pytest

from hwlearn.circuit.topology import Topology
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.placed import PlacedSmu
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, VoltageSource

CROSSBAR = Topology.crossbar(14, 11, range(10), range(3))
READ = {"2400": b":READ?", "2450": b":READ?", "2612B": b"print(smua.measure.iv())", "B2902A": b":MEAS? (@1)"}


def test_plane_after_one_source_changes(benchmark):
    """A crossbar with 13 terminals: one source changes, one channel reads."""
    plane = AnalogPlane(CROSSBAR, [1e-5] * CROSSBAR.n_edges)
    channels = [plane.attach(int(node)) for node in (*CROSSBAR.inputs, *CROSSBAR.outputs)]
    for channel in channels[:10]:
        plane.drive(channel, VoltageSource(0.1, 1e-3))
    for channel in channels[10:]:
        plane.drive(channel, CurrentSource(0.0, 1.0))
    volts = itertools.cycle([0.2, 0.3])

    def step() -> float:
        plane.drive(channels[0], VoltageSource(next(volts), 1e-3))
        return plane.read(channels[12]).volts

    first, second = benchmark(step), step()
    assert first != second


@pytest.mark.parametrize("model", READ)
def test_one_reading_without_transport(benchmark, model):
    bench = VirtualBench(CROSSBAR, [PlacedSmu("smu", model, (0,))], conductances=1e-5)
    instrument = bench.instrument("smu")
    instrument.execute({"2612B": b"smua.source.output=1", "B2902A": b":OUTP1 1"}.get(model, b":OUTP 1"))
    assert benchmark(instrument.execute, READ[model]).endswith(b"\n")


@pytest.mark.parametrize("question", [b"*IDN?", b":READ?"])
def test_one_round_trip_over_tcp(benchmark, question):
    with VirtualBench(CROSSBAR, [PlacedSmu("smu", "2450", (0,))], conductances=1e-5) as bench:
        _, host, port, _ = bench.address("smu").split("::")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def query() -> bytes:
                client.sendall(question + b"\n")
                return client.recv(4096)

            assert benchmark(query).endswith(b"\n")
