"""A reference board for driver tests: its firmware compiled natively, on a real socket or pty."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from dataclasses import replace

import numpy as np

from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn_drivers.board.protocol import MIDSCALE
from hwlearn_drivers.board.record import N_EDGES, BoardRecord, ConverterCorrection
from hwlearn_drivers.board.session import BoardSession
from hwlearn_drivers.board.wiring import BoardWiring
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.transport import Transport
from hwlearn_sim.board.native import NativeBoard

DEADLINE_S = 10.0

PLAIN = BoardRecord("T-0001", 2_000_000, 500_000)

FLAWED = replace(
    PLAIN,
    serial="T-0002",
    dacs=tuple(ConverterCorrection(137 * (k % 5) - 300, 211 * (k % 7) - 600) for k in range(16)),
    adcs=tuple(ConverterCorrection(250 - 119 * (k % 4), 173 * (k % 3) - 150) for k in range(8)),
    nudge_pS=(100_100_000, 99_900_000, 100_050_000, 99_980_000),
    edges=tuple((100_000_000 + 150_000 * (k - 16), 600 + 5 * k) for k in range(N_EDGES)),
)
"""Every converter, resistor and edge has an error of its own, which the record contains."""


SESSION = BoardSession(1_000_000, 200_000, 3, 200, settle_us=50, averages=4, watchdog_ms=2000)
FREE = "SEQ:FREE? "


def transport(address: str, timeout_s: float = 2.0) -> Transport:
    """Return a transport to the board at an address."""
    how = LinkOptions(timeout_s=timeout_s)
    return Transport(address, lambda: open_link(address, how), timeout_s=timeout_s)


def at_midscale(samples: int) -> np.ndarray:
    """Return input codes (S, 8) for 0 V at every input."""
    return np.full((samples, 8), MIDSCALE)


def graph() -> Topology:
    """Return a network that fits the board: 3 inputs, 2 outputs, 14 edges."""
    return Topology.random(8, 14, inputs=3, outputs=2, seed=5)


class BoardRig:
    """A board with a network on it. The firmware runs in real time; `advance` adds time.

    Attributes
    ----------
    heard : bytearray
        All bytes received from the driver.
    mute : bool
        Whether all replies are lost.
    deaf_after : int or None
        Number of bytes that are still received; None for no limit.
    lost_after : int or None
        Number of reply bytes that still arrive; None for no limit.
    answer_instead : dict
        Replies that replace those of the board to data with a certain word.
    flip : int or None
        Index of the byte of the next reply whose lowest bit is flipped.
    inside : bytes
        Bytes that arrive while the next sequence runs, at its first reading.
    """

    def __init__(
        self, topology: Topology, wiring: BoardWiring | None = None, record: BoardRecord | None = PLAIN, pty=False
    ) -> None:
        self.topology = topology
        self.wiring = BoardWiring.of(topology) if wiring is None else wiring
        self.record, self.truth = record, PLAIN if record is None else record
        self.native = NativeBoard()
        if record is not None:
            self.provision(record)
        self.native.attach(self._analog, self._move_edges)
        self._errors()
        self.native.power_on()
        self._move_edges(self.native.edge_codes())
        self.heard = bytearray()
        self.mute, self.deaf_after, self.lost_after = False, None, None
        self.answer_instead = {}
        self.inside, self.flip = b"", None
        self.connections = 0
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._client = None
        if pty:
            import pty as pseudo
            import tty

            self._client, self._slave = pseudo.openpty()
            tty.setraw(self._client)
            tty.setraw(self._slave)
            self.address = os.ttyname(self._slave)
            self._server = None
        else:
            self._server = socket.create_server(("127.0.0.1", 0))
            self._server.settimeout(0.02)
            self.address = f"socket://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    # --- the board ----------------------------------------------------------------------------------

    def provision(self, record: BoardRecord) -> None:
        """Write a record into the EEPROM, which the board reads when it starts."""
        data = record.encode()
        self.native.eeprom[0 : len(data)] = data

    def advance(self, seconds: float) -> None:
        """Advance the time of the firmware."""
        with self._lock:
            self.native.advance_us(round(seconds * 1e6))

    def do(self, message: str) -> bytes:
        """Send a message to the board without the wire, and return its reply."""
        with self._lock:
            self.native.receive(message.encode() + b"\n")
            return self.native.transmit()

    @property
    def is_safe(self) -> bool:
        """Whether all switches are open and every DAC is at midscale."""
        with self._lock:
            return self.native.switches() == 0 and self.native.dac_codes() == [32768] * 16

    def wait_until(self, condition) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, "timeout"
            self._ended.wait(0.005)

    @property
    def model(self) -> Kirchhoff:
        """The network with the true conductances of the edges."""
        return Kirchhoff(self.topology, self.conductances)

    @property
    def kappa(self) -> np.ndarray:
        """Conductances of the nudge resistors at the network's outputs, in siemens."""
        return np.array(self.truth.nudge_pS)[self.wiring.outputs] * 1e-12

    def _move_edges(self, codes) -> None:
        table = np.array(self.truth.edges, dtype=np.float64)
        ohms = table[:, 1] * 0.1 + table[:, 0] * 1e-3 * codes / 256
        self.conductances = 1 / ohms[self.wiring.edges]
        self.native.forget_transfers()

    def _analog(self, switches, dac_volts) -> None:
        """Set the matrix from DACs to ADCs for these switches, with a divider at each closed switch."""
        inside, self.inside = self.inside, b""
        self.native.receive(inside)
        top, model = self.topology, self.model
        free = model.solve(np.eye(top.n_inputs))[:, top.outputs].T
        Z, closed = model.output_impedance(), [j for j, c in enumerate(self.wiring.outputs) if switches >> c & 1]
        into = np.linalg.inv(np.diag(1 / self.kappa[closed]) + Z[np.ix_(closed, closed)]) if closed else None
        matrix = np.zeros((8, 16))
        rows = self.wiring.outputs
        matrix[np.ix_(rows, self.wiring.inputs)] = free
        if into is not None:
            follow = Z[:, closed] @ into
            matrix[np.ix_(rows, self.wiring.inputs)] -= follow @ free[closed]
            matrix[np.ix_(rows, 8 + rows[closed])] = follow
        self.native.set_transfer(switches, matrix)

    def _errors(self) -> None:
        dac, adc = self.truth.dacs, self.truth.adcs
        gain = np.array([1 / (1 + c.gain_ppm * 1e-6) for c in adc])
        self.native.set_converters(
            [c.gain_ppm * 1e-6 for c in dac],
            [c.offset_uV * 1e-6 for c in dac],
            gain - 1,
            [-c.offset_uV * 1e-6 * g for c, g in zip(adc, gain, strict=True)],
            0.0,
            1,
        )

    # --- the wire -----------------------------------------------------------------------------------

    def drop(self) -> None:
        """Close the connection, as a disconnected cable does."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def refuse(self) -> None:
        """Close the connection and accept no others."""
        self._ended.set()
        self._thread.join(DEADLINE_S)
        self._server.close()
        self.drop()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(DEADLINE_S)
        if self._server is None:
            os.close(self._client)
            os.close(self._slave)
        else:
            self._server.close()
            self.drop()

    def _serve(self) -> None:
        looked_at = time.monotonic()
        while not self._ended.is_set():
            data = b""
            with contextlib.suppress(OSError, ValueError):
                data = self._take()
            with self._lock:
                now = time.monotonic()
                elapsed, looked_at = now - looked_at, now
                if self.deaf_after is not None:
                    data = data[: self.deaf_after]
                    self.deaf_after -= len(data)
                self.heard += data
                if data:
                    self.native.receive(data)
                else:
                    self.native.advance_us(round(1e6 * min(elapsed, 0.05)))
                said = self.native.transmit()
            for word, other in self.answer_instead.items():
                if word in data:
                    said = other
            if self.flip is not None and said:
                k, self.flip = self.flip % len(said), None
                said = said[:k] + bytes([said[k] ^ 1]) + said[k + 1 :]
            if self.lost_after is not None:
                said = said[: self.lost_after]
                self.lost_after -= len(said)
            if said and not self.mute:
                with contextlib.suppress(OSError):
                    self._give(said)

    def _take(self) -> bytes:
        if self._server is None:
            return os.read(self._client, 65536) if select.select([self._client], [], [], 0.01)[0] else b""
        if self._client is None:
            self._client, _ = self._server.accept()
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
        client = self._client
        if not select.select([client], [], [], 0.01)[0]:
            return b""
        data = client.recv(65536)
        if not data:
            self.drop()
        return data

    def _give(self, data: bytes) -> None:
        if self._server is None:
            while data:
                data = data[os.write(self._client, data) :]
        elif self._client is not None:
            self._client.sendall(data)
