"""Soft-bounds RRAM model: each pulse covers a fraction of the remaining distance to the bound."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError
from hwlearn.network.simulation import State
from hwlearn_sim.devices.model import DeviceModel, Parameter, check_positive, check_spreads, law_of, spread
from hwlearn_sim.devices.state import generator_states, restore_generators, restored


@dataclass(frozen=True, eq=False, slots=True)
class SoftBoundsLaw:
    """Effect of pulses on a soft-bounds device.

    Parameters
    ----------
    g_min, g_max : float or ndarray, shape (n,)
        Bounds in siemens.
    set_step, reset_step : float or ndarray, shape (n,)
        Fraction of the distance to g_max (g_min) that one reference pulse covers, between 0 and 1.
    set_voltage, reset_voltage : float or ndarray, shape (n,)
        Magnitude in volts of the reference pulses.
    set_scale, reset_scale : float or ndarray, shape (n,)
        Voltage v0 of the dose ``sinh(V / v0) / sinh(V_ref / v0)`` of a pulse with another amplitude.
    width_s : float or ndarray, shape (n,)
        Width of a reference pulse in seconds; the dose is proportional to the width.

    Raises
    ------
    SetupError
        If a parameter is not positive, a step is not below 1, or the bounds do not rise.

    Notes
    -----
    SET multiplies ``g_max - g`` by ``(1 - set_step) ** dose``; RESET acts likewise towards g_min. With the
    exponential form, two half pulses equal one pulse. Source of the state-dependent step: Fusi & Abbott, Nature
    Neuroscience 10, 485 (2007); of the sinh: ion hopping, e.g. Yu & Wong, IEEE EDL 31, 1455 (2010).

    Examples
    --------
    >>> law = SoftBoundsLaw(g_min=0.0, g_max=1e-4, set_step=0.1)
    >>> float(law.after_pulse(0.0, 1.0, 1e-6))
    1e-05
    """

    g_min: Parameter = 1e-6
    g_max: Parameter = 1e-4
    set_step: Parameter = 0.05
    reset_step: Parameter = 0.05
    set_voltage: Parameter = 1.0
    reset_voltage: Parameter = 1.0
    set_scale: Parameter = 0.05
    reset_scale: Parameter = 0.05
    width_s: Parameter = 1e-6

    def __post_init__(self) -> None:
        names = ("g_max", "set_step", "reset_step", "set_voltage", "reset_voltage", "set_scale", "reset_scale")
        check_positive("a soft-bounds law", {name: getattr(self, name) for name in (*names, "width_s")})
        if not (np.all(np.asarray(self.g_min) >= 0) and np.all(np.asarray(self.g_min) < self.g_max)):
            raise SetupError(
                f"g_min and g_max of a soft-bounds law are {self.g_min} S and {self.g_max} S; g_min must not be "
                "negative, and must be below g_max"
            )
        for name in ("set_step", "reset_step"):
            if np.any(np.asarray(getattr(self, name)) >= 1):
                raise SetupError(f"{name} of a soft-bounds law is {getattr(self, name)}; it must be below 1")

    def after_pulse(
        self, conductance: Parameter, volts: Parameter, width_s: Parameter, strength: Parameter = 1.0
    ) -> FloatArray:
        """Return the conductance in siemens after a pulse; all arguments broadcast.

        Parameters
        ----------
        conductance, volts, width_s : array_like
            Siemens before the pulse; volts, positive to SET; seconds.
        strength : array_like
            Factor on the dose, for cycle-to-cycle variation.
        """
        return self.after(conductance, self.pulse_effect(volts), width_s, strength)

    def pulse_effect(self, volts: Parameter) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return what the amplitude of a pulse determines.

        Returns
        -------
        dose : ndarray
            Dose relative to a reference pulse of the same width.
        remaining : ndarray
            Logarithm of the fraction of the distance to the bound that one reference pulse leaves.
        bound : ndarray
            Bound in siemens that the pulse moves the conductance towards.
        """
        v = np.asarray(volts, dtype=np.float64)
        up = v > 0
        ref = np.where(up, self.set_voltage, self.reset_voltage)
        v0 = np.where(up, self.set_scale, self.reset_scale)
        size = np.abs(v)
        # sinh(size / v0) / sinh(ref / v0) without overflow
        dose = np.exp((size - ref) / v0) * -np.expm1(-2 * size / v0) / -np.expm1(-2 * ref / v0)
        remaining = np.log1p(-np.where(up, self.set_step, self.reset_step))
        return dose, remaining, np.where(up, self.g_max, self.g_min)

    def after(
        self,
        conductance: Parameter,
        effect: tuple[FloatArray, FloatArray, FloatArray],
        width_s: Parameter,
        strength: Parameter = 1.0,
    ) -> FloatArray:
        """Return the conductance in siemens after a pulse whose `pulse_effect` is known."""
        g = np.asarray(conductance, dtype=np.float64)
        dose, remaining, bound = effect
        covered = -np.expm1(strength * dose * np.asarray(width_s) / self.width_s * remaining)
        return np.asarray(np.minimum(np.maximum(g + (bound - g) * covered, self.g_min), self.g_max))


