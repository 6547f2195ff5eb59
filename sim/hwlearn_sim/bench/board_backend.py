"""The backend ``virtual-board``: the reference board's own firmware in this process, opened by its real driver."""

from __future__ import annotations

import math
import sys
from typing import Any

from pydantic import Field

from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.quantities import (
    Count,
    FilePath,
    NonNegative,
    NonNegativeSeconds,
    NonNegativeVolts,
    Section,
    Seed,
    Share,
)
from hwlearn_drivers.board.protocol import ADC_STEP_V
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.bench.network import open_served
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.placed import Emulation, PlacedBoard, Wire

BOARD = "board"
"""Name of the board on a bench made from settings."""


class VirtualBoardSettings(Section):
    """Keys of ``[backend]`` with ``kind = "virtual-board"``.

    Attributes
    ----------
    wire : {"tcp", "pty"}
        What the board is reached through; a pseudo-terminal on Linux and macOS unless given.
    seed, device_spread, write_noise, stuck_fraction
        As the backend ``sim`` has them: equal values give equal devices. The driver knows the edges' nominal
        resistances alone.
    read_noise : quantity
        Standard deviation of one conversion.
    gain, offset
        Spread of the gain errors, and of the offsets in volts, of the board's converters.
    calibrated : bool
        Whether the board's calibration record holds these errors, or nominal values.
    settle, averages
        Wait before each reading, and readings averaged into one.
    emulation : {"native", "avr"}
        The firmware compiled for this computer, or the product's binary on an emulated ATmega2560 (in a checkout).
    wire_log : path, optional
        Every byte to and from the board is written down there.
    driver : table
        Further keys for the backend ``board`` that opens it, such as ``watchdog``.
    """

    wire: Wire = "tcp" if sys.platform == "win32" else "pty"
    seed: Seed = 0
    device_spread: NonNegative = 0.0
    write_noise: NonNegative = 0.0
    stuck_fraction: Share = 0.0
    read_noise: NonNegativeVolts = 0.0
    gain: NonNegative = 0.0
    offset: NonNegativeVolts = 0.0
    calibrated: bool = True
    settle: NonNegativeSeconds = 200e-6
    averages: Count = 1
    emulation: Emulation = "native"
    wire_log: FilePath | None = None
    driver: dict[str, Any] = Field(default_factory=dict)

    def bench(self, topology: Topology, limits: Limits) -> VirtualBench:
        """Return the bench, not served yet.

        Raises
        ------
        SetupError
            If the network is larger than the board, or the firmware cannot be had.
        """
        board = PlacedBoard(
            BOARD,
            gain=self.gain,
            offset_V=self.offset,
            noise_V=self.read_noise,
            calibrated=self.calibrated,
            emulation=self.emulation,
            wire=self.wire,
        )
        low, high = limits.conductance
        return VirtualBench(
            topology,
            [board],
            conductances=math.sqrt(low * high),  # until the board, just below, sets its edges
            conductance=limits.conductance,
            imperfections=Imperfections(
                device_spread=self.device_spread,
                write_noise=self.write_noise,
                stuck_fraction=self.stuck_fraction,
            ),
            seed=self.seed,
        )

    def driver_settings(self, bench: VirtualBench) -> dict[str, Any]:
        """Return the ``[backend]`` table by which the driver finds the board of a served bench."""
        # noise and step of one conversion are averaged; what the board answers is rounded to a step once more
        one = math.hypot(self.read_noise, ADC_STEP_V / math.sqrt(12)) / math.sqrt(self.averages)
        again = 0.0 if self.averages == 1 else ADC_STEP_V / math.sqrt(12)
        return {
            "address": bench.address(BOARD),
            "settle": self.settle,
            "averages": self.averages,
            "voltage_sigma": math.hypot(one, again),
            **({} if self.wire_log is None else {"wire_log": self.wire_log}),
            **self.driver,
        }


class VirtualBoardBackend:
    """Serves a virtual board and opens it with the backend ``board``; registered as ``virtual-board``."""

    Settings = VirtualBoardSettings
    seed_key = "seed"

    def open(
        self,
        settings: VirtualBoardSettings,
        topology: Topology,
        limits: Limits,
    ) -> Network:
        """Return the network on the virtual board; closing it ends the board.

        Raises
        ------
        SetupError
            If the backend ``board`` is not installed, a setting is wrong, or the firmware cannot be had.
        HwlearnError
            Whatever the driver finds wrong.
        """
        return open_served(BOARD, settings.bench(topology, limits), settings.driver_settings, limits)
