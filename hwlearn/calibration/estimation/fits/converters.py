"""`ConverterFit`: gain and offset of every converter channel, with uncertainties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.unknowns import CONVERTER_BLOCKS, Unknowns
from hwlearn.errors import SetupError


@dataclass(frozen=True, eq=False)
class ConverterFit:
    """Gains and offsets of all converter channels: ``true volts = nominal (1 + gain) + offset``.

    Nominal volts are the setpoint of a DAC and the value that an ADC reports. Without a reference the common gain
    of all channels is a convention (the gains' mean is about 0). Without a grounded node the same holds for a
    common offset.

    Attributes
    ----------
    dac_gain, dac_offset : ndarray, shape (n_in,)
        Input sources; relative gain error, and volts.
    drive_gain, drive_offset : ndarray, shape (n_out,)
        Clamps and resistor drives at the outputs.
    adc_gain, adc_offset : ndarray, shape (n_out,)
        ADCs of the outputs.
    covariance : ndarray, shape (C, C)
        Covariance of all of them, in the order above.
    gain_spread, offset_spread_V : float
        Estimated spread over the channels.
    linearity : ndarray, shape (n_out,), optional
        Largest deviation in volts of each ADC's readings, including its DACs' deviation, from a straight line,
        where it was measured.
    """

    dac_gain: FloatArray
    dac_offset: FloatArray
    drive_gain: FloatArray
    drive_offset: FloatArray
    adc_gain: FloatArray
    adc_offset: FloatArray
    covariance: FloatArray
    gain_spread: float = float("nan")
    offset_spread_V: float = float("nan")
    linearity: FloatArray | None = None

    def applied(self, inputs: ArrayLike) -> FloatArray:
        """Return the true volts (S, n_in) at the inputs for these setpoints (S, n_in)."""
        return np.asarray(np.asarray(inputs) * (1 + self.dac_gain) + self.dac_offset)

    def setpoint(self, inputs: ArrayLike) -> FloatArray:
        """Return the setpoints (S, n_in) that produce these true volts (S, n_in) at the inputs."""
        return np.asarray((np.asarray(inputs) - self.dac_offset) / (1 + self.dac_gain))

    def true(self, readings: ArrayLike) -> FloatArray:
        """Return the true output volts (S, n_out) for ADC readings (S, n_out)."""
        return np.asarray(np.asarray(readings) * (1 + self.adc_gain) + self.adc_offset)

    def sigma(self, block: str) -> FloatArray:
        """Return the standard uncertainties of one field, for example ``"adc_gain"``."""
        return np.asarray(np.sqrt(np.diagonal(self.covariance)[self._places(block)]))

    @property
    def values(self) -> FloatArray:
        """All gains and offsets, in the order of the covariance."""
        return np.concatenate([getattr(self, block) for block in CONVERTER_BLOCKS])

    def state(self) -> dict[str, Any]:
        """Return the fit as plain data."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in found.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the fit that `state` described.

        Raises
        ------
        SetupError
            If the data does not come from `state`.
        """
        try:
            stored: dict[str, Any] = {
                name: np.array(v, dtype=float) if isinstance(v, list) else v for name, v in state.items()
            }
            return cls(**stored)
        except (TypeError, ValueError) as error:
            raise SetupError(f"the stored converters are damaged ({error}); calibrate them again") from error

    @classmethod
    def from_unknowns(
        cls,
        layout: Unknowns,
        mean: FloatArray,
        covariance: FloatArray,
        spreads: tuple[float, float],
        linearity: FloatArray | None = None,
    ) -> Self:
        """Return the converters of an estimate of all unknowns."""
        first = layout.blocks[CONVERTER_BLOCKS[0]].start
        blocks = {name: layout.take(mean, name).copy() for name in CONVERTER_BLOCKS}
        return cls(
            **blocks,
            covariance=covariance[first:, first:].copy(),
            gain_spread=spreads[0],
            offset_spread_V=spreads[1],
            linearity=linearity,
        )

    def _places(self, block: str) -> slice:
        sizes = [len(getattr(self, name)) for name in CONVERTER_BLOCKS]
        first = int(sum(sizes[: CONVERTER_BLOCKS.index(block)]))
        return slice(first, first + len(getattr(self, block)))
