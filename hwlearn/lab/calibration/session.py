"""A calibration of a bench, step by step: resumable, one record beside the bench file."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hwlearn.calibrated.record import CalibrationRecord, identity
from hwlearn.errors import SetupError, closest
from hwlearn.lab.calibration.journal import Journal, JournaledNetwork
from hwlearn.lab.calibration.stage import Found, Row, Stage
from hwlearn.lab.calibration.steps import ANSWERS, FINDERS, ON_REQUEST
from hwlearn.learning.interrupt import stop_on_interrupt
from hwlearn.storage.atomic_file import write_atomically

if TYPE_CHECKING:
    from hwlearn.lab.bench.bench import Bench

RECORD_NAME: Final = "calibration.toml"
"""What the record is called unless the bench file names it."""

_SESSION = "session.json"
_REBUILT: Final[Mapping[str, tuple[str, ...]]] = {"converters": ("edges", "verify"), "edges": ("verify",)}
"""What rests on a step, and is void when that is done again."""

_FOR_ANY_ELEMENT: Final = ("noise", "pulses")

OnProgress = Callable[[str, int, int | None], None]
"""Step, parts done, of how many (None: not known beforehand)."""


@dataclass(frozen=True)
class CalibrationOptions:
    """How much to measure.

    Attributes
    ----------
    configurations : int
        Programmed configurations for the edges, and at most as many for the converters.
    patterns : int
        Patterns in each of them.
    seed : int
        Of everything random; a resumed calibration needs the same.
    devices : int
        How many single devices the step ``pulses`` pulses, drawn at random; 0 for all.
    retention_s : float
        How long it watches them after a SET, in seconds.

    Raises
    ------
    SetupError
        If a number is too small.
    """

    configurations: int = 16
    patterns: int = 24
    seed: int = 0
    devices: int = 8
    retention_s: float = 10.0

    def __post_init__(self) -> None:
        for name, least in (("configurations", 1), ("patterns", 1), ("seed", 0), ("devices", 0)):
            if getattr(self, name) < least:
                raise SetupError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if not (math.isfinite(self.retention_s) and self.retention_s > 0):
            raise SetupError(f"retention_s is {self.retention_s}; it must be positive")


@dataclass(frozen=True)
class StepDone:
    """A step that is done.

    Attributes
    ----------
    found : Found
    measured : int
        Samples that the hardware measured for it now.
    kept : int
        Answers that an interrupted calibration had measured before.
    before : bool
        Whether the whole step had been done before the interruption.
    """

    found: Found
    measured: int
    kept: int
    before: bool = False


def record_path(bench: Bench) -> Path:
    """Return where a bench's record lies: where its file says, else beside it."""
    return bench.file.folder / (bench.file.calibration.file or RECORD_NAME)


def chosen_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """Return steps in the order in which they build on each other; all of them if none is named.

    Raises
    ------
    SetupError
        If there is no such step.
    """
    for step in steps:
        if step not in FINDERS:
            known = list(FINDERS)
            raise SetupError(f"there is no step {step!r}{closest(step, known)}; the steps are: {', '.join(known)}")
    return tuple(step for step in FINDERS if not steps or step in steps)


