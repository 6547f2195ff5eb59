"""Digital potentiometers as rheostats: codes, and what part and temperature make of them."""

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
        The nominal part: end-to-end and wiper resistance, positions.
    n : int
        How many.
    drawn : numpy.random.Generator
        What the parts follow from.
    tolerance : float
        Largest relative error of the end-to-end resistance, drawn uniformly within: what data sheets state.
    wiper_spread : float
        Log-normal spread of the wiper resistance.
    step_error : float
        Standard deviation in codes by which each tap lies off its place (INL and DNL); code 0 has none.
    tempco_per_K, wiper_tempco_per_K : float
        Relative change per kelvin of the end-to-end and of the wiper resistance.
    reference_C : float
        Temperature in Celsius at which the nominal values hold.

    Raises
    ------
    SetupError
        If a tolerance or spread makes no sense.
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
        # taps are switches along one chain of resistors: their resistances rise whatever their errors
        self._taps = np.maximum.accumulate(np.maximum(np.arange(law.positions) + off, 0.0), axis=1)
        self._tempco, self._wiper_tempco, self._reference_C = tempco_per_K, wiper_tempco_per_K, reference_C

    def siemens(self, codes: IntArray, temperature_C: float | None = None) -> FloatArray:
        """Return what the parts conduct at codes (n,) and a temperature in Celsius: true siemens (n,).

        Raises
        ------
        SetupError
            If a code does not exist or the temperature leaves no resistance.
        """
        return self._conducting(codes, self._taps[np.arange(len(self._full)), self._checked(codes)], temperature_C)

    def table(self, temperature_C: float | None = None) -> FloatArray:
        """Return the true siemens (n, positions) at every code."""
        codes = np.arange(self.law.positions)
        return self._conducting(codes, self._taps.T, temperature_C).T

    def programmed(self, targets: ArrayLike, temperature_C: float | None = None) -> FloatArray:
        """Return the true siemens (n,) after the codes nearest to targets by the *nominal* law were written."""
        return self.siemens(self.law.nearest(targets).astype(np.int64), temperature_C)

    def _conducting(self, codes: IntArray, taps: FloatArray, temperature_C: float | None) -> FloatArray:
        warmer = 0.0 if temperature_C is None else temperature_C - self._reference_C
        full = self._full * (1.0 + self._tempco * warmer)
        wiper = self._wiper * (1.0 + self._wiper_tempco * warmer)
        if not (full.min() > 0 and wiper.min() > 0):
            raise SetupError(f"at {temperature_C} C the temperature coefficients leave no resistance")
        return np.asarray(1.0 / (wiper + full * taps / self.law.positions))

    def _checked(self, codes: IntArray) -> IntArray:
        asked = np.asarray(codes)
        if asked.shape != self._full.shape or asked.min() < 0 or asked.max() >= self.law.positions:
            raise SetupError(
                f"codes must be {len(self._full)} whole numbers from 0 to {self.law.positions - 1}, one a part"
            )
        return asked.astype(np.int64)
