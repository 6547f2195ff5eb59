"""`Phase`: one measured phase of a batch, as listeners of a network receive it."""

from __future__ import annotations

from dataclasses import dataclass


from hwlearn.arrays import FloatArray
from hwlearn.errors import NetworkError
from hwlearn.network.nudges import Nudge, OutputDrive
from hwlearn.network.readings import Readout, TwoPhase


@dataclass(frozen=True, eq=False, slots=True)
class Phase:
    """A measured phase.

    Attributes
    ----------
    inputs : ndarray, shape (S, n_in)
        Volts.
    drive : OutputDrive or None
        None in the free phase.
    readout : Readout
    seconds : float
        Duration of the measurement of all samples, by the clock of the computer.
    """

    inputs: FloatArray
    drive: OutputDrive | None
    readout: Readout
    seconds: float


def nudged_phases(inputs: FloatArray, phases: TwoPhase, nudge: Nudge, seconds: float) -> list[Phase]:
    """Return the nudged phases (no free one) of samples that were nudged.

    ``seconds`` is the duration of all of them.
    """
    active = ~phases.skipped
    if not active.any():
        return []
    some, x, bound = phases.rows(active), inputs[active], nudge.rows(active)
    free, sides = some.free.voltages, [(some.plus, some.strength)]
    if some.minus is not None:
        sides.append((some.minus, -some.strength))
    share = seconds / len(sides)
    return [Phase(x, bound.drive(free, some.error, t), read, share) for read, t in sides]


def check_phases(error: object, nudge: object) -> None:
    """Refuse a class or a name instead of an error signal or a nudge."""
    if not isinstance(nudge, Nudge):
        raise NetworkError(f"nudge must be a Nudge object, such as ClampNudge(), got {nudge!r}")
    if isinstance(error, type) or not callable(error):
        raise NetworkError(f"error must be a function of the outputs, such as TargetError(targets), got {error!r}")
