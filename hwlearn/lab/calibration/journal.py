"""A journal under a calibration: every answer of the network is on disk before the next request is made.

A step of a calibration is a fixed procedure: what it asks for follows from its settings and from what it read. So
an interrupted one is run again from its start, the answers that are in the journal come from there, and the
hardware is asked from the first request on that has none. No procedure needs to know how to resume.
"""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.device_access import DeviceAccess
from hwlearn.errors import SetupError
from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TargetError, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive
from hwlearn.network.wrapped import WrappedNetwork
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.storage.lock import FolderLock

_FACTS = "journal.json"
_ASKED = "asked_"
_ALIKE = 1e-6  # relative: another number of threads changes the last bits of what a procedure asks for


class Journal:
    """The answers of one step, in a folder of its own; held by one process at a time.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    facts : mapping
        What the answers depend on: settings, topology, instruments. Answers kept under other facts are of no use.

    Raises
    ------
    SetupError
        If the folder cannot be written, or holds answers of other hardware.
    RunError
        If another process holds it.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(f"cannot make {folder}: {error}") from None
        self._lock = FolderLock(folder, "calibration")
        try:
            kept = self._facts()
            if kept is not None and kept != json.loads(json.dumps(dict(facts))):
                self._refuse_other_hardware(kept, facts)
                self._forget_from(0)
            write_atomically(folder / _FACTS, json.dumps(dict(facts), indent=1).encode())
        except BaseException:
            self._lock.release()
            raise
        self.entries = self._count()

    def _facts(self) -> Any:
        try:
            return json.loads((self.folder / _FACTS).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SetupError(f"{self.folder / _FACTS} cannot be read ({error}); delete {self.folder}") from None

    def _refuse_other_hardware(self, kept: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        for name in ("topology", "instruments"):
            if kept.get(name) != json.loads(json.dumps(facts[name])):
                raise SetupError(
                    f"an unfinished calibration in {self.folder} is of another {name.removesuffix('s')} than this "
                    f"bench; finish it there, or delete the folder"
                )

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def _count(self) -> int:
        number = 0
        while self._path(number).is_file():
            number += 1
        return number

    def _forget_from(self, number: int) -> None:
        # the last first, so that what is left is always without gaps
        for path in sorted(self.folder.glob("??????.npz"), reverse=True):
            if int(path.stem) >= number:
                path.unlink()

    def answer(self, number: int, request: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """Return the answer to a request, None if it has to be asked; a request that differs ends the journal."""
        if number >= self.entries:
            return None
        try:
            with np.load(io.BytesIO(self._path(number).read_bytes()), allow_pickle=False) as arrays:
                kept = {name: arrays[name] for name in arrays.files}
            same = _same({k[len(_ASKED) :]: v for k, v in kept.items() if k.startswith(_ASKED)}, request)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            same = False  # a disk that lost what it had acknowledged: measured again
        if same:
            return {name: array for name, array in kept.items() if not name.startswith(_ASKED)}
        self._forget_from(number)
        self.entries = number
        return None

    def keep(self, number: int, request: Mapping[str, Any], answer: Mapping[str, np.ndarray | None]) -> None:
        """Put an answer on disk; it is there when this returns."""
        buffer = io.BytesIO()
        whole: dict[str, Any] = {_ASKED + name: value for name, value in request.items()}
        whole |= {name: array for name, array in answer.items() if array is not None}
        np.savez(buffer, **whole)
        write_atomically(self._path(number), buffer.getvalue())
        self.entries = number + 1

    def finish(self) -> None:
        """Delete the journal: its step's result is on disk."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the folder and keep it."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
        self._devices: DeviceAccess | None = None

    @property
    def devices(self) -> DeviceAccess | None:
        """Devices of the inner network; their pulses and readings are kept in the same journal."""
        from hwlearn.lab.calibration.journaled import JournaledDevices

        inside = super().devices
        if inside is not None and self._devices is None:
            self._devices = JournaledDevices(inside, self._journal, self._device_answered, lambda: self.answers)
        return self._devices

    def _device_answered(self, replayed: bool) -> None:
        self._answered(1, replayed=replayed)

    def _program(self, conductances: FloatArray) -> Programmed:
        request = {"kind": "program", "values": conductances}
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            self._due = conductances
            self._answered(replayed=True)
            return Programmed(conductances, kept["reached"], kept["failed"])
        done = super()._program(conductances)
        self._due = None
        self._journal.keep(self.answers, request, {"reached": done.reached, "failed": done.failed})
        self._answered()
        return done

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        request: dict[str, Any] = {"kind": "free", "inputs": inputs}
        if drive is not None:
            request |= {"kind": drive.kind, **_drive_arrays(drive)}
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            self._answered(len(inputs), replayed=True)
            return _readout(kept)
        self._program_what_is_due()
        read = super()._measure(inputs, drive)
        self._count_inside(len(inputs))
        self._journal.keep(self.answers, request, _arrays(read))
        self._answered(len(inputs))
        return read

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        request: dict[str, Any] = {"kind": f"nudged {plus.kind}", "inputs": inputs, **_drive_arrays(plus)}
        if minus is not None:
            request["minus"] = minus.values
        samples = len(inputs) * (1 if minus is None else 2)
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            self._answered(samples, replayed=True)
            low = None if minus is None else _readout(_named(kept, "minus_"))
            return _readout(_named(kept, "plus_")), low, kept.get("refused")
        self._program_what_is_due()
        high, low, refused = super()._measure_sides(inputs, plus, minus)
        self._count_inside(samples)
        answer = {f"plus_{name}": array for name, array in _arrays(high).items()}
        if low is not None:
            answer |= {f"minus_{name}": array for name, array in _arrays(low).items()}
        self._journal.keep(self.answers, request, {**answer, "refused": refused})
        self._answered(samples)
        return high, low, refused

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        """Forward errors that a journal can store, and keep an empty answer where the hardware has no sequence."""
        if not isinstance(error, TargetError):
            return None
        request = {"inputs": inputs, "targets": error.targets, **_nudge_request(nudge, symmetric)}
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            whole = _two_phase(kept) if kept else None
            self._answered(_samples(whole), replayed=True)
            return whole
        self._program_what_is_due()
        whole = super()._both_phases(inputs, error, nudge, symmetric)
        self._count_inside(_samples(whole))
        self._journal.keep(self.answers, request, {} if whole is None else _two_phase_arrays(whole))
        self._answered(_samples(whole))
        return whole

    def _program_what_is_due(self) -> None:
        """Program the last replayed conductances: the hardware may have lost them since."""
        if self._due is not None:
            super()._program(self._due)
            self._due = None

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