def calibrate_bench(
    bench: Bench,
    steps: Sequence[str] = (),
    options: CalibrationOptions | None = None,
    path: Path | None = None,
    on_progress: OnProgress | None = None,
) -> Iterator[StepDone]:
    """Calibrate a bench; yields each step when its result is in the record on disk.

    Parameters
    ----------
    bench : Bench
        Its network is opened, without the calibration that the bench file may name.
    steps : sequence of str
        Of ``noise``, ``lines``, ``pulses``, ``converters``, ``edges``, ``verify``; all unless given, but for
        ``pulses`` where devices can be pulsed: pulses wear them, so that it waits to be named.
    options : CalibrationOptions, optional
    path : Path, optional
        Of the record; `record_path` unless given. What it holds of other steps is kept.
    on_progress : callable, optional

    Raises
    ------
    SetupError
        If a step does not exist, the record at ``path`` is of other hardware or damaged, or a file cannot be
        written.
    Interrupted
        After Ctrl-C, between two measurements; everything that was measured is kept, and the same call goes on.
    HwlearnError
        Whatever the network finds wrong; what was measured is kept.
    """
    chosen = chosen_steps(steps)
    if bench.topology.elements is not None and set(chosen) - set(_FOR_ANY_ELEMENT):
        raise SetupError(
            "converters, lines and edges are estimated for resistors alone, and this network has other elements; "
            f"calibrate the steps {' and '.join(_FOR_ANY_ELEMENT)} alone"
        )
    wanted = CalibrationOptions() if options is None else options
    where = record_path(bench) if path is None else path
    old = CalibrationRecord.load(where) if where.is_file() else None
    if old is not None:
        _check_old(where, lambda: old.check_topology(bench.topology))  # before anything is opened
    network = bench.raw_network
    record = CalibrationRecord.of(network.topology, network.instruments)
    if old is not None:
        _check_old(where, lambda: old.check(network.topology, network.instruments))
        record = replace(old, instruments=network.instruments)
    unfinished = where.with_name(f"{where.stem}.unfinished")
    session = _Session.open(unfinished, chosen, _facts(bench, wanted))
    for step in chosen:
        if step in ON_REQUEST and not steps and network.devices is not None:
            yield StepDone(Found(step, None, ON_REQUEST[step], (), {}, None), 0, 0)
            continue
        before = session.done(step)
        if before is not None:
            yield StepDone(before, 0, 0, before=True)
            continue
        needs = _inputs(record, step)
        with Journal(unfinished / step, {**session.facts, "step": step, "rests_on": needs}) as journal:

            def told(done: int, parts: int | None, step: str = step) -> None:
                if on_progress is not None:
                    on_progress(step, done, parts)

            listener = _Listener(told, ANSWERS.get(step))
            journaled = JournaledNetwork(network, journal, listener.answered)
            listener.network = journaled
            stage = Stage(
                network=journaled,
                record=record,
                path=where,
                configurations=wanted.configurations,
                patterns=wanted.patterns,
                seed=wanted.seed,
                settle_s=_settle_s(bench),
                nudge_siemens=bench.file.train.kappa if bench.file.train.nudge == "resistor" else None,
                dac_step_V=_dac_step_V(bench),
                devices=wanted.devices,
                retention_s=wanted.retention_s,
                progress=listener.parts,
            )
            told(0, ANSWERS.get(step))
            with stop_on_interrupt(journaled):
                found = FINDERS[step](stage)
            record = _with_found(record, found)
            record.save(where)
            session.finish(found)
            journal.finish()
        yield StepDone(found, journaled.fresh, journaled.replayed)
    shutil.rmtree(unfinished, ignore_errors=True)


def _check_old(where: Path, check: Callable[[], None]) -> None:
    """Refuse to mix a record with one of other hardware, or to write over it."""
    try:
        check()
    except SetupError as error:
        text = str(error).removesuffix("; run: hwlearn calibrate")
        raise SetupError(f"{where} is in the way: {text}; name another file, or move that one") from None


class _Listener:
    """Turns answers of the network, or parts that a step tells, into progress."""

    def __init__(self, told: Callable[[int, int | None], None], answers: int | None) -> None:
        self._told, self._answers = told, answers
        self._parts: tuple[int, int] | None = None
        self.network: JournaledNetwork | None = None

    def answered(self) -> None:
        """Pass on an answer, unless the step itself tells how far it is."""
        if self._parts is None and self.network is not None:
            self._told(self.network.answers, self._answers)

    def parts(self, done: int, parts: int) -> None:
        """Pass on what the step tells."""
        self._parts = (done, parts)
        self._told(done, parts)


