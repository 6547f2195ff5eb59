"""Digital potentiometers used as rheostats, with tolerance, nonlinearity and temperature coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import Rheostat
from hwlearn_sim.devices.model import check_spreads


class Digipots:
    """n digital potentiometers of one type, used as rheostats.

    Parameters
    ----------
    law : Rheostat
        Nominal end-to-end resistance, wiper resistance and number of positions.
    n : int
        Number of parts.
    drawn : numpy.random.Generator
        Source of the parts' errors.
    tolerance : float
        Tolerance of the end-to-end resistance as in data sheets; the relative error is uniform within it.
    wiper_spread : float
        Log-normal spread of the wiper resistance.
    step_error : float
        Standard deviation of the tap positions in codes (INL and DNL); code 0 is exact.
    tempco_per_K, wiper_tempco_per_K : float
        Relative change per kelvin of the end-to-end and of the wiper resistance.
    reference_C : float
        Reference temperature in Celsius of the nominal values.

    Raises
    ------
    SetupError
        If a tolerance or spread is out of range.
    """

    def __init__(
        self,
        law: Rheostat,
        n: int,
        drawn: np.random.Generator,
        *,
        tolerance: float = 0.2,
        wiper_spread: float = 0.1,
        step_error: float = 0.0,
        tempco_per_K: float = 150e-6,
        wiper_tempco_per_K: float = 3e-3,
        reference_C: float = 25.0,
    ) -> None:
        check_spreads(
            "digital potentiometers",
            {"tolerance": tolerance, "wiper_spread": wiper_spread, "step_error": step_error},
        )
        if tolerance >= 1:
            raise SetupError(f"tolerance of digital potentiometers is {tolerance}; it must be below 1")
        self.law = law
        self._full = law.full_ohm * (1.0 + tolerance * drawn.uniform(-1.0, 1.0, n))
        self._wiper = law.wiper_ohm * np.exp(wiper_spread * drawn.standard_normal(n))
        off = step_error * drawn.standard_normal((n, law.positions))
        off[:, 0] = 0.0
        # taps are switches along a chain of resistors: the resistance rises monotonically in spite of errors
        self._taps = np.maximum.accumulate(np.maximum(np.arange(law.positions) + off, 0.0), axis=1)
        self._tempco, self._wiper_tempco, self._reference_C = tempco_per_K, wiper_tempco_per_K, reference_C

    def siemens(self, codes: IntArray, temperature_C: float | None = None) -> FloatArray:
        """Return the true conductances (n,) in siemens at codes (n,) and a temperature in Celsius.

        Raises
        ------
        SetupError
            If a code does not exist, or a resistance is not positive at the temperature.
        """
        return self._conducting(codes, self._taps[np.arange(len(self._full)), self._checked(codes)], temperature_C)

    def table(self, temperature_C: float | None = None) -> FloatArray:
        """Return the true conductances (n, positions) in siemens at every code."""
        codes = np.arange(self.law.positions)
        return self._conducting(codes, self._taps.T, temperature_C).T

    def programmed(self, targets: ArrayLike, temperature_C: float | None = None) -> FloatArray:
        """Return the true conductances (n,) in siemens after programming targets with the *nominal* law."""
        return self.siemens(self.law.nearest(targets).astype(np.int64), temperature_C)

    def _conducting(self, codes: IntArray, taps: FloatArray, temperature_C: float | None) -> FloatArray:
        warmer = 0.0 if temperature_C is None else temperature_C - self._reference_C
        full = self._full * (1.0 + self._tempco * warmer)
        wiper = self._wiper * (1.0 + self._wiper_tempco * warmer)
        if not (full.min() > 0 and wiper.min() > 0):
            raise SetupError(
                f"at {temperature_C} C the temperature coefficients give a resistance that is not positive"
            )
        return np.asarray(1.0 / (wiper + full * taps / self.law.positions))

    def _checked(self, codes: IntArray) -> IntArray:
        chosen = np.asarray(codes)
        if chosen.shape != self._full.shape or chosen.min() < 0 or chosen.max() >= self.law.positions:
            raise SetupError(
                f"codes must be {len(self._full)} integers from 0 to {self.law.positions - 1}, one per part"
            )
        return chosen.astype(np.int64)
