"""`JournaledNetwork`: a network whose answers are kept in a journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.device_access import DeviceAccess
from hwlearn.lab.calibration.journal.arrays import (
    drive_request,
    named,
    nudge_request,
    readout_arrays,
    samples_of,
    stored_readout,
    stored_two_phase,
    two_phase_arrays,
)
from hwlearn.lab.calibration.journal.devices import JournaledDevices
from hwlearn.lab.calibration.journal.journal import Journal
from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TargetError, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive
from hwlearn.network.wrapped import WrappedNetwork


class JournaledNetwork(WrappedNetwork):
    """A network whose answers are kept in a journal; closing it leaves the inner network open.

    Parameters
    ----------
    network : Network
    journal : Journal
    on_answer : callable, optional
        Called after each answer, when the answer is on disk.

    Attributes
    ----------
    answers : int
        Number of answers so far, to programming and to measuring.
    replayed : int
        Number of answers that came from the journal.
    fresh : int
        Samples that the hardware measured.
    """

    def __init__(self, network: Network, journal: Journal, on_answer: Callable[[], None] | None = None) -> None:
        super().__init__(network)
        self._journal, self._on_answer = journal, on_answer
        self.answers, self.replayed, self.fresh = 0, 0, 0
        self._due: FloatArray | None = None
        self._journaled: DeviceAccess | None = None

    def _device_access(self) -> DeviceAccess | None:
        inside = super()._device_access()
        if inside is not None and self._journaled is None:
            self._journaled = JournaledDevices(
                inside, self._journal, self._count_device_answer, lambda: self.answers, self.simulation
            )
        return self._journaled

    def _count_device_answer(self, replayed: bool) -> None:
        self._answered(1, replayed=replayed)

    def _program(self, conductances: FloatArray) -> Programmed:
        request = {"kind": "program", "values": conductances}
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            self._due = conductances
            self._answered(replayed=True)
            return Programmed(conductances, kept["reached"], kept["failed"])
        self._journal.catch_up(self.simulation)
        done = super()._program(conductances)
        self._due = None
        self._keep(request, {"reached": done.reached, "failed": done.failed})
        self._answered()
        return done

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        request: dict[str, Any] = {"kind": "free", "inputs": inputs}
        if drive is not None:
            request |= {"kind": drive.kind, **drive_request(drive)}
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            self._answered(len(inputs), replayed=True)
            return stored_readout(kept)
        self.catch_up()
        read = super()._measure(inputs, drive)
        self._count_inside(len(inputs))
        self._keep(request, readout_arrays(read))
        self._answered(len(inputs))
        return read

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        request: dict[str, Any] = {"kind": f"nudged {plus.kind}", "inputs": inputs, **drive_request(plus)}
        if minus is not None:
            request["minus"] = minus.values
        samples = len(inputs) * (1 if minus is None else 2)
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            self._answered(samples, replayed=True)
            low = None if minus is None else stored_readout(named(kept, "minus_"))
            return stored_readout(named(kept, "plus_")), low, kept.get("refused")
        self.catch_up()
        high, low, refused = super()._measure_sides(inputs, plus, minus)
        self._count_inside(samples)
        answer = {f"plus_{name}": array for name, array in readout_arrays(high).items()}
        if low is not None:
            answer |= {f"minus_{name}": array for name, array in readout_arrays(low).items()}
        self._keep(request, {**answer, "refused": refused})
        self._answered(samples)
        return high, low, refused

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        """Forward errors that a journal can store, and keep an empty answer where the hardware has no sequence."""
        if not isinstance(error, TargetError):
            return None
        request = {"inputs": inputs, "targets": error.targets, **nudge_request(nudge, symmetric)}
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            whole = stored_two_phase(kept) if kept else None
            self._answered(samples_of(whole), replayed=True)
            return whole
        self.catch_up()
        whole = super()._both_phases(inputs, error, nudge, symmetric)
        self._count_inside(samples_of(whole))
        self._keep(request, {} if whole is None else two_phase_arrays(whole))
        self._answered(samples_of(whole))
        return whole

    def catch_up(self) -> None:
        """Bring the network to where the last answer from the journal left it.

        A simulation is restored. Other hardware may have lost the conductances since, and is programmed again.
        """
        if self._journal.catch_up(self.simulation):
            self._due = None
        if self._due is not None:
            super()._program(self._due)
            self._due = None

    def _keep(self, request: Mapping[str, Any], answer: Mapping[str, np.ndarray | None]) -> None:
        self._journal.keep(self.answers, request, answer, self.simulation)

    def _answered(self, samples: int = 0, *, replayed: bool = False) -> None:
        self.answers += 1
        self.replayed += replayed
        self.fresh += 0 if replayed else samples
        if self._on_answer is not None:
            self._on_answer()
        if samples and self.on_measured is not None:
            self.on_measured(samples)

    def _count(self, samples: int) -> None:
        """Count samples; listeners were called when the answer was on disk."""
        self.measurements += samples

    def _close(self) -> None:
        """Leave the inner network open."""
