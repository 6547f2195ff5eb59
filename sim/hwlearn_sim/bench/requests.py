"""`LastRequests`: what was programmed and measured last on a virtual bench."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, get_args

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.network.nudges import DriveKind, OutputDrive
from hwlearn.network.simulation import State

_KINDS: Final = get_args(DriveKind)


@dataclass(frozen=True, eq=False, slots=True)
class LastRequests:
    """The last requests to a network: they determine the settings that its drivers leave on the instruments.

    Attributes
    ----------
    targets : ndarray, shape (E,), or None
        Conductances in siemens that were programmed last; None before the first programming.
    inputs : ndarray, shape (1, n_in), or None
        Volts of the last sample that was measured; None before the first measurement.
    drive : OutputDrive or None
        Drive of its outputs.
    programmed_last : bool
        Whether the last request was to program.
    """

    targets: FloatArray | None = None
    inputs: FloatArray | None = None
    drive: OutputDrive | None = None
    programmed_last: bool = False

    def state(self) -> dict[str, np.ndarray]:
        """Return the requests as arrays by name."""
        arrays = {"programmed_last": np.array(self.programmed_last)}
        if self.targets is not None:
            arrays["targets"] = self.targets
        if self.inputs is not None:
            arrays["inputs"] = self.inputs
        if self.drive is not None:
            arrays |= {"kind": np.array(_KINDS.index(self.drive.kind)), "values": self.drive.values}
            if self.drive.siemens is not None:
                arrays["siemens"] = self.drive.siemens
        return arrays

    @classmethod
    def of(cls, state: State) -> Self:
        """Return the requests from what `state` returned."""
        drive = None
        if "kind" in state:
            drive = OutputDrive(_KINDS[int(state["kind"])], state["values"], state.get("siemens"))
        return cls(state.get("targets"), state.get("inputs"), drive, bool(state["programmed_last"]))
