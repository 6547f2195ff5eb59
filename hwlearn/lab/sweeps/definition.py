"""The definition of a sweep: bench, axes and seeds, checked point by point before any is run."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Final

from hwlearn.errors import HwlearnError, RunError, SetupError
from hwlearn.lab.bench.bench import Bench
from hwlearn.lab.bench_file.file import BenchFile, load_bench_file
from hwlearn.lab.runs.reading import reported_damage
from hwlearn.lab.sweeps.grid import MOST_POINTS, Axis, make_axes, make_seeds, refuse_repeated
from hwlearn.lab.sweeps.trained_point import SEED, TrainedPoint
from hwlearn.storage.toml_text import toml_text

_FACTS: Final[Mapping[str, type | UnionType]] = {
    "bench": str,
    "folder": str,
    "settings": str,
    "fixed": list,
    "grid": dict,
    "seeds": list | None,
    "files": dict,
    "keep_runs": bool,
}
"""What `SweepDefinition.facts` has, as JSON."""


@dataclass(frozen=True)
class SweepDefinition:
    """What a sweep trains, and with which values.

    Attributes
    ----------
    trained : TrainedPoint
        Trains the bench of a point.
    axes : tuple of Axis
    seeds : tuple of int, or None
        None: the bench's own seeds.
    files : mapping of str to str
        SHA-256 of the files that the bench names, by path.
    hardware : bool
        Whether a backend of it is not declared as simulated.
    """

    trained: TrainedPoint
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...] | None
    files: Mapping[str, str]
    hardware: bool

    def points(self) -> list[dict[str, Any]]:
        """Return the values of each point; all values of the grid for the first seed, then for the next one."""
        grid = list(_combinations(self.axes))
        if self.seeds is None:
            return grid
        return [{**values, SEED: seed} for seed in self.seeds for values in grid]

    def facts(self) -> dict[str, Any]:
        """Return the definition as JSON has it. Two sweeps with equal facts have equal points."""
        return {
            "bench": self.trained.name,
            "folder": self.trained.folder if self.files else "",  # without files it has no meaning
            "settings": self.trained.settings,
            "fixed": list(self.trained.fixed),
            "grid": {axis.key: list(axis.values) for axis in self.axes},
            "seeds": None if self.seeds is None else list(self.seeds),
            "files": dict(self.files),
            "keep_runs": self.trained.runs is not None,
        }


def define(
    bench: str | Path | Bench,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    grid: Mapping[str, Any] | Iterable[str | Axis] | str | None = None,
    seeds: object = None,
    runs: Path | None = None,
) -> SweepDefinition:
    """Return the definition of a sweep; every combination of values is checked as a bench, without hardware.

    Parameters
    ----------
    bench : str, Path or Bench
        A bench file, the name of a shipped bench, or a bench.
    overrides : iterable of str, or mapping
        Keys that are changed for all points, as in `hwlearn.open_bench`.
    grid : mapping, or iterable of str or Axis, optional
        Values by key: a list or an array, or text such as ``"0:0.5:6"``. Or texts ``"train.rate=0.1,0.2"``.
    seeds : int, str or iterable of int, optional
    runs : Path, optional
        Folder in which each training is recorded as a run.

    Raises
    ------
    SetupError
        If a key or value is wrong, naming the first combination that is, or if the seeds would change nothing.
    """
    file = bench.file.with_(overrides) if isinstance(bench, Bench) else load_bench_file(bench, overrides)
    axes = make_axes(grid)
    chosen = make_seeds(seeds)
    own = _override_keys(overrides)
    _check_axes(axes, own, chosen)
    fixed = tuple(key for key in [*own, *(axis.key for axis in axes)] if "seed" in key)
    trained = TrainedPoint(
        file.name,
        str(file.folder),
        toml_text(file.tables),
        fixed,
        None if runs is None else str(runs.absolute()),
    )
    checked = _Checked()
    for values in _combinations(axes):
        point = values if chosen is None else {**values, SEED: chosen[0]}
        bench = checked.add(trained, values, point)
        if chosen is not None:
            _check_seeds(trained, bench, chosen)
    resolved = tuple(
        Axis(axis.key, tuple(checked.number(axis.key, value) for value in axis.values)) for axis in axes
    )
    for axis in resolved:
        refuse_repeated(axis.key, axis.values)
    return SweepDefinition(trained, resolved, chosen, checked.files, checked.hardware)


def stored_definition(facts: Mapping[str, Any], runs: Path) -> SweepDefinition:
    """Return the definition that a table has stored, checked again: files and keys may have changed.

    Raises
    ------
    RunError
        If the table is not of a sweep of a bench, or damaged.
    SetupError
        As `define`.
    """
    unknown = [key for key, kinds in _FACTS.items() if not isinstance(facts.get(key, ...), kinds)]
    if unknown:
        raise RunError(
            f"the table in {runs.parent} is not of a sweep of a bench, or it is damaged: its definition has no "
            f"valid {unknown[0]!r}; give another folder, or restore it from a backup"
        )
    trained = TrainedPoint(
        facts["bench"],
        facts["folder"] or str(Path.cwd()),
        facts["settings"],
        tuple(facts["fixed"]),
        str(runs.absolute()) if facts["keep_runs"] else None,
    )
    with reported_damage(runs.parent, "sweep"):
        axes = tuple(Axis(key, tuple(values)) for key, values in facts["grid"].items())
        seeds = None if facts["seeds"] is None else tuple(int(seed) for seed in facts["seeds"])
    checked = _Checked()
    for values in _combinations(axes):
        checked.add(trained, values, values if seeds is None else {**values, SEED: seeds[0]})
    return SweepDefinition(trained, axes, seeds, checked.files, checked.hardware)


class _Checked:
    """What the checks of all combinations have found."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.hardware = False
        self._numbers: dict[tuple[str, str], float] = {}

    def add(self, trained: TrainedPoint, values: Mapping[str, Any], point: Mapping[str, Any]) -> Bench:
        """Check one combination of values and return its bench.

        Raises
        ------
        SetupError
            Naming the values, if the bench refuses them.
        """
        try:
            bench = trained.bench(point)
        except HwlearnError as error:
            text = ", ".join(f"{key}={value}" for key, value in values.items())
            raise SetupError(f"{f'the point {text} is refused: ' if text else ''}{error}") from None
        _check_bench(bench)
        self.hardware = self.hardware or not bench.simulated
        for path in bench.file.named_files().values():
            if str(path) not in self.files:
                self.files[str(path)] = _sha256(path)
        for key, value in values.items():
            if isinstance(value, str):
                number = _checked_value(bench, key)
                if isinstance(number, int | float) and not isinstance(number, bool):
                    self._numbers[key, value] = number
        return bench

    def number(self, key: str, value: Any) -> Any:
        """Return a quantity such as ``"50 us"`` as the number that it is in SI units; other values as they are."""
        return self._numbers.get((key, value), value) if isinstance(value, str) else value


