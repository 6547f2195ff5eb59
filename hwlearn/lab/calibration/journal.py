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
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.device_access import DeviceAccess
from hwlearn.errors import SetupError
from hwlearn.network.network import Network, Programmed, Readout
from hwlearn.network.nudges import OutputDrive
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


class JournaledNetwork(Network):
    """A network whose answers go through a journal; closing it leaves the network inside open.

    Parameters
    ----------
    network : Network
    journal : Journal
    on_answer : callable, optional
        Called after each answer, which is on disk by then.

    Attributes
    ----------
    answers : int
        Given so far, to programming and to measuring.
    replayed : int
        How many of them came from the journal.
    fresh : int
        Samples that the hardware measured.
    """

    def __init__(self, network: Network, journal: Journal, on_answer: Callable[[], None] | None = None) -> None:
        super().__init__(network.topology, network.limits, network.nudges, resolution=network.resolution)
        self._network, self._journal, self._told = network, journal, on_answer
        self.answers, self.replayed, self.fresh = 0, 0, 0
        self._due: FloatArray | None = None
        self._devices: DeviceAccess | None = None

    @property
    def network(self) -> Network:
        """The network inside."""
        return self._network

    @property
    def instruments(self) -> tuple[str, ...]:
        """What the network inside hangs on."""
        return self._network.instruments

    @property
    def devices(self) -> DeviceAccess | None:
        """Single devices of the network inside, their pulses and readings in the same journal."""
        from hwlearn.lab.calibration.journaled import JournaledDevices

        inside = self._network.devices
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
        done = self._network.program(conductances)
        self._due = None
        self._journal.keep(self.answers, request, {"reached": done.reached, "failed": done.failed})
        self._answered()
        return done

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        request: dict[str, Any] = {"kind": "free", "inputs": inputs}
        if drive is not None:
            request |= {"kind": drive.kind, "values": drive.values}
            request |= {} if drive.siemens is None else {"siemens": drive.siemens}
        kept = self._journal.answer(self.answers, request)
        if kept is not None:
            self._answered(len(inputs), replayed=True)
            return _readout(kept)
        if self._due is not None:  # the hardware forgot, or another program changed it
            self._network.program(self._due)
            self._due = None
        read = self._network.measure(inputs, drive)
        self._journal.keep(self.answers, request, _arrays(read))
        self._answered(len(inputs))
        return read

    def _answered(self, samples: int = 0, *, replayed: bool = False) -> None:
        self.answers += 1
        self.replayed += replayed
        self.fresh += 0 if replayed else samples
        if self._told is not None:
            self._told()
        if samples and self.on_measured is not None:
            self.on_measured(samples)

    def _count(self, samples: int) -> None:
        """Count samples; whoever listens was told when the answer was on disk."""
        self.measurements += samples

    def _close(self) -> None:
        """Leave the network inside as it is."""


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
