"""What every model of pulsed devices offers, and parameters that are one number for all or one for each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Law = TypeVar("Law", bound="DataclassInstance")

Parameter = float | FloatArray
"""One number for all devices, or an array (n,) with one for each."""


class DeviceModel(ABC):
    """A population of n two-terminal devices with a state that voltage pulses move.

    Volts count positive where they SET (raise the conductance), whatever the sign in the model's source.
    """

    @property
    @abstractmethod
    def conductance(self) -> FloatArray:
        """True small-signal siemens (n,) now."""

    @abstractmethod
    def pulse(self, devices: IntArray, volts: FloatArray, width_s: float) -> None:
        """Hold the chosen devices (m,), each once, at volts (m,) for a time."""

    @abstractmethod
    def rest(self, seconds: float) -> None:
        """Let time pass without any voltage: drift and loss of state."""


def at(law: Law, devices: IntArray) -> Law:
    """Return the law of some of the devices."""
    chosen: dict[str, Any] = {
        item.name: value[devices]
        for item in fields(law)
        if isinstance(value := getattr(law, item.name), np.ndarray) and value.ndim
    }
    return replace(law, **chosen) if chosen else law


def spread(rng: np.random.Generator, value: float, sigma: float, n: int) -> FloatArray:
    """Draw n values, log-normal about ``value``; always draws, so that one spread leaves the others alone."""
    return np.asarray(value * np.exp(sigma * rng.standard_normal(n)))


def check_positive(what: str, values: dict[str, Parameter]) -> None:
    """Refuse parameters that are not positive and finite.

    Raises
    ------
    SetupError
        Naming the first.
    """
    for name, value in values.items():
        if not (np.all(np.isfinite(value)) and np.all(np.asarray(value) > 0)):
            raise SetupError(f"{name} of {what} is {value}; it must be positive and finite")


def check_spreads(what: str, values: dict[str, float]) -> None:
    """Refuse spreads that are negative or no number.

    Raises
    ------
    SetupError
        Naming the first.
    """
    for name, value in values.items():
        if not (np.isfinite(value) and value >= 0):
            raise SetupError(f"{name} of {what} is {value}; it must be zero or a positive number")
