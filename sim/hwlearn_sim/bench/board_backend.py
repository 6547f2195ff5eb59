"""The backend ``virtual-board``: the reference board's firmware in this process, opened with its real driver."""

from __future__ import annotations

import math
import sys
from typing import Any

from pydantic import Field

from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.reports import InstrumentReport
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
from hwlearn_sim.bench.network import check_driver_table, open_served
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.placed import Emulation, PlacedBoard, Wire

BOARD = "board"
"""Name of the board on a bench made from settings."""


class VirtualBoardSettings(Section):
    """Keys of ``[backend]`` with ``kind = "virtual-board"``.

    Attributes
    ----------
    wire : {"tcp", "pty"}
        Connection to the board. Default: a pseudo-terminal on Linux and macOS.
    seed, device_spread, write_noise, stuck_fraction
        As in the backend ``sim``: equal values give equal devices. The driver knows only the nominal resistances
        of the edges.
    read_noise : quantity
        Standard deviation of one conversion.
    gain, offset
        Standard deviations of the gain errors and of the offsets (V) of the board's converters.
    calibrated : bool
        Whether the board's calibration record contains these errors, or nominal values.
    settle, averages
        Wait before each reading, and number of readings averaged into one.
    emulation : {"native", "avr"}
        The firmware compiled for this computer, or the product's binary on an emulated ATmega2560 (in a checkout).
    wire_log : path, optional
        Log file of all bytes to and from the board.
    driver : table
        Further keys of the backend ``board`` that opens the board, such as ``watchdog``.
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
        """Return the bench; it is not served yet.

        Raises
        ------
        SetupError
            If the network is larger than the board, or the firmware is not available.
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
            conductances=math.sqrt(low * high),  # until the board sets its edges
            conductance=limits.conductance,
            imperfections=Imperfections(
                device_spread=self.device_spread,
                write_noise=self.write_noise,
                stuck_fraction=self.stuck_fraction,
            ),
            seed=self.seed,
        )

    def driver_settings(self, bench: VirtualBench) -> dict[str, Any]:
        """Return the ``[backend]`` table with which the driver opens the board of a served bench."""
        # noise and quantisation of a conversion are averaged, and the average is rounded to a step again
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
    """Serves a virtual board and opens it with the backend ``board``; entry point ``virtual-board``."""

    Settings = VirtualBoardSettings
    seed_key = "seed"
    simulated = True

    def check(self, settings: VirtualBoardSettings) -> None:
        """Refuse values that the driver of the board does not accept.

        Raises
        ------
        SetupError
            With key, value and allowed values.
        """
        common = {"settle": settings.settle, "averages": settings.averages}
        check_driver_table("board", common, {"address": "loop://"}, "backend.")
        check_driver_table("board", settings.driver, {"address": "loop://"})

    def open(
        self,
        settings: VirtualBoardSettings,
        topology: Topology,
        limits: Limits,
    ) -> Network:
        """Return the network on the virtual board; closing it stops the board.

        Raises
        ------
        SetupError
            If the backend ``board`` is not installed, a setting is wrong, or the firmware is not available.
        HwlearnError
            Other errors of the driver.
        """
        self.check(settings)
        return open_served(BOARD, settings.bench(topology, limits), settings.driver_settings, limits)

    @staticmethod
    def status(settings: VirtualBoardSettings) -> list[InstrumentReport]:
        """Return that there is nothing to read."""
        note = "virtual instruments exist only inside the process that opens them"
        return [InstrumentReport("virtual-board", "simulation", note=note)]