def _drive_arrays(drive: OutputDrive) -> dict[str, Any]:
    return {"values": drive.values} | ({} if drive.siemens is None else {"siemens": drive.siemens})


def _nudge_request(nudge: Nudge, symmetric: bool) -> dict[str, Any]:
    """Return what identifies a nudge: its text settings in ``kind``, its numbers as they are."""
    settings = {part.name: getattr(nudge, part.name) for part in fields(nudge)}
    texts = [f"{name}={value}" for name, value in settings.items() if isinstance(value, str)]
    kind = " ".join(["both phases", type(nudge).__name__, f"symmetric={symmetric}", *texts])
    numbers = {k: v for k, v in settings.items() if v is not None and not isinstance(v, str)}
    return {"kind": kind, **numbers}


def _samples(whole: TwoPhase | None) -> int:
    """Return the number of samples over all phases."""
    if whole is None:
        return 0
    return len(whole.strength) + int((~whole.skipped).sum()) * (1 if whole.minus is None else 2)


def _two_phase_arrays(whole: TwoPhase) -> dict[str, np.ndarray | None]:
    arrays: dict[str, np.ndarray | None] = {"error": whole.error, "strength": whole.strength}
    for phase, read in (("free", whole.free), ("plus", whole.plus), ("minus", whole.minus)):
        if read is not None:
            arrays |= {f"{phase}_{name}": array for name, array in _arrays(read).items()}
    return arrays


def _two_phase(kept: dict[str, np.ndarray]) -> TwoPhase:
    free, plus, minus = (_named(kept, f"{phase}_") for phase in ("free", "plus", "minus"))
    return TwoPhase(
        _readout(free), _readout(plus), _readout(minus) if minus else None, kept["error"], kept["strength"]
    )


def _named(kept: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): array for name, array in kept.items() if name.startswith(prefix)}


def _same(kept: Mapping[str, np.ndarray], request: Mapping[str, Any]) -> bool:
    """Tell whether a kept request is this one, but for rounding."""
    if kept.keys() != request.keys() or str(kept["kind"]) != request["kind"]:
        return False
    numbers = [(kept[name], np.asarray(value)) for name, value in request.items() if name != "kind"]
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=_ALIKE, atol=1e-15, equal_nan=True) for a, b in numbers
    )


def _arrays(read: Readout) -> dict[str, np.ndarray | None]:
    return {
        "voltages": read.voltages,
        "output_currents": read.output_currents,
        "source_currents": read.source_currents,
        "nodes": read.nodes,
        "saturated": read.saturated,
        "sigmas": np.array([read.voltage_sigma, read.current_sigma]),
    }


def _readout(kept: dict[str, np.ndarray]) -> Readout:
    volts, amperes = kept.pop("sigmas")
    return Readout(**kept, voltage_sigma=float(volts), current_sigma=float(amperes))