class SoftBounds(DeviceModel):
    """n soft-bounds devices.

    Parameters
    ----------
    law : SoftBoundsLaw
        Law of the typical device, with scalar parameters.
    n : int
        Number of devices.
    drawn, cycles : numpy.random.Generator
        Sources of the device-to-device and of the cycle-to-cycle variation.
    device_spread : float
        Log-normal device-to-device spread of the steps. Bounds have half, reference voltages a tenth of it.
    cycle_spread : float
        Relative standard deviation of the dose of each pulse.
    retention_s : float
        Time constant with which the state decays to g_min.
    walk_per_sqrt_hour : float
        Relative random walk of the conductance in one hour.

    Raises
    ------
    SetupError
        If a spread is negative or the retention not positive.
    """

    def __init__(
        self,
        law: SoftBoundsLaw,
        n: int,
        drawn: np.random.Generator,
        cycles: np.random.Generator,
        *,
        device_spread: float = 0.0,
        cycle_spread: float = 0.0,
        retention_s: float = math.inf,
        walk_per_sqrt_hour: float = 0.0,
    ) -> None:
        check_spreads(
            "soft-bounds devices",
            {
                "device_spread": device_spread,
                "cycle_spread": cycle_spread,
                "walk_per_sqrt_hour": walk_per_sqrt_hour,
            },
        )
        if not retention_s > 0:
            raise SetupError(f"retention_s is {retention_s}; it must be positive")
        self.law: SoftBoundsLaw = _population(law, n, drawn, device_spread)
        self._cycles, self._cycle_spread = cycles, cycle_spread
        self._retention_s, self._walk = retention_s, walk_per_sqrt_hour
        # pristine devices have a low conductance, somewhat above the bound
        start = drawn.uniform(0.02, 0.2, n)
        self._g = np.asarray(self.law.g_min + start * (np.asarray(self.law.g_max) - self.law.g_min))

    @property
    def conductance(self) -> FloatArray:
        """Present true small-signal conductances (n,) in siemens."""
        return self._g.copy()

    def pulse(self, devices: IntArray, volts: FloatArray, width_s: float) -> None:
        """Apply a pulse of given voltages (m,) and width to the chosen devices (m,), each listed once."""
        strength = 1.0 + self._cycle_spread * self._cycles.standard_normal(len(devices))
        self._g[devices] = law_of(self.law, devices).after_pulse(self._g[devices], volts, width_s, strength)

    def rest(self, seconds: float) -> None:
        """Let time pass: the state decays towards g_min and drifts randomly."""
        low = self.law.g_min
        g = low + (self._g - low) * math.exp(-seconds / self._retention_s)
        if self._walk:
            g = g * np.exp(self._walk * math.sqrt(seconds / 3600) * self._cycles.standard_normal(len(g)))
        self._g = np.clip(g, low, self.law.g_max)

    def state(self) -> dict[str, np.ndarray]:
        """Return the conductances (n,) and the generator of the cycle-to-cycle variation."""
        return {"conductances": self._g.copy(), "cycles": generator_states([self._cycles])}

    def restore(self, state: State) -> None:
        """Continue from a state."""
        self._g = restored(self._g, state["conductances"])
        restore_generators([self._cycles], state["cycles"])


def _population(law: SoftBoundsLaw, n: int, rng: np.random.Generator, sigma: float) -> SoftBoundsLaw:
    def drawn(name: str, share: float) -> FloatArray:
        return spread(rng, float(getattr(law, name)), share * sigma, n)

    g_min, g_max = drawn("g_min", 0.5), drawn("g_max", 0.5)
    if (g_min >= g_max).any():
        raise SetupError(f"with device_spread {sigma}, g_min of some devices exceeds g_max; lower it")
    return replace(
        law,
        g_min=g_min,
        g_max=g_max,
        # a step is a fraction below 1: the spread applies to its exponent
        set_step=-np.expm1(np.log1p(-float(law.set_step)) * spread(rng, 1.0, sigma, n)),
        reset_step=-np.expm1(np.log1p(-float(law.reset_step)) * spread(rng, 1.0, sigma, n)),
        set_voltage=drawn("set_voltage", 0.1),
        reset_voltage=drawn("reset_voltage", 0.1),
    )
