"""Somebody else uses the board, or changes the edge card of an SMU bench, at a random moment of a training.

See `disturbances`. ``named`` asks for an error that says that somebody else used the board or card; ``on again``
counts updates of the board's DACs, or SMU outputs that were switched on.
"""

from __future__ import annotations

import re
import socket
import time
from functools import cache
from pathlib import Path

import numpy as np
from disturbances import Row, Served, Trained, campaign, disturbed, undisturbed

from hwlearn_drivers.board.board import Board
from hwlearn_drivers.smu.network import SmuNetwork
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes

CAN = "\x18"
KINDS = {
    "off": ("OUTP OFF", f"{CAN}OUTP OFF", CAN),
    "limit": ("SOUR:LIM:VOLT 1.4", "SOUR:LIM:NUDG 0.4", "SOUR:LIM:EDGE 100,150"),
    "setting": ("SYST:WDOG 9000", "SEQ:SETT 0", "SEQ:AVER 1", "SEQ:SIDE 1"),
    "edges": ("EDGE:CODE 3,77", "EDGE:CODE 3,77;CODE 30,78", "EDGE:CODE 31,20"),
    "and back": ("SEQ:SETT 0;SETT 200", "SEQ:AVER 1;AVER 4", "SYST:WDOG 50;WDOG 2000"),
    "drive": ("SOUR:VOLT 0,0.5", "SOUR:VOLT 15,1", "ROUT:CLOS 1"),
    "reset": ("*RST",),
    "restart": ("SYST:REB", "SYST:REB\n*ESR?", "*CLS\nSYST:REB\n*CLS"),
}
"""Messages of the second client of the board."""


class ServedBoard(Served):
    """A virtual board."""

    named = re.compile(r"somebody else used REFBOARD at .* is void|REFBOARD at .* has restarted on its own")
    batch = (Board, "sequence")

    def __init__(self, folder: Path) -> None:
        changes = ("backend.wire='tcp'", "backend.read_noise=0", "train.epochs=4")
        super().__init__("virtual-board", changes, folder)

    def disturb(self, rng: np.random.Generator) -> None:
        """Send messages of one kind."""
        kind = str(rng.choice(list(KINDS)))
        port = int(self.bench.address("board").split("::")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            for line in str(rng.choice(KINDS[kind])).split("\n"):  # bytes after a restart would be lost
                client.sendall(line.encode() + b"\n")
                client.sendall(b"*OPC?\n" if "REB" not in line else b"")
                if "REB" in line:
                    time.sleep(0.02)
                    client.sendall(b"*OPC?\n")
                while b"1\n" not in client.recv(200):
                    pass

    def switched_on(self) -> int:
        """Return the number of DAC updates."""
        return int(self.bench.board("board").controller.loads)

    def left_on(self) -> bool:
        """Whether the board is not safe."""
        return not self.bench.board("board").is_safe


class ServedEdgeCard(Served):
    """A virtual bench of SMUs whose conductances an edge card sets."""

    named = re.compile(r"somebody else changed EDGE CARD at .* were set to codes .*all outputs are off")
    batch = (SmuNetwork, "_read_batch")

    def __init__(self, folder: Path) -> None:
        changes = ("backend.model='2450'", "backend.noise=0", "data.samples=4", "train.batch=2", "train.epochs=4")
        super().__init__("virtual-smu", changes, folder)

    def disturb(self, rng: np.random.Generator) -> None:
        """Change one to three codes of the card."""
        port = int(self.bench.address("edges").split("::")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"EDGE:DATA?\n")
            reply = client.recv(4)
            size = 2 + int(chr(reply[1]))
            while len(reply) < size or len(reply) < size + int(reply[2:size]) + 1:
                reply += client.recv(4096)
            codes = decode_codes(reply[size:-1])
            places = rng.choice(len(codes), int(rng.integers(1, 4)), replace=False)
            codes[places] ^= rng.integers(1, 512, len(places)).astype(np.uint16)
            client.sendall(b"EDGE:DATA " + encode_block(encode_codes(codes)) + b"\n*IDN?\n")
            client.recv(200)

    def switched_on(self) -> int:
        """Return how many times an output was switched on."""
        return sum(list(channel.switched).count(True) for channel in self._channels())

    def left_on(self) -> bool:
        """Whether an output is on."""
        return any(channel.settings.output for channel in self._channels())

    def _channels(self):
        smus = [one["name"] for one in self.bench.instruments if one["name"] != "edges"]
        return [channel for name in smus for channel in self.bench.instrument(name).channels]


CASES = {"board": ServedBoard, "edge card": ServedEdgeCard}


@cache
def trained(case: str) -> Trained:
    """Return an undisturbed training."""
    return undisturbed(CASES[case])


def trial(case: str, rng: np.random.Generator) -> Row:
    """Disturb one training."""
    return disturbed(CASES[case], trained(case), rng)


CAMPAIGN = campaign("disturb_board", trial, tuple(CASES))

if __name__ == "__main__":
    CAMPAIGN.main()
