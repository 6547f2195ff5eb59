"""`DeviceModel`: interface of the models of pulsed devices, with helpers for their parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError
from hwlearn.network.simulation import State

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Law = TypeVar("Law", bound="DataclassInstance")

Parameter = float | FloatArray
"""One number for all devices, or an array (n,) with one number per device."""


class DeviceModel(ABC):
    """A population of n two-terminal devices whose state is changed by voltage pulses.

    Positive voltages SET (raise the conductance), also if the publication of a model uses the opposite sign.
    """

    @property
    @abstractmethod
    def conductance(self) -> FloatArray:
        """Present true small-signal conductances (n,) in siemens."""

    @abstractmethod
    def pulse(self, devices: IntArray, volts: FloatArray, width_s: float) -> None:
        """Apply a pulse of given voltages (m,) and width to the chosen devices (m,), each listed once."""

    @abstractmethod
    def rest(self, seconds: float) -> None:
        """Let time pass without voltage, with drift and loss of state."""

    def state(self) -> dict[str, np.ndarray]:
        """Return a copy of what later conductances depend on, with the random generators; see `Simulation`.

        Raises
        ------
        SetupError
            If the model does not implement it: then a run on it cannot be resumed as the same run.
        """
        raise SetupError(f"{type(self).__name__} cannot store its state; implement state and restore")

    def restore(self, state: State) -> None:
        """Continue from a state; raises KeyError or ValueError if it is of other devices."""
        raise SetupError(f"{type(self).__name__} cannot restore a state; implement state and restore")


def law_of(law: Law, devices: IntArray) -> Law:
    """Return the law of some of the devices."""
    chosen: dict[str, Any] = {
        item.name: value[devices]
        for item in fields(law)
        if isinstance(value := getattr(law, item.name), np.ndarray) and value.ndim
    }
    return replace(law, **chosen) if chosen else law


def spread(rng: np.random.Generator, value: float, sigma: float, n: int) -> FloatArray:
    """Return n log-normal values with median ``value``.

    Numbers are drawn also for ``sigma`` zero, so that one spread does not change the values of another.
    """
    return np.asarray(value * np.exp(sigma * rng.standard_normal(n)))


def check_positive(what: str, values: dict[str, Parameter]) -> None:
    """Check that parameters are positive and finite.

    Raises
    ------
    SetupError
        For the first parameter that is not.
    """
    for name, value in values.items():
        if not (np.all(np.isfinite(value)) and np.all(np.asarray(value) > 0)):
            raise SetupError(f"{name} of {what} is {value}; it must be positive and finite")


def check_spreads(what: str, values: dict[str, float]) -> None:
    """Check that spreads are finite and not negative.

    Raises
    ------
    SetupError
        For the first spread that is not.
    """
    for name, value in values.items():
        if not (np.isfinite(value) and value >= 0):
            raise SetupError(f"{name} of {what} is {value}; it must be zero or a positive number")
