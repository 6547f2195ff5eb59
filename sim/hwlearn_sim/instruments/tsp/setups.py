"""Setups that a Keithley 2600 saves and recalls: the settings of its channels. Outputs are off after a recall."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

from hwlearn_sim.instruments.tsp.script.objects import Namespace, Value, function, runtime_error, whole
from hwlearn_sim.instruments.tsp.smu import TspSmu

_PLACES: Final = 5


class Setups:
    """The object ``setup``.

    Parameters
    ----------
    smus : sequence of TspSmu
        The channels.
    reset : callable
        Restores the factory defaults.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    """

    def __init__(self, smus: Sequence[TspSmu], reset: Callable[[], None]) -> None:
        self._smus, self._reset = smus, reset
        self._saved: dict[int, list[Any]] = {}
        self._power_on = {"poweron": 0.0}
        self.root = Namespace("setup", {"save": function(self._save, 1), "recall": function(self._recall, 1)})
        self.root.store(self._power_on, {"poweron": (0, _PLACES)})

    def _save(self, place: Value) -> None:
        self._saved[_place(place, 1)] = [copy.deepcopy(smu.saved()) for smu in self._smus]

    def _recall(self, place: Value) -> None:
        saved = self._saved.get(_place(place, 0))
        self._reset()
        if saved is not None:
            for smu, state in zip(self._smus, saved, strict=True):
                smu.recall(copy.deepcopy(state))


def _place(value: Value, least: int) -> int:
    if isinstance(value, str):
        raise runtime_error(f"setup file `{value}': the virtual instrument has no USB drive; use 1 to {_PLACES}")
    return whole(value, least, _PLACES)
