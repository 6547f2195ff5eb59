"""Somebody else switches off, resets or changes an SMU at a random moment of a training; see `disturbances`.

Each of four families is disturbed with one message to one instrument. ``named`` asks for channel, node and what
was changed; ``on again`` counts outputs, as recorded by the instruments.
"""

from __future__ import annotations

import re
import socket
from functools import cache, partial
from pathlib import Path

import numpy as np
from disturbances import Row, Served, Trained, campaign, disturbed, undisturbed

from hwlearn_drivers.smu.network import SmuNetwork
from hwlearn_sim.instruments.channel import VirtualChannel

MODELS = ("2400", "2450", "2612B", "B2902A")
KINDS = ("off", "reset", "limit", "source", "level")
TRAINING = ("train.epochs=4", "data.samples=4", "train.batch=2", "backend.noise=0")


class ServedSmus(Served):
    """A virtual bench of SMUs of one model."""

    named = re.compile(
        r"(channel \d|smu[ab]) of .* at node n\d+ is not as this program left it: its? .*all outputs are off"
    )
    batch = (SmuNetwork, "_read_batch")

    def __init__(self, model: str, folder: Path) -> None:
        super().__init__("virtual-smu", [*TRAINING, f'backend.model="{model}"'], folder)
        self.model = model

    @property
    def channels(self) -> list[tuple[str, int, VirtualChannel]]:
        """Instrument, channel number and channel of every terminal."""
        listed = [one for one in self.bench.instruments if one["node"] is not None]
        return [
            (one["name"], number, self.bench.instrument(one["name"]).channels[number])
            for one in listed
            for number in range(len(one["node"]) if isinstance(one["node"], list) else 1)
        ]

    def disturb(self, rng: np.random.Generator) -> None:
        """Send one message to one instrument."""
        name, number, channel = self.channels[int(rng.integers(len(self.channels)))]
        text = message(self.model, str(rng.choice(KINDS)), number, channel)
        port = int(self.bench.address(name).split("::")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            question = "print(1)" if self.model == "2612B" else "*IDN?"
            client.sendall(f"{text}\n{question}\n".encode())
            client.recv(200)

    def switched_on(self) -> int:
        """Return how many times an output was switched on."""
        return sum(list(channel.switched).count(True) for _, _, channel in self.channels)

    def left_on(self) -> bool:
        """Whether an output is on."""
        return any(channel.settings.output for _, _, channel in self.channels)


def message(model: str, kind: str, number: int, channel: VirtualChannel) -> str:
    """Return the message that changes a channel."""
    n, node, state = number + 1, "smu" + "ab"[number], channel.settings
    turned = "current" if state.function == "voltage" else "voltage"
    word, volts, amperes = turned[:4].upper(), state.levels["voltage"] + 0.02, state.levels["current"] + 1e-5
    scpi = {
        "2400": {
            "off": ":OUTP 0",
            "limit": ":SENS:CURR:PROT 7e-4;:SENS:VOLT:PROT 0.3",
            "source": f":SOUR:FUNC {word}",
            "level": f":SOUR:VOLT {volts};:SOUR:CURR {amperes}",
        },
        "2450": {
            "off": ":OUTP 0",
            "limit": ":SOUR:VOLT:ILIM 7e-4;:SOUR:CURR:VLIM 0.3",
            "source": f":SOUR:FUNC {word}",
            "level": f":SOUR:VOLT {volts};:SOUR:CURR {amperes}",
        },
        "B2902A": {
            "off": f":OUTP{n} 0",
            "limit": f":SENS{n}:CURR:PROT 7e-4;:SENS{n}:VOLT:PROT 0.3",
            "source": f":SOUR{n}:FUNC:MODE {word}",
            "level": f":SOUR{n}:VOLT {volts};:SOUR{n}:CURR {amperes}",
        },
        "2612B": {
            "off": f"{node}.source.output=0",
            "limit": f"{node}.source.limiti=7e-4 {node}.source.limitv=0.3",
            "source": f"{node}.source.func={int(turned == 'voltage')}",
            "level": f"{node}.source.levelv={volts} {node}.source.leveli={amperes}",
        },
    }[model]
    return scpi.get(kind) or ("reset()" if model == "2612B" else "*RST")


@cache
def trained(model: str) -> Trained:
    """Return an undisturbed training."""
    return undisturbed(partial(ServedSmus, model))


def trial(model: str, rng: np.random.Generator) -> Row:
    """Disturb one training."""
    return disturbed(partial(ServedSmus, model), trained(model), rng)


CAMPAIGN = campaign("disturb_smus", trial, MODELS)

if __name__ == "__main__":
    CAMPAIGN.main()
