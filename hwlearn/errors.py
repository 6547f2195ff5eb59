"""Every exception that hwlearn raises on purpose; each message is one line for a person at a bench."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class HwlearnError(Exception):
    """Base of all errors of this package; its text says what was asked, what is allowed and what to do."""


class TopologyError(HwlearnError, ValueError):
    """The graph is not one that a network can have (unknown node, self-loop, unreachable output, ...)."""


class CircuitError(HwlearnError, ValueError):
    """A circuit was given conductances, voltages or currents that Kirchhoff's laws cannot take."""


class SingularCircuitError(CircuitError):
    """Some node voltages are not determined: part of the circuit floats."""


class ConvergenceError(CircuitError):
    """The voltages of a nonlinear circuit were not found to the accuracy that is promised."""


class UnitError(HwlearnError, ValueError):
    """A quantity such as ``"50 us"`` could not be read."""


class LimitError(HwlearnError, ValueError):
    """A value lies outside the limits of the bench; nothing was applied."""


class ComplianceError(LimitError):
    """A source reached its current or voltage limit while a phase was measured; the phase is void."""


class NetworkError(HwlearnError, RuntimeError):
    """The network cannot do what was asked (closed, no such readout, no such nudge)."""


class SetupError(HwlearnError, ValueError):
    """A bench file, a setting or an option is wrong."""


class DataError(HwlearnError, ValueError):
    """A data set cannot be read or does not fit the network."""


class RunError(HwlearnError, RuntimeError):
    """A run folder is missing, damaged or of another version."""


def closest(word: str, known: Sequence[str]) -> str:
    """Return ``", did you mean 'x'?"`` if a known word is close, else nothing.

    Examples
    --------
    >>> closest("volage", ["voltage", "current"])
    ", did you mean 'voltage'?"
    """
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
