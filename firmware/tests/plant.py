"""A resistor network with nudge resistors, solved by node analysis, and its converters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .record import Record
from .rig import Rig

Floats = npt.NDArray[np.float64]
INPUTS, OUTPUTS, DACS, ADCS = 8, 4, 16, 8


@dataclass(frozen=True)
class Plant:
    """Conductances in siemens between 8 inputs, 4 outputs and hidden nodes, and of the 4 nudge resistors."""

    laplacian: Floats  # (N, N): inputs, outputs, hidden nodes
    nudge: Floats  # (4,)

    @classmethod
    def random(cls, seed: int, hidden: int = 5) -> Plant:
        """Return a random network: each pair of nodes is connected with probability 0.6, by 10 to 100 uS."""
        generator = np.random.default_rng(seed)
        size = INPUTS + OUTPUTS + hidden
        upper = np.triu(generator.uniform(1e-5, 1e-4, (size, size)) * (generator.random((size, size)) < 0.6), 1)
        for k in range(INPUTS, size - 1):  # free nodes are connected to each other and to an input
            upper[k, k + 1] = upper[0, k] = 5e-5
        joined = upper + upper.T
        return cls(np.diag(joined.sum(axis=1)) - joined, generator.uniform(0.9e-4, 1.1e-4, OUTPUTS))

    def transfer(self, switches: int) -> Floats:
        """Return output volts per DAC volts (8, 16) with these switches closed; spare ADC channels read 0 V."""
        free = self.laplacian[INPUTS:, INPUTS:].copy()
        drive = np.zeros((free.shape[0], DACS))
        drive[:, :INPUTS] = -self.laplacian[INPUTS:, :INPUTS]
        for j in range(OUTPUTS):
            if switches >> j & 1:
                free[j, j] += self.nudge[j]
                drive[j, INPUTS + j] = self.nudge[j]
        rows = np.zeros((ADCS, DACS))
        rows[:OUTPUTS] = np.linalg.solve(free, drive)[:OUTPUTS]
        return rows

    def connect(self, rig: Rig) -> None:
        """Connect the network to the board, for every state of its switches."""
        for switches in range(1 << OUTPUTS):
            rig.transfer(switches, self.transfer(switches).tolist())


@dataclass(frozen=True)
class Converters:
    """True errors of all converters: those of a record, or none."""

    dac_gain: Floats
    dac_offset: Floats
    adc_gain: Floats
    adc_offset: Floats

    @classmethod
    def of(cls, record: Record) -> Converters:
        """Return converters with the errors of the record."""
        adc = [1 + float(channel.gain) for channel in record.adcs]
        return cls(
            np.array([float(channel.gain) for channel in record.dacs]),
            np.array([float(channel.offset) for channel in record.dacs]),
            np.array([1 / gain - 1 for gain in adc]),
            np.array([-float(channel.offset) / gain for channel, gain in zip(record.adcs, adc, strict=True)]),
        )

    def install(self, rig: Rig, noise_volts: float = 0.0, seed: int = 0) -> None:
        """Set these converter errors on the board."""
        values: list[Any] = [self.dac_gain, self.dac_offset, self.adc_gain, self.adc_offset]
        rig.lib.host_set_converters(rig.board, *(value.tolist() for value in values), noise_volts, seed)

    def dac_volts(self, codes: npt.ArrayLike) -> Floats:
        """Return volts (16,) for codes (16,)."""
        nominal = (np.asarray(codes, dtype=np.float64) - 32768) * 5 / 65536
        return nominal * (1 + self.dac_gain) + self.dac_offset

    def adc_codes(self, volts: Floats) -> npt.NDArray[np.int64]:
        """Return codes (8,) for volts (8,)."""
        nominal = volts * (1 + self.adc_gain) + self.adc_offset
        codes: npt.NDArray[np.int64] = np.clip(np.floor((nominal + 2.5) / 5.12 * 65536 + 0.5), 0, 65535).astype(
            int
        )
        return codes


def read(plant: Plant, converters: Converters, codes: list[int], switches: int) -> list[int]:
    """Return the four output readings for given DAC codes."""
    volts = plant.transfer(switches) @ converters.dac_volts(codes)
    return [int(code) for code in converters.adc_codes(volts)[:OUTPUTS]]