def _check_bench(bench: Bench) -> None:
    if bench.file.is_dry_run:
        raise SetupError(f"{bench.file.where}: a dry run measures nothing, so it cannot be swept; remove dry_run")
    if bench.file.tables["backend"].get("wire_log") is not None:
        raise SetupError(
            f"{bench.file.where}: the points of a sweep cannot share backend.wire_log; remove the key"
        )


def _check_seeds(trained: TrainedPoint, bench: Bench, seeds: Sequence[int]) -> None:
    """Refuse seeds that set no key: the points of all seeds would be the same one."""
    if not trained.seed_keys(bench, seeds[0]):
        raise SetupError(
            f"the seeds would change nothing, since {', '.join(trained.fixed)} have values of their own; leave "
            "out these keys in --set and --grid, or leave out --seeds"
        )


def _check_axes(axes: Sequence[Axis], own: Sequence[str], seeds: Sequence[int] | None) -> None:
    keys = [axis.key for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise SetupError(f"grid names {key} twice; give all its values at once, for example {key}=0.02,0.05")
        if key in own:
            raise SetupError(f"{key} has one value by --set and several by --grid; remove one of them")
    if not axes and seeds is None:
        raise SetupError("a sweep needs at least one --grid, for example --grid train.rate=0.02,0.05, or --seeds")
    count = math.prod(len(axis.values) for axis in axes) * (1 if seeds is None else len(seeds))
    if count > MOST_POINTS:
        raise SetupError(f"the sweep has {count} points; at most {MOST_POINTS} are possible")


def _override_keys(overrides: Iterable[str] | Mapping[str, Any]) -> list[str]:
    if isinstance(overrides, Mapping):
        return list(overrides)
    return [text.partition("=")[0].strip() for text in ([overrides] if isinstance(overrides, str) else overrides)]


def _combinations(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    keys = [axis.key for axis in axes]
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip(keys, values, strict=True))


def _checked_value(bench: Bench, key: str) -> Any:
    """Return the value of a key after its check, in which a quantity has become a number."""
    section, _, name = key.partition(".")
    return dict(bench.settings if section == "backend" else _section(bench.file, section)).get(name)


def _section(file: BenchFile, name: str) -> Any:
    return getattr(file, name)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SetupError(f"cannot read {path}: {error.strerror or error}") from None
