"""What a run was made of: settings, data, split and files; copies of the files, and what changed since.

A run folder has its own copy of every file that its bench file names, so that it can be continued from a copy of
the folder. A file that is larger than `MOST_BYTES` stays where it is. No report or export may replace what a run
consists of.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.errors import RunError, SetupError
from hwlearn.lab.runs.database import DATABASE, FORMAT
from hwlearn.lab.runs.provenance import now, package_versions
from hwlearn.lab.runs.variables import value_facts
from hwlearn.storage.atomic_file import irregular
from hwlearn.storage.text_file import read_text
from hwlearn.storage.toml_text import toml_tables, toml_text

if TYPE_CHECKING:
    from hwlearn.circuit.topology import Topology
    from hwlearn.lab.bench.bench import Bench
    from hwlearn.lab.data.loading import Data

FILES: Final = "files"
"""Folder of the copies in a run folder."""
MOST_BYTES: Final = 64_000_000
"""Larger files are not copied."""

_OWN: Final = (DATABASE, "run.lock", "bench.toml")
"""Beginnings of names in a run folder: SQLite adds endings such as ``-wal``."""

_WHAT: Final = {"data.source": "data file", "network.file": "netlist", "calibration.file": "calibration record"}


def new_folder(runs: Path, name: str) -> Path:
    """Create a folder of this name, or of this name with a number, and return it."""
    number = 1
    while True:
        folder = runs / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def copy_files(bench: Bench, folder: Path) -> list[dict[str, Any]]:
    """Copy the files of a bench into a run folder.

    Returns
    -------
    list of dict
        ``key`` of the bench file, ``original`` path, ``sha256``, and ``name`` of the copy from the run folder, or
        None if the file is too large.

    Raises
    ------
    OSError
        If a file cannot be read or written.
    """
    found = []
    for key, original in bench.file.named_files().items():
        name = None
        if original.stat().st_size <= MOST_BYTES:
            (folder / FILES).mkdir(exist_ok=True)
            name = f"{FILES}/{key.partition('.')[0]}-{original.name}"
            shutil.copyfile(original, folder / name)
        read = original if name is None else folder / name
        found.append({"key": key, "original": str(original), "sha256": file_hash(read), "name": name})
    record = bench.calibration
    if record is not None and not any(item["key"] == "calibration.file" for item in found):
        name = f"{FILES}/calibration-record.toml"  # of a calibration in this process
        record.save(folder / name)
        sha = file_hash(folder / name)
        found.append({"key": "calibration.file", "original": None, "sha256": sha, "name": name})
    return found


def own_files(facts: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return the run's own copies of files, as values of the keys of its bench file; missing ones are left out."""
    known = {item["key"]: item["name"] for item in facts.get("files") or () if item["name"] is not None}
    return {key: name for key, name in known.items() if (folder / name).is_file()}


def check_target(path: Path) -> None:
    """Refuse a path at which a file would destroy what is no file, or a part of a run.

    Parameters
    ----------
    path : Path
        An existing file will be replaced, and so will a symbolic link; its target stays as it is.

    Raises
    ------
    RunError
        If there is a folder, a device or a named pipe, or if the path is that of a run's database, lock, bench
        file or copied file.
    """
    found = irregular(path)
    if found is not None:
        raise RunError(f"cannot write {path}: it is {found}; give the name of a file")
    folder = _run_of(path)
    if folder is not None:
        raise RunError(f"cannot write {path}: it belongs to run {folder.name}, which needs it; give another name")


def identity(bench: Bench) -> dict[str, object]:
    """Return the facts that identify a new run of a bench."""
    # slow to import, and not needed to read a run
    from hwlearn.lab.bench.recipes import make_cost
    from hwlearn.lab.runs.forecast import kept_conductances

    limits = bench.limits
    names = bench.topology.names
    hashes = {f"{name}_sha256": value for name, value in data_hashes(bench.data).items()}
    return {
        "format": FORMAT,
        "bench": bench.file.name,
        "backend": bench.file.backend.kind,
        "dry_run": bench.file.is_dry_run,
        "keep": bench.file.run.keep,
        "conductances": kept_conductances(bench),
        "synchronous": _synchronous(bench),
        "seed": bench.file.train.seed,
        "epochs_requested": bench.file.train.epochs,
        "cost": type(make_cost(bench.file.train, bench.data.classifies)).__name__,
        "topology": bench.topology.fingerprint,
        "data": list(bench.data.understood),
        "output_pairs": None if bench.data.pairs is None else [list(pair) for pair in bench.data.pairs.pairs],
        "target_scale": None if bench.data.scale is None else bench.data.scale.facts(),
        "nodes": bench.topology.n_nodes,
        "ground": bench.topology.ground,
        "node_names": None if names == tuple(f"n{k}" for k in range(len(names))) else list(names),
        "limits": {
            "voltage_V": limits.voltage,
            "drop_V": limits.drop,
            "nudge_V": limits.nudge,
            "current_A": limits.current,
            **({"conductance_S": list(limits.conductance)} if CONDUCTANCE.name in dict(limits.values) else {}),
        },
        "values": value_facts(bench.topology, limits),
        **hashes,
        "versions": package_versions(),
        "created": now(),
        "status": "created",
    }


