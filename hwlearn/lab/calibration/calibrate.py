"""Calibration of a bench step by step: resumable, with one record file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import LineRecord
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError, closest
from hwlearn.lab.calibration.context import StepContext
from hwlearn.lab.calibration.job import CalibrationJob
from hwlearn.lab.calibration.journal import JournaledNetwork
from hwlearn.lab.calibration.result import StepDone, StepResult
from hwlearn.lab.calibration.steps import ON_REQUEST, REQUESTS, STEPS
from hwlearn.lab.calibration.unfinished import UnfinishedCalibration
from hwlearn.learning.interrupt import stop_on_interrupt

_INPUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "converters": ("noise",),
    "edges": ("noise", "converters"),
    "lines": ("noise",),
    "verify": ("noise", "converters", "edges", "lines"),
}
"""Sections of the record that a step uses."""

_OUTDATED_BY: Final[Mapping[str, tuple[str, ...]]] = {"converters": ("edges", "verify"), "edges": ("verify",)}
"""Sections that become invalid when a step is repeated."""

_OUTDATED_BY_WIRES: Final = ("edges", "verify")
"""Sections that become invalid when the wires of a crossbar are measured again: gains belong to the wires."""

_FOR_ANY_ELEMENT: Final = ("noise", "pulses")

OnProgress = Callable[[str, int, int | None], None]
"""Called with step, parts done, and number of parts (None: not known beforehand)."""


def chosen_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """Return steps in the order in which they depend on each other; all steps if none is named.

    Raises
    ------
    SetupError
        If there is no such step.
    """
    for step in steps:
        if step not in STEPS:
            known = list(STEPS)
            raise SetupError(f"there is no step {step!r}{closest(step, known)}; the steps are: {', '.join(known)}")
    return tuple(step for step in STEPS if not steps or step in steps)


def calibrate(
    job: CalibrationJob, steps: Sequence[str] = (), on_progress: OnProgress | None = None
) -> Iterator[StepDone]:
    """Calibrate a bench; yields each step when its result is in the record on disk.

    Parameters
    ----------
    job : CalibrationJob
    steps : sequence of str
        Of ``noise``, ``lines``, ``pulses``, ``converters``, ``edges``, ``verify``. Default: all but ``pulses``,
        which runs only if it is named, because pulses wear devices.
    on_progress : callable, optional

    Raises
    ------
    SetupError
        If a step does not exist, the existing record is damaged or of other hardware, or a file cannot be
        written.
    Interrupted
        After Ctrl-C, between two measurements. All measurements are kept; the same call continues.
    HwlearnError
        From the network; all measurements are kept.
    """
    chosen = chosen_steps(steps)
    _check_elements(job.topology, chosen)
    old = _old_record(job)
    network = job.open_network()
    record = _matching_record(job.path, old, network.topology, network.instruments)
    unfinished = UnfinishedCalibration.open(job.unfinished, chosen, job.facts(), network.simulation)
    if unfinished.record is not None:  # of the last step that is done, which may have ended before it was saved
        record = CalibrationRecord.parse(unfinished.record)
        record.save(job.path)
    for step in chosen:
        before = unfinished.result(step)
        if step in ON_REQUEST and not steps:
            continue
        if before is not None:
            done = StepDone(before, before=True)
        else:
            record, done = run_step(job, unfinished, record, step, on_progress)
        yield done
    unfinished.delete()


def run_step(
    job: CalibrationJob,
    unfinished: UnfinishedCalibration,
    record: CalibrationRecord,
    step: str,
    on_progress: OnProgress | None = None,
) -> tuple[CalibrationRecord, StepDone]:
    """Run one step, with the journal of an interrupted run if there is one, and save its result.

    Returns
    -------
    (CalibrationRecord, StepDone)
        The record with the new result; it is on disk.
    """
    with unfinished.journal(step, _digest_of_inputs(record, step)) as journal:
        progress = _Progress(step, on_progress)
        network = JournaledNetwork(job.open_network(), journal, progress.count_answer)
        context = StepContext.of(job, network, record, progress.set_parts)
        with stop_on_interrupt(network):
            result = STEPS[step](context)
            journal.catch_up(network.simulation)
        record = with_result(record, result)
        unfinished.finish(result, record.text())
        record.save(job.path)
        journal.finish()
    return record, StepDone(result, network.fresh, network.replayed)


def with_result(record: CalibrationRecord, result: StepResult) -> CalibrationRecord:
    """Return a record with the result of a step, without the sections that the new result makes invalid."""
    outdated = _OUTDATED_BY.get(result.step, ())
    found = result.sections.get("lines")
    if result.step == "lines" and isinstance(found, LineRecord) and found.has_wires:
        outdated = _OUTDATED_BY_WIRES
    for name in outdated:
        made = {step: at for step, at in record.made.items() if step != name}
        changes: dict[str, Any] = {name: None, "made": made}
        record = replace(record, **changes)
    for name, section in result.sections.items():
        record = record.with_step(name, section)
    return record if result.sections else record.with_step(result.step, None)


class _Progress:
    """Reports the progress of a step: parts as the step counts them, else answers of the network."""

    def __init__(self, step: str, on_progress: OnProgress | None) -> None:
        self._step, self._on_progress = step, on_progress
        self._answers, self._step_counts = 0, False
        self._report(0, REQUESTS.get(step))

    def count_answer(self) -> None:
        """Count one answer of the network."""
        self._answers += 1
        if not self._step_counts:
            self._report(self._answers, REQUESTS.get(self._step))

    def set_parts(self, done: int, parts: int) -> None:
        """Report the parts of the step that are done, and their number."""
        self._step_counts = True
        self._report(done, parts)

    def _report(self, done: int, parts: int | None) -> None:
        if self._on_progress is not None:
            self._on_progress(self._step, done, parts)


def _check_elements(topology: Topology, steps: Sequence[str]) -> None:
    if topology.has_three_terminals:
        raise SetupError("a network with transistors cannot be calibrated; a record corrects conductances only")
    if topology.elements is not None and set(steps) - set(_FOR_ANY_ELEMENT):
        raise SetupError(
            "lines, converters and edges can be calibrated for resistors only; this network has other elements: "
            f"name only the steps {' and '.join(_FOR_ANY_ELEMENT)}"
        )


def _old_record(job: CalibrationJob) -> CalibrationRecord | None:
    """Return the existing record after comparing its topology; None if there is none."""
    if not job.path.is_file():
        return None
    record = CalibrationRecord.load(job.path)
    _refuse_mismatch(job.path, lambda: record.check_topology(job.topology))
    return record


def _matching_record(
    path: Path, old: CalibrationRecord | None, topology: Topology, instruments: tuple[str, ...]
) -> CalibrationRecord:
    """Return the existing record if it is of these instruments, else a new one if there is none."""
    if old is None:
        return CalibrationRecord.of(topology, instruments)
    _refuse_mismatch(path, lambda: old.check(topology, instruments))
    return replace(old, instruments=instruments)


def _refuse_mismatch(path: Path, check: Callable[[], None]) -> None:
    try:
        check()
    except SetupError as error:
        text = str(error).removesuffix("; run: hwlearn calibrate")
        raise SetupError(f"{path} would be overwritten: {text}; name another file, or move that one") from None


def _digest_of_inputs(record: CalibrationRecord, step: str) -> str:
    sections = [getattr(record, name) for name in _INPUTS.get(step, ())]
    text = json.dumps([None if section is None else section.table() for section in sections])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
