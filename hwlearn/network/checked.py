"""`CheckedBackend`: what a backend of a network implements, and the checks of everything that it returns.

A backend that returns something invalid, or fails with an error that is none of this package, is closed with its
outputs off.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.device_access.access import DeviceAccess
from hwlearn.errors import BackendError, HwlearnError, LimitError, NetworkError
from hwlearn.html_text import object_box
from hwlearn.network import gate
from hwlearn.network.headroom import Headroom
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import Nudge, OutputDrive, ResistorNudge
from hwlearn.network.readings import ErrorSignal, HasLeastError, Programmed, Readout, TwoPhase

_Value = TypeVar("_Value")
_Self = TypeVar("_Self", bound="CheckedBackend")
_Request = ParamSpec("_Request")

_NOTHING: Final = object()


def _closes_when_broken(
    operation: Callable[Concatenate[_Self, _Request], _Value],
) -> Callable[Concatenate[_Self, _Request], _Value]:
    """Close the network, outputs off, if its backend returns something invalid or fails with a foreign error."""

    @functools.wraps(operation)
    def checked(self: _Self, /, *request: _Request.args, **named: _Request.kwargs) -> _Value:
        try:
            return operation(self, *request, **named)
        except BackendError as error:
            raise gate.closed(self, error) from error.__cause__
        except HwlearnError:
            raise
        except Exception as error:  # a backend may raise anything
            if not self._is_backend:
                raise
            raise gate.closed(self, gate.failure(self, error)) from error

    return checked


class CheckedBackend(ABC):
    """Methods that a backend implements, each with a checked call of it; the base class of `Network`.

    Attributes
    ----------
    topology : Topology
        Graph of the network.
    limits : Limits
        Hard limits of the bench.
    resolution : float
        Smallest voltage difference in volts that a reading can resolve.
    """

    topology: Topology
    limits: Limits
    resolution: float

    has_any_values: bool = False
    """Whether edges may have other values than conductances, as transistors do; a backend that can sets it."""

    @abstractmethod
    def close(self) -> None:
        """Switch all outputs off and release the hardware."""

    # --- what it looks like in a terminal and in a notebook; nothing is contacted for it ---------------

    def __repr__(self) -> str:
        facts = dict(self._shown())
        if not facts:  # its constructor has failed
            return f"<{self._shown_name()}, not initialised>"
        counted = f"{facts['measured samples']} measurements"
        return f"<{self._shown_name()}: {facts['network']}, {facts['state']}, {counted}>"

    def _repr_html_(self) -> str:
        return object_box(self._shown_name(), self._shown())

    def _shown_name(self) -> str:
        return type(self).__name__

    def _shown(self) -> list[tuple[str, str]]:
        """Return what the object knows without its backend; empty before its constructor has ended."""
        known = vars(self)
        if not {"topology", "limits", "nudges", "measurements", "_closed"} <= set(known):
            return []
        return [
            ("network", repr(self.topology)[len("<Topology of ") : -1]),
            ("state", "closed" if known["_closed"] else "open"),
            ("measured samples", f"{known['measurements']:,}"),
            ("nudges", ", ".join(sorted(known["nudges"])) or "none"),
            *self.limits.facts(),
        ]

    # --- what a backend may say of its hardware -----------------------------------------------------

    @property
    def noise_is_from_data_sheet(self) -> bool:
        """Whether the ``voltage_sigma`` of readings is the figure of a data sheet."""
        return False

    @property
    def settle_s(self) -> float | None:
        """Settling time in seconds between a change of the sources and a reading; None if unknown."""
        return None

    @property
    def reading_s(self) -> float | None:
        """Duration in seconds of reading one sample after it has settled, with all averages; None if unknown."""
        return None

    @property
    def dac_step_V(self) -> float | None:
        """Step in volts of the input DACs; None if unknown or continuous."""
        return None

    @property
    def relay_moves(self) -> int | None:
        """Number of relays that were opened or closed since the network was opened; None if it has none."""
        return None

    @property
    def direct_levels(self) -> int | None:
        """Number of different voltages besides 0 V that one sample may have to be measured directly; None: any.

        A bench with few sources has such a limit. It may compose other samples from several measurements.
        """
        return None

    @property
    def conductance_step_S(self) -> float | None:
        """Step in siemens of the conductances that an edge can take; None if unknown, unequal or continuous."""
        return None

    @property
    def nudge_siemens(self) -> FloatArray | None:
        """Conductances (n_out,) in siemens of the fixed nudge resistors; None if there are none."""
        return None

    # --- implemented by a backend -------------------------------------------------------------------

    @property
    def drives_outputs(self) -> bool | None:
        """Whether this process has left outputs on; None if that is not known."""
        return None

    @abstractmethod
    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        """Measure a checked request: inputs (S, n_in), drive values (S, n_out)."""

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        """Measure both nudged phases of a checked request, or only ``plus`` if ``minus`` is None.

        Returns
        -------
        (Readout, Readout or None, ndarray of bool (S,) or None)
            The phases, and the samples that the hardware refused to nudge; None if it nudged all of them.
        """
        if minus is None:
            return self._measure(inputs, plus), None, None
        nudged = self._checked_measure(np.concatenate([inputs, inputs]), plus.then(minus))
        half = len(inputs)
        return self._vouch((nudged.rows(slice(None, half)), nudged.rows(slice(half, None)), None))

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        """Measure free and nudged phases of checked inputs in one sequence; None if the hardware has none.

        Hardware that computes the nudges itself must also keep them within the limits itself.
        """
        return None

    def _nudge_limits(self) -> Limits:
        """Return the limits for choosing strengths: narrower than ``limits`` if setpoints are corrected."""
        return self.limits

    def _max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        """Return the maximum strengths (S,) that the hardware supports at free outputs and errors (S, n_out)."""
        return np.full(len(free), np.inf)

    @abstractmethod
    def _program(self, values: FloatArray) -> Programmed:
        """Program checked targets (E,)."""

    def _device_access(self) -> DeviceAccess | None:
        """Return access to the single devices, the same object each time; None if there is none."""
        return None

    def _keep_superposition(self, holds: bool, found: str) -> None:
        """Keep the result of a check of superposition; nothing to do for hardware that measures every sample."""
        return

    def _switch_off(self) -> None:
        """Switch every output off; nothing to do for hardware whose outputs are off between two requests."""
        return

    def _reconnect(self) -> None:
        """Reconnect the hardware, with every output off afterwards."""
        raise NetworkError("this network has no link that could be reconnected; close it and open the bench again")

    def _true_outputs(self, inputs: FloatArray) -> FloatArray | None:
        """Return the true output volts (S, n_out) of checked inputs; None if they are not known."""
        return None

    @abstractmethod
    def _close(self) -> None:
        """Switch all outputs off; called once."""

    # --- checked calls -------------------------------------------------------------------------------------

    _is_backend: bool = True
    """Whether errors that are none of this package come from hardware or a simulator, not from code around one."""

    _vouched: object = _NOTHING
    """A result that the gate accepted already: it is not checked again if it is returned unchanged."""

    def _vouch(self, result: _Value) -> _Value:
        """Return a result that the gate accepted already, and remember it until the end of this call."""
        self._vouched = result
        return result

    @_closes_when_broken
    def _checked_measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        self._vouched = _NOTHING
        read = self._measure(inputs, drive)
        if read is not self._vouched:
            gate.check_readout(read, len(inputs), self, None if drive is None else drive.siemens)
        return read

    @_closes_when_broken
    def _checked_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        self._vouched = _NOTHING
        sides = self._measure_sides(inputs, plus, minus)
        if sides is not self._vouched:
            gate.check_sides(sides, len(inputs), self, plus.siemens, minus is not None)
        return sides

    @_closes_when_broken
    def _checked_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        self._vouched = _NOTHING
        whole = self._both_phases(inputs, error, nudge, symmetric)
        if whole is not self._vouched and whole is not None:
            kappa = nudge.kappa if isinstance(nudge, ResistorNudge) else None
            gate.check_two_phase(whole, len(inputs), self, kappa, symmetric)
        return whole

    @_closes_when_broken
    def _checked_program(self, values: FloatArray) -> Programmed:
        self._vouched = _NOTHING
        programmed = self._program(values)
        if programmed is not self._vouched:
            gate.check_programmed(programmed, values, self)
        return programmed

    @_closes_when_broken
    def _checked_switch_off(self) -> None:
        self._switch_off()

    @_closes_when_broken
    def _checked_reconnect(self) -> None:
        self._reconnect()

    @_closes_when_broken
    def _checked_true_outputs(self, inputs: FloatArray) -> FloatArray | None:
        true = self._true_outputs(inputs)
        gate.check_true_outputs(true, len(inputs), self)
        return true

    @_closes_when_broken
    def _checked_nudge_limits(self) -> Limits:
        narrowed = self._nudge_limits()
        gate.check_nudge_limits(narrowed, self)
        return narrowed

    @_closes_when_broken
    def _checked_max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        most = self._max_strength(nudge, free, error)
        gate.check_strengths(most, len(free), self)
        return most

    def _strengths(
        self, inputs: FloatArray, free: FloatArray, e: FloatArray, error: ErrorSignal, nudge: Nudge
    ) -> FloatArray:
        """Choose the strength of each sample (S,) within the limits and the capability of the hardware."""
        least = error.least_error(self.resolution) if isinstance(error, HasLeastError) else self.resolution
        strength = nudge.strengths(
            Headroom(self.topology, self._checked_nudge_limits(), inputs),
            free,
            e,
            least,
            self.resolution,
        )
        most = self._checked_max_strength(nudge, free, e)
        if nudge.strength == "auto":
            return np.asarray(np.minimum(strength, most))
        over = np.flatnonzero(strength > most)
        if over.size:
            raise LimitError(
                f"nudge strength {nudge.strength:g} exceeds what the hardware supports for sample {over[0]}, "
                f"{most[over[0]]:.3g} within limits.nudge; use less, or 'auto'"
            )
        return strength
