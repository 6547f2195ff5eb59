"""`WriteReport`: what came of programming devices with write-verify, and how to go on from there."""

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
        Siemens asked for, and as last read (averaged).
    reached : ndarray of bool, shape (E,)
        Within tolerance when last verified.
    stuck : ndarray of bool, shape (E,)
        Never answered the strongest pulses of either polarity.
    worn : ndarray of bool, shape (E,)
        Answered once, and then not the strongest pulses of either polarity.
    failed : ndarray of bool, shape (E,)
        Answer, but did not reach their target: out of their range, of the limits, or of pulses.
    pulses : ndarray of int, shape (E,)
        Pulses given to each towards these targets.
    disturbed : ndarray of int, shape (E,)
        How often each, at its target, was found significantly moved and out of tolerance without having been
        pulsed itself.
    answered : ndarray of bool, shape (E,)
        Moved significantly at least once.
    strength, log_step : ndarray, shape (2, E)
        Strength of the last RESET and SET pulse of each (NaN: none yet), and the natural logarithm of the
        step in siemens seen there (NaN: none seen).
    slope : ndarray, shape (2,)
        d(log step) / d(strength) of RESET and SET, estimated over the devices.
    finished : bool
        Nothing is left to do.

    Notes
    -----
    Finished, every device is exactly one of reached, stuck, worn and failed.
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
        """Devices (E,) that are fit to learn: neither stuck nor worn."""
        return ~(self.stuck | self.worn)

    @property
    def programmed(self) -> Programmed:
        """The same as `Network.program` tells it."""
        return Programmed(self.targets, self.conductances, ~self.reached)

    def __str__(self) -> str:
        """Return one line for people."""
        n = len(self.targets)
        return (
            f"{self.reached.sum()} of {n} devices reached, {self.stuck.sum()} stuck, {self.worn.sum()} worn, "
            f"{self.failed.sum()} failed; median {np.median(self.pulses) if n else 0:g} pulses; "
            f"{np.count_nonzero(self.disturbed)} disturbed by their neighbours' pulses"
            + ("" if self.finished else "; not finished")
        )

    def to_text(self) -> str:
        """Return the report as JSON text, to be resumed another day."""
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
            If the text is damaged or something else.
        """
        try:
            values = json.loads(text)
            if values["format"] != _FORMAT:
                raise DataError(f"this is {values['format']!r}, not {_FORMAT!r}; write it with this version")
            arrays: dict[str, Any] = {
                item.name: np.array(values[item.name], dtype=_KINDS[str(item.type)])
                for item in fields(cls)
                if item.name != "finished"
            }
            report = cls(**arrays, finished=bool(values["finished"]))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"this is no write report ({error}); it is damaged or something else") from error
        n = len(report.targets)
        for item in fields(cls):
            expected = {"strength": (2, n), "log_step": (2, n), "slope": (2,)}.get(item.name, (n,))
            if item.name != "finished" and getattr(report, item.name).shape != expected:
                raise DataError(f"{item.name} of this write report has the wrong length; the text is damaged")
        return report