def _with_found(record: CalibrationRecord, found: Found) -> CalibrationRecord:
    """Return the record with what a step found; what rested on an older result is void."""
    for name in _REBUILT.get(found.step, ()):
        made = {step: at for step, at in record.made.items() if step != name}
        changes: dict[str, Any] = {name: None, "made": made}
        record = replace(record, **changes)
    for name, section in found.sections.items():
        record = record.with_step(name, section)
    return record if found.sections else record.with_step(found.step, None)


def _inputs(record: CalibrationRecord, step: str) -> str:
    """Return a digest of what a step rests on in the record."""
    used = {"converters": ("noise",), "edges": ("noise", "converters"), "verify": ("noise", "converters", "edges")}
    found = [getattr(record, name) for name in used.get(step, ())]
    text = json.dumps([None if part is None else part.table() for part in found])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _facts(bench: Bench, options: CalibrationOptions) -> dict[str, Any]:
    """Return what the answers of a bench depend on."""
    network = bench.raw_network
    settings = bench.settings.model_dump(mode="json", exclude={"wire_log"})
    limits = asdict(network.limits)
    return {
        "topology": network.topology.fingerprint,
        "instruments": [identity(name) for name in network.instruments],
        "backend": bench.file.backend.kind,
        "settings": settings,
        "limits": {**limits, "conductance": list(network.limits.conductance)},
        "options": asdict(options),
        "package": version("hwlearn"),
    }


def _settle_s(bench: Bench) -> float | None:
    """Return how long the bench waits before a reading, if its settings say so."""
    settle = getattr(bench.settings, "settle", None)
    return float(settle) if isinstance(settle, int | float) and settle > 0 else None


def _dac_step_V(bench: Bench) -> float | None:
    """Return the step of the input DACs, if the settings say so."""
    bits, most = getattr(bench.settings, "dac_bits", None), getattr(bench.settings, "dac_range", None)
    return None if not bits or not most else float(2 * most / 2**bits)


class _Session:
    """Which steps of an unfinished calibration are done, on disk."""

    def __init__(self, path: Path, facts: dict[str, Any], steps: tuple[str, ...]) -> None:
        self.path, self.facts, self.steps = path, facts, steps
        self._done: dict[str, Any] = {}

    @classmethod
    def open(cls, folder: Path, steps: tuple[str, ...], facts: dict[str, Any]) -> _Session:
        """Return the session in a folder if it is the same calibration, else a new one.

        A calibration with other settings or steps begins anew, but journals of its steps that fit are used.
        """
        session = cls(folder / _SESSION, facts, steps)
        try:
            kept = json.loads(session.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            kept = None
        except (OSError, ValueError):
            kept = None  # a session that cannot be read costs steps, not measurements
        if isinstance(kept, dict) and kept.get("steps") == list(steps):
            same = json.loads(json.dumps(facts))
            if kept.get("facts") == same:
                session._done = kept["done"]
        session._write()
        return session

    def done(self, step: str) -> Found | None:
        """Return what a step found before the interruption; its sections are in the record."""
        kept = self._done.get(step)
        if kept is None:
            return None
        rows = tuple(Row(*row) for row in kept["rows"])
        figure = None if kept["figure"] is None else Path(kept["figure"])
        return Found(step, kept["trusted"], kept["verdict"], rows, {}, figure)

    def finish(self, found: Found) -> None:
        """Put on disk that a step is done; its result is in the record already."""
        self._done[found.step] = {
            "trusted": found.trusted,
            "verdict": found.verdict,
            "rows": [[row.what, row.value, row.uncertainty] for row in found.rows],
            "figure": None if found.figure is None else str(found.figure),
        }
        self._write()

    def _write(self) -> None:
        text = json.dumps({"steps": self.steps, "facts": self.facts, "done": self._done}, indent=1)
        write_atomically(self.path, text.encode())
