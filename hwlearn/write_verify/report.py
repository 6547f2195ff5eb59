"""`WriteReport`: result of write-verify, with everything needed to resume it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.errors import DataError
from hwlearn.network.network import Programmed

_FORMAT: Final = "hwlearn write report 1"
_KINDS: Final = {"BoolArray": np.bool_, "IntArray": np.int64, "FloatArray": np.float64}


@dataclass(frozen=True, eq=False, slots=True)
class WriteReport:
    """State of each device after write-verify, finished or not.

    Attributes
    ----------
    targets, conductances : ndarray, shape (E,)
        Requested conductances, and the last readings (averaged), in siemens.
    reached : ndarray of bool, shape (E,)
        Devices within tolerance when they were last verified.
    stuck : ndarray of bool, shape (E,)
        Devices that never responded to the strongest pulses of either polarity.
    worn : ndarray of bool, shape (E,)
        Devices that responded at first, but no longer to the strongest pulses of either polarity.
    failed : ndarray of bool, shape (E,)
        Devices that respond but did not reach their target: it is outside their range, the limits do not allow
        the pulses, or the number of pulses is used up.
    pulses : ndarray of int, shape (E,)
        Number of pulses applied to each device for these targets.
    disturbed : ndarray of int, shape (E,)
        How often each device left its tolerance significantly without a pulse of its own, after it had reached
        its target.
    answered : ndarray of bool, shape (E,)
        Devices that moved significantly at least once.
    strength, log_step : ndarray, shape (2, E)
        Strength of the last RESET and SET pulse of each device (NaN: none yet), and natural logarithm of the
        step in siemens at that strength (NaN: none observed).
    slope : ndarray, shape (2,)
        d(log step) / d(strength) of RESET and SET, estimated over all devices.
    finished : bool
        Whether write-verify has finished. Then every device is exactly one of reached, stuck, worn and failed.
    """

    targets: FloatArray
    conductances: FloatArray
    reached: BoolArray
    stuck: BoolArray
    worn: BoolArray
    failed: BoolArray
    pulses: IntArray
    disturbed: IntArray
    answered: BoolArray
    strength: FloatArray
    log_step: FloatArray
    slope: FloatArray
    finished: bool

    @property
    def trainable(self) -> BoolArray:
        """Devices (E,) that can be trained: neither stuck nor worn."""
        return ~(self.stuck | self.worn)

    @property
    def programmed(self) -> Programmed:
        """The report as the result of `Network.program`."""
        return Programmed(self.targets, self.conductances, ~self.reached)

    def __str__(self) -> str:
        """Return a summary in one line."""
        n = len(self.targets)
        return (
            f"{self.reached.sum()} of {n} devices reached, {self.stuck.sum()} stuck, {self.worn.sum()} worn, "
            f"{self.failed.sum()} failed; median {np.median(self.pulses) if n else 0:g} pulses; "
            f"{np.count_nonzero(self.disturbed)} disturbed by their neighbours' pulses"
            + ("" if self.finished else "; not finished")
        )

    def to_text(self) -> str:
        """Return the report as JSON text, for `from_text`."""
        values: dict[str, Any] = {"format": _FORMAT}
        for item in fields(self):
            value = getattr(self, item.name)
            values[item.name] = value.tolist() if isinstance(value, np.ndarray) else bool(value)
        return json.dumps(values)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a report that `to_text` wrote.

        Raises
        ------
        DataError
            If the text is damaged or not a write report.
        """
        try:
            values = json.loads(text)
            if values["format"] != _FORMAT:
                raise DataError(f"the format is {values['format']!r}, not {_FORMAT!r}; write it with this version")
            arrays: dict[str, Any] = {
                item.name: np.array(values[item.name], dtype=_KINDS[str(item.type)])
                for item in fields(cls)
                if item.name != "finished"
            }
            report = cls(**arrays, finished=bool(values["finished"]))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"not a write report, or damaged ({error})") from error
        n = len(report.targets)
        for item in fields(cls):
            expected = {"strength": (2, n), "log_step": (2, n), "slope": (2,)}.get(item.name, (n,))
            if item.name != "finished" and getattr(report, item.name).shape != expected:
                raise DataError(f"{item.name} of the write report has the wrong length; the text is damaged")
        return report