def _synchronous(bench: Bench) -> str:
    """Return when commits wait for the disk: always on hardware, whose readings cannot be had again."""
    chosen = bench.file.run.synchronous
    if chosen != "auto":
        return chosen
    return "normal" if bench.simulated else "full"


def graph_arrays(topology: Topology) -> dict[str, np.ndarray]:
    """Return the graph of a network as arrays."""
    return {
        "edges": topology.edges,
        "inputs": topology.inputs,
        "output_nodes": topology.outputs,
        "fixed_edges": topology.fixed_edges,
        "fixed_conductances": topology.fixed_conductances,
    }


def data_hashes(data: Data) -> dict[str, str]:
    """Return hashes of the encoded data of a bench and of its split into training, validation and test rows."""
    arrays = {"inputs": data.inputs, "targets": data.targets}
    split = {"train": data.train, "validation": data.validation, "test": data.test}
    return {"data": _arrays_hash(arrays, "|".join(data.classes)), "split": _arrays_hash(split)}


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changed_files(folder: Path, facts: Mapping[str, Any], *, originals: bool = True) -> Iterator[str]:
    """Yield what changed in the files of a run since it began.

    Parameters
    ----------
    folder : Path
        The run folder.
    facts : mapping
        Facts of the run, by name.
    originals : bool
        Whether to compare the files from which the copies were made as well, where they still exist.
    """
    for item in facts.get("files") or ():
        what, sha = _WHAT.get(item["key"], item["key"]), item["sha256"]
        if item["name"] is not None:
            copy = folder / item["name"]
            if not copy.is_file():
                yield f"the run's copy of its {what}, {copy}, is missing"
            elif file_hash(copy) != sha:
                yield f"the run's copy of its {what}, {copy}, was changed"
        original = None if item["original"] is None else Path(item["original"])
        if original is None or not (originals or item["name"] is None):
            continue
        if original.is_file():
            if file_hash(original) != sha:
                yield f"the {what} {original} was changed"
        elif item["name"] is None:
            yield f"the {what} {original} is missing, and too large to have a copy in the run"


def changed_settings(stored: str, path: Path) -> Iterator[str]:
    """Yield each key of a run's bench file that differs from the settings that the run has stored."""
    if not path.is_file():
        yield f"{path.name} is missing"
        return
    try:
        was, now = toml_tables(stored), toml_tables(read_text(path, "bench file", SetupError))
    except SetupError as error:
        yield f"{path.name} cannot be read ({error})"
        return
    for key, before, after in _differences(was, now):
        yield f"{path.name}: {key} was {_shown(before)}, it is {_shown(after)}"


def settings_with_epochs(settings: str, epochs: int) -> str:
    """Return the text of a bench file with another number of epochs."""
    tables = toml_tables(settings)
    tables["train"] = {**tables["train"], "epochs": epochs}
    return toml_text(tables)


def changed_data(bench: Bench, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between the bench of a run and the hashes that the run has stored."""
    if bench.topology.fingerprint != facts.get("topology"):
        yield "it was made with another topology than its bench file now describes"
    known, names = data_hashes(bench.data), {"data": "the encoded data", "split": "the split into rows"}
    for name, what in names.items():
        if known[name] != facts.get(f"{name}_sha256"):
            yield (
                f"{what} differ from those of the run"
                if name == "data"
                else f"{what} differs from that of the run"
            )


def refuse_changes(run: str, changes: list[str], how: str) -> None:
    """Refuse to go on with a run of which something changed.

    Raises
    ------
    RunError
        With everything that changed, and ``how`` to go on.
    """
    if changes:
        raise RunError(f"run {run} cannot be continued as it began: {'; '.join(changes)}; {how}")


_MISSING: Final = object()


def _differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    for table in [*was, *(name for name in now if name not in was)]:
        before, after = was.get(table, {}), now.get(table, {})
        if not (isinstance(before, dict) and isinstance(after, dict)):
            if before != after:
                yield table, before, after
            continue
        for key in [*before, *(name for name in after if name not in before)]:
            one, other = before.get(key, _MISSING), after.get(key, _MISSING)
            if repr(one) != repr(other):  # also tells 1 from 1.0 and true
                yield f"{table}.{key}", one, other


def _shown(value: object) -> str:
    return "not set" if value is _MISSING else repr(value)


def _arrays_hash(arrays: Mapping[str, np.ndarray], text: str = "") -> str:
    found = hashlib.sha256(text.encode())
    for name, array in arrays.items():
        found.update(f"|{name}|{array.dtype.str}|{array.shape}|".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _run_of(path: Path) -> Path | None:
    """Return the folder of the run that consists of this file among others; None if there is none."""
    target = path.parent.resolve() / path.name
    for folder in target.parents:
        first, *inner = target.relative_to(folder).parts
        name = first.casefold()  # some file systems ignore case
        own = name == FILES if inner else name.startswith(_OWN)
        if own and (folder / DATABASE).is_file():
            return folder
    return None
