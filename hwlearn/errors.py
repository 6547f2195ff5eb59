"""Exceptions of hwlearn. Each message is one line: what was requested, what is allowed and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

MAY_BE_ON: Final = "OUTPUTS MAY BE ON"
"""Words in every message after which a person must look at the instruments."""


class HwlearnError(Exception):
    """Base class of all errors of this package."""


class TopologyError(HwlearnError, ValueError):
    """A graph that no network can have: unknown node, self-loop, unreachable output, ..."""


class CircuitError(HwlearnError, ValueError):
    """Conductances, voltages or currents for which a circuit cannot be solved."""


class SingularCircuitError(CircuitError):
    """Node voltages that are not determined because part of the circuit is floating."""


class ConvergenceError(CircuitError):
    """A nonlinear circuit whose voltages were not found to the stated accuracy."""


class UnitError(HwlearnError, ValueError):
    """A quantity such as ``"50 us"`` that cannot be read."""


class LimitError(HwlearnError, ValueError):
    """A requested value outside the limits of the bench. Nothing was applied."""


class ComplianceError(LimitError):
    """A source reached its current or voltage limit during a measurement. The readings are invalid."""


class NetworkError(HwlearnError, RuntimeError):
    """A network that is closed, cannot be reached, or cannot make the requested readout or nudge."""


class InUseError(NetworkError):
    """Hardware that another process, or another network of this one, uses. Nothing was applied."""


class BackendError(NetworkError):
    """A backend that returned an invalid readout or programming result. The phase is void."""


class SetupError(HwlearnError, ValueError):
    """A wrong bench file, setting or option."""


class DataError(HwlearnError, ValueError):
    """A data set that cannot be read or does not fit the network."""


class RunError(HwlearnError, RuntimeError):
    """A run folder that is missing, damaged, locked or of another version."""


class StorageError(HwlearnError, OSError):
    """Measurements that cannot be written: the disk is full, over its quota or read-only."""


def closest(word: str, known: Sequence[str]) -> str:
    """Return ``", did you mean 'x'?"`` if a known word is similar, else an empty text.

    Examples
    --------
    >>> closest("volage", ["voltage", "current"])
    ", did you mean 'voltage'?"
    """
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
