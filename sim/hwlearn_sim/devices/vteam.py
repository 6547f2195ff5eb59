"""VTEAM model of memristive devices, which change only above a threshold voltage."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError
from hwlearn.network.simulation import State
from hwlearn_sim.devices.model import DeviceModel, Parameter, check_positive, check_spreads, law_of, spread
from hwlearn_sim.devices.state import generator_states, restore_generators, restored

Window = Literal["none", "joglekar", "biolek"]


@dataclass(frozen=True, eq=False, slots=True)
class VteamLaw:
    """Effect of pulses on a VTEAM device. Its state w is 0 when on and 1 when off.

    Parameters
    ----------
    k_off, k_on : float or ndarray, shape (n,)
        Rates of w in 1/s: k_off > 0, k_on < 0.
    v_off, v_on : float or ndarray, shape (n,)
        Thresholds in volts: v_off > 0, v_on < 0.
    alpha_off, alpha_on : float or ndarray, shape (n,)
        Exponents of the overdrive.
    r_on, r_off : float or ndarray, shape (n,)
        Resistances in ohm at w = 0 and w = 1.
    window : {"none", "joglekar", "biolek"}
        Window function that slows w near 0 and 1; with "none", w stops there.
    exponent : int
        Exponent p of the window.
    resistance : {"linear", "exponential"}
        Dependence of the resistance on w.

    Raises
    ------
    SetupError
        If a parameter has the wrong sign or is not finite, or r_off does not exceed r_on.

    Notes
    -----
    ``dw/dt = k_off (v / v_off - 1) ** alpha_off f(w)`` for v > v_off, ``k_on (v / v_on - 1) ** alpha_on f(w)`` for
    v < v_on, and zero between. At constant v the solution is exact without a window and for windows with p = 1;
    steeper windows are integrated with error control. In this law a positive v switches *off*; `Vteam` reverses
    the sign. Source: Kvatinsky, Ramadan, Friedman & Kolodny, IEEE TCAS II 62, 786 (2015), eqs. 3-5.
    """

    k_off: Parameter = 5e3
    k_on: Parameter = -5e3
    v_off: Parameter = 0.6
    v_on: Parameter = -0.6
    alpha_off: Parameter = 3.0
    alpha_on: Parameter = 3.0
    r_on: Parameter = 1e4
    r_off: Parameter = 1e6
    window: Window = "none"
    exponent: int = 1
    resistance: Literal["linear", "exponential"] = "linear"

    def __post_init__(self) -> None:
        for name in ("k_on", "v_on"):
            if not np.all(np.asarray(getattr(self, name)) < 0):
                raise SetupError(f"{name} of a VTEAM law is {getattr(self, name)}; it must be negative")
        names = ("k_off", "v_off", "alpha_off", "alpha_on", "r_on", "r_off", "exponent")
        check_positive("a VTEAM law", {name: getattr(self, name) for name in names})
        if not np.all(np.asarray(self.r_off) > self.r_on):
            raise SetupError(f"r_off of a VTEAM law is {self.r_off} ohm; it must exceed r_on, {self.r_on} ohm")
        if self.window not in ("none", "joglekar", "biolek"):
            raise SetupError(f"window of a VTEAM law is {self.window!r}; known are none, joglekar and biolek")
        if self.resistance not in ("linear", "exponential"):
            raise SetupError(f"resistance of a VTEAM law is {self.resistance!r}; known are linear and exponential")

    def siemens(self, state: Parameter) -> FloatArray:
        """Return the conductance in siemens at state w."""
        w = np.asarray(state, dtype=np.float64)
        if self.resistance == "linear":
            return np.asarray(1.0 / (self.r_on + (np.asarray(self.r_off) - self.r_on) * w))
        return np.asarray((np.asarray(self.r_on) / self.r_off) ** w / self.r_on)

    def state(self, siemens: Parameter) -> FloatArray:
        """Return the state w for a conductance in siemens, not limited to 0..1."""
        g = np.asarray(siemens, dtype=np.float64)
        if self.resistance == "linear":
            return np.asarray((1.0 / g - self.r_on) / (np.asarray(self.r_off) - self.r_on))
        return np.asarray(-np.log(g * self.r_on) / np.log(np.asarray(self.r_off) / self.r_on))

    def speed(self, volts: Parameter) -> FloatArray:
        """Return dw/dt in 1/s at a voltage, without the window."""
        v = np.asarray(volts, dtype=np.float64)
        off = np.maximum(v / self.v_off - 1.0, 0.0)
        on = np.maximum(v / self.v_on - 1.0, 0.0)
        return np.asarray(self.k_off * off**self.alpha_off + self.k_on * on**self.alpha_on)

    def after_pulse(
        self, state: Parameter, volts: Parameter, width_s: Parameter, strength: Parameter = 1.0
    ) -> FloatArray:
        """Return the state w after a pulse; all arguments broadcast.

        Parameters
        ----------
        state, volts, width_s : array_like
            w before the pulse; volts, positive to switch off; seconds.
        strength : array_like
            Factor on the dose, for cycle-to-cycle variation.
        """
        return self.after_dose(state, strength * self.speed(volts) * np.asarray(width_s))

    def after_dose(self, state: Parameter, dose: Parameter) -> FloatArray:
        """Return the state w after a dose, the change of w without a window; both arguments broadcast."""
        w, dose = np.asarray(state, dtype=np.float64), np.asarray(dose)
        if self.window == "none":
            return np.asarray(np.minimum(np.maximum(w + dose, 0.0), 1.0))
        w, dose = np.broadcast_arrays(w, dose)
        # both windows are symmetric: always integrate towards 1
        y = _travelled(np.where(dose > 0, w, 1.0 - w), np.abs(dose), self.window, int(self.exponent))
        return np.clip(np.where(dose > 0, y, 1.0 - y), 0.0, 1.0)


def _travelled(y: FloatArray, dose: FloatArray, window: Window, p: int) -> FloatArray:
    """Solve dy/ds = f(y) from y over a dose s."""
    if p == 1:
        with np.errstate(divide="ignore"):
            if window == "biolek":
                return np.tanh(np.arctanh(y) + dose)
            # a state of 0 does not change, also where the exponential underflows
            return np.asarray(y / np.where(y > 0, y + (1.0 - y) * np.exp(-4.0 * dose), 1.0))
    if window == "biolek":
        return _stepped(lambda at: 1.0 - at ** (2 * p), y, dose)
    return _stepped(lambda at: 1.0 - (2.0 * at - 1.0) ** (2 * p), y, dose)


def _stepped(
    f: Callable[[FloatArray], FloatArray], y: FloatArray, dose: FloatArray, error: float = 1e-9
) -> FloatArray:
    """Integrate with the Bogacki-Shampine pair; the error of each step in y is below ``error``."""
    # beyond this dose the state has reached its final value to 1e-9 for every window
    s = np.minimum(dose, 100.0)
    done, step = 0.0, 1e-3
    y = np.array(y)
    k1 = f(y)
    while done < 1.0:
        step = min(step, 1.0 - done)
        h = step * s
        k2 = f(np.clip(y + 0.5 * h * k1, 0.0, 1.0))
        k3 = f(np.clip(y + 0.75 * h * k2, 0.0, 1.0))
        new = np.clip(y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9, 0.0, 1.0)
        k4 = f(new)
        off = float(np.max(np.abs(h * (-5 * k1 / 72 + k2 / 12 + k3 / 9 - k4 / 8)), initial=0.0))
        if off <= error:
            done, y, k1 = done + step, new, k4
            if 1.0 - done < 1e-12:
                break
        step *= min(4.0, max(0.2, 0.9 * (error / max(off, 1e-300)) ** (1 / 3)))
    return y


class Vteam(DeviceModel):
    """n VTEAM devices.

    Parameters
    ----------
    law : VteamLaw
        Law of the typical device, with scalar parameters.
    n : int
        Number of devices.
    drawn, cycles : numpy.random.Generator
        Sources of the device-to-device and of the cycle-to-cycle variation.
    device_spread : float
        Log-normal device-to-device spread of the rates. Resistances have half, thresholds a fifth of it.
    cycle_spread : float
        Relative standard deviation of the dose of each pulse.
    retention_s : float
        Time constant with which the state decays to off.

    Raises
    ------
    SetupError
        If a spread is negative or the retention not positive.

    Notes
    -----
    Positive voltages SET, as for every `DeviceModel`. The law is evaluated at ``-volts``.
    """

    def __init__(
        self,
        law: VteamLaw,
        n: int,
        drawn: np.random.Generator,
        cycles: np.random.Generator,
        *,
        device_spread: float = 0.0,
        cycle_spread: float = 0.0,
        retention_s: float = math.inf,
    ) -> None:
        check_spreads("VTEAM devices", {"device_spread": device_spread, "cycle_spread": cycle_spread})
        if not retention_s > 0:
            raise SetupError(f"retention_s is {retention_s}; it must be positive")
        shares = {"k_off": 1.0, "k_on": 1.0, "v_off": 0.2, "v_on": 0.2, "r_on": 0.5, "r_off": 0.5}
        values: dict[str, Any] = {
            name: spread(drawn, float(getattr(law, name)), share * device_spread, n)
            for name, share in shares.items()
        }
        self.law: VteamLaw = replace(law, **values)
        self._cycles, self._cycle_spread, self._retention_s = cycles, cycle_spread, retention_s
        # pristine devices are nearly off
        self._w = 1.0 - drawn.uniform(0.02, 0.2, n)

    @property
    def conductance(self) -> FloatArray:
        """Present true small-signal conductances (n,) in siemens."""
        return self.law.siemens(self._w)

    def pulse(self, devices: IntArray, volts: FloatArray, width_s: float) -> None:
        """Apply a pulse of given voltages (m,) and width to the chosen devices (m,), each listed once."""
        strength = 1.0 + self._cycle_spread * self._cycles.standard_normal(len(devices))
        self._w[devices] = law_of(self.law, devices).after_pulse(self._w[devices], -volts, width_s, strength)

    def rest(self, seconds: float) -> None:
        """Let time pass: the state decays towards off."""
        self._w = 1.0 - (1.0 - self._w) * math.exp(-seconds / self._retention_s)

    def state(self) -> dict[str, np.ndarray]:
        """Return the states w (n,) and the generator of the cycle-to-cycle variation."""
        return {"w": self._w.copy(), "cycles": generator_states([self._cycles])}

    def restore(self, state: State) -> None:
        """Continue from a state."""
        self._w = restored(self._w, state["w"])
        restore_generators([self._cycles], state["cycles"])
