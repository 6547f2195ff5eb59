"""Random parts of one reference board, converters and nudge resistors, and its calibration record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.network.edge_codes import Rheostat
from hwlearn_drivers.board.record import MOST_NUDGE_UV, MOST_VOLTS_UV, BoardRecord, ConverterCorrection
from hwlearn_sim.board.circuit import OUTPUTS
from hwlearn_sim.board.library import ADCS, DACS, EDGES

EDGE_LAW: Final = Rheostat(full_ohm=100e3, wiper_ohm=130.0, positions=256)
"""Nominal law of an AD5144-100k. Its tolerance is part of the device imperfections."""

KAPPA: Final = 100e-6
"""Nominal conductance of a nudge resistor with its switch, in siemens."""

_KAPPA_SPREAD: Final = 1e-3


@dataclass(frozen=True, eq=False, slots=True)
class BoardParts:
    """True errors of the parts of one board.

    Attributes
    ----------
    dac_gain, dac_offset : ndarray, shape (16,)
        True voltage = nominal voltage x (1 + gain) + offset (V).
    adc_gain, adc_offset : ndarray, shape (8,)
        Reading = true voltage x (1 + gain) + offset (V).
    kappa : ndarray, shape (4,)
        Conductance in siemens of each nudge resistor with its switch closed.
    noise_V : float
        Standard deviation of one ADC conversion.
    """

    dac_gain: FloatArray
    dac_offset: FloatArray
    adc_gain: FloatArray
    adc_offset: FloatArray
    kappa: FloatArray
    noise_V: float = 0.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, gain: float, offset_V: float, noise_V: float = 0.0) -> BoardParts:
        """Return random parts; the converters' gain errors and offsets have these standard deviations."""
        # all are always drawn, so that one spread does not change the values of the other
        dac, adc = rng.standard_normal((2, DACS)), rng.standard_normal((2, ADCS))
        resistors = rng.standard_normal(OUTPUTS)
        kappa = KAPPA * (1 + _KAPPA_SPREAD * resistors)
        return cls(gain * dac[0], offset_V * dac[1], gain * adc[0], offset_V * adc[1], kappa, noise_V)

    def record(self, serial: str, calibrated: bool) -> BoardRecord:
        """Return the board's calibration record, in which the edges are always nominal.

        Parameters
        ----------
        serial : str
            Serial number.
        calibrated : bool
            Whether the record contains the true errors of converters and nudge resistors, or nominal values.

        Raises
        ------
        SetupError
            If an error is larger than the format of the record allows.
        """
        edge = (round(EDGE_LAW.full_ohm * 1e3), round(EDGE_LAW.wiper_ohm * 10))
        nominal = BoardRecord(serial, MOST_VOLTS_UV, MOST_NUDGE_UV, edges=(edge,) * EDGES)
        if not calibrated:
            return nominal
        return BoardRecord(
            serial,
            MOST_VOLTS_UV,
            MOST_NUDGE_UV,
            dacs=_converters(self.dac_gain, self.dac_offset),
            # the record converts a reading to the true voltage
            adcs=_converters(1 / (1 + self.adc_gain) - 1, -self.adc_offset / (1 + self.adc_gain)),
            nudge_pS=tuple(round(siemens * 1e12) for siemens in self.kappa.tolist()),
            edges=(edge,) * EDGES,
        )


def _converters(gain: FloatArray, offset: FloatArray) -> tuple[ConverterCorrection, ...]:
    pairs = zip(gain.tolist(), offset.tolist(), strict=True)
    return tuple(ConverterCorrection(round(g * 1e6), round(volts * 1e6)) for g, volts in pairs)
