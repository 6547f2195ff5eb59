"""Read bench files from TOML, apply overrides, and write them with all defaults filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError, TopologyError, closest
from hwlearn.lab.bench_file.names import check_name
from hwlearn.lab.bench_file.networks import NETWORKS, NetworkSection
from hwlearn.lab.bench_file.sections import (
    SHIPPED_DATA,
    BackendSection,
    CalibrationSection,
    DataSection,
    LimitsSection,
    RunSection,
    SafetySection,
    TrainSection,
    checked_section,
)
from hwlearn.storage.text_file import is_file, read_text
from hwlearn.storage.toml_text import plain_value, toml_tables, toml_text

TABLES = ("network", "limits", "backend", "data", "train", "calibration", "run", "safety")
FIXED: Final[Mapping[str, type[BaseModel]]] = {
    "limits": LimitsSection,
    "data": DataSection,
    "train": TrainSection,
    "calibration": CalibrationSection,
    "run": RunSection,
    "safety": SafetySection,
}
"""Tables whose keys do not depend on a kind."""

FILE_KEYS = (("data", "source"), ("network", "file"), ("calibration", "file"))
"""Keys that name a file."""


@dataclass(frozen=True)
class BenchFile:
    """A checked bench file.

    Attributes
    ----------
    name : str
        File name without its extension, or the name of a bench that comes with the package.
    folder : Path
        Folder from which relative paths in the file start.
    tables : mapping
        The tables as written, with overrides applied.
    network, limits, backend, data, train, calibration, run, safety
        The checked sections. Of ``backend`` only ``kind`` is checked here; the backend checks the rest.
    """

    name: str
    folder: Path
    tables: Mapping[str, Mapping[str, Any]]
    network: NetworkSection
    limits: LimitsSection
    backend: BackendSection
    data: DataSection
    train: TrainSection
    calibration: CalibrationSection
    run: RunSection
    safety: SafetySection

    @property
    def where(self) -> str:
        """Name of the file in error messages."""
        return f"bench {self.name}"

    @property
    def is_dry_run(self) -> bool:
        """Whether commands are printed instead of sent (``--dry-run``): readings are then no measurements."""
        return self.tables["backend"].get("dry_run") is True

    def topology(self) -> Topology:
        """Return the topology of ``[network]``.

        Raises
        ------
        TopologyError, SetupError, CircuitError
            If no network can have it, or its file cannot be read.
        """
        try:
            return self.network.build(self.folder)
        except TopologyError as error:
            raise TopologyError(f"{self.where}: [network]: {error}") from None
        except MemoryError:
            raise TopologyError(f"{self.where}: [network]: the graph is too large for the memory here") from None

    def named_files(self) -> dict[str, Path]:
        """Return the existing files that the bench file names, by key such as ``"data.source"``."""
        found = {}
        for table, key in FILE_KEYS:
            named = self.tables.get(table, {}).get(key)
            if isinstance(named, str) and named not in SHIPPED_DATA and is_file(self.folder / named):
                found[f"{table}.{key}"] = (self.folder / named).resolve()
        return found

    def text(self, settings: BaseModel | None = None) -> str:
        """Return the file as TOML that has the same meaning in another folder and in a later version.

        Values are kept as written, defaults are filled in, and relative file names become absolute.

        Parameters
        ----------
        settings : BaseModel, optional
            The checked settings of ``[backend]``; with them, its defaults are filled in too.
        """
        checked = {name: getattr(self, name) for name in TABLES} | ({"backend": settings} if settings else {})
        tables = {
            name: {**self.tables.get(name, {}), **_defaults(checked[name], self.tables.get(name, {}))}
            for name in TABLES
        }
        for name, path in self.named_files().items():
            table, _, key = name.partition(".")
            tables[table][key] = str(path)
        return toml_text(tables)

    def with_(self, overrides: Iterable[str] | Mapping[str, Any]) -> BenchFile:
        """Return a new file with some keys changed; see `load_bench_file`."""
        return _checked(self.name, self.folder, _overridden(self.tables, overrides, self.where))


def shipped_benches() -> list[str]:
    """Return the names of the benches that come with the package, sorted."""
    folder = resources.files("hwlearn.lab") / "benches"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml"))


def load_bench_file(name_or_path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()) -> BenchFile:
    """Read a bench file and check every key.

    Parameters
    ----------
    name_or_path : str or Path
        A TOML file, or the name of a bench that comes with the package.
    overrides : iterable of str, or mapping
        ``"section.key=value"`` with a TOML value (bare words are text), or ``{"section.key": value}``, where None
        takes the key out of the file; a key of ``[network]`` and ``[backend]`` must be there.

    Raises
    ------
    SetupError
        If the file is missing, or a key, value or override is wrong.
    """
    name, folder, tables = read_tables(name_or_path, overrides)
    return _checked(name, folder, tables)


def parse_bench_file(text: str, name: str, folder: Path) -> BenchFile:
    """Return the bench file of a text whose relative paths start at ``folder``; raises as `load_bench_file`."""
    try:
        tables = toml_tables(text)
    except SetupError as error:
        raise SetupError(f"bench {name} is not valid TOML: {error}") from None
    return _checked(name, folder, tables)


def read_tables(
    name_or_path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()
) -> tuple[str, Path, dict[str, dict[str, Any]]]:
    """Return the name, the folder and the unchecked tables of a bench; see `load_bench_file`."""
    path = Path(name_or_path)
    if path.suffix == ".toml" or is_file(path):
        if not is_file(path):
            raise SetupError(f"there is no bench file {path}")
        name, folder = path.stem, path.resolve().parent
        text = read_text(path, "bench file", SetupError)
    else:
        name, folder = str(name_or_path), Path.cwd()
        known = shipped_benches()
        if name not in known:
            raise SetupError(
                f"there is no bench {name!r}{closest(name, known)}; give a TOML file or one of: {', '.join(known)}"
            )
        with resources.as_file(resources.files("hwlearn.lab") / "benches" / f"{name}.toml") as shipped:
            text = read_text(shipped, "bench file", SetupError)
    try:
        tables = toml_tables(text)
    except SetupError as error:
        raise SetupError(f"bench {name} is not valid TOML: {error}") from None
    return name, folder, _located(_overridden(tables, overrides, f"bench {name}"), folder)


def _checked(name: str, folder: Path, tables: Mapping[str, Mapping[str, Any]]) -> BenchFile:
    """Return the bench file of some tables; every table but ``[backend]`` is checked."""
    tables = _located(tables, folder)
    check_name(name)  # not in `read_tables`: `hwlearn off` works with any name
    where = f"bench {name}"
    for table in tables:
        if table not in TABLES:
            raise SetupError(
                f"{where}: unknown table [{table}]{closest(table, TABLES)}; the tables are: {', '.join(TABLES)}"
            )
    for table in ("network", "limits", "backend", "data"):
        if table not in tables:
            raise SetupError(f"{where}: the table [{table}] is missing")
    network = tables["network"]
    kind = network.get("kind") if isinstance(network, Mapping) else None
    if not isinstance(kind, str) or kind not in NETWORKS:
        raise SetupError(
            f"{where}: network.kind = {kind!r}{closest(str(kind), list(NETWORKS))}; "
            f"it must be one of: {', '.join(NETWORKS)}"
        )
    return BenchFile(
        name,
        folder,
        tables,
        checked_section(NETWORKS[kind], network, "network", where),
        checked_section(LimitsSection, tables["limits"], "limits", where),
        checked_section(BackendSection, tables["backend"], "backend", where),
        checked_section(DataSection, tables["data"], "data", where),
        checked_section(TrainSection, tables.get("train", {}), "train", where),
        checked_section(CalibrationSection, tables.get("calibration", {}), "calibration", where),
        checked_section(RunSection, tables.get("run", {}), "run", where),
        checked_section(SafetySection, tables.get("safety", {}), "safety", where),
    )


def _located(tables: Mapping[str, Mapping[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    """Return the tables with absolute names of the files that ``[backend]`` and its instruments read."""
    backend = tables.get("backend")
    changed: dict[str, Any] = dict(tables)
    if isinstance(backend, Mapping):
        found = dict(backend)
        if isinstance(listed := backend.get("instruments"), list):
            found["instruments"] = [_with_absolute_protocol(one, folder) for one in listed]
        if isinstance(record := backend.get("superposition"), str):
            found["superposition"] = str(folder / record)
        changed["backend"] = found
    return changed


def _with_absolute_protocol(instrument: Any, folder: Path) -> Any:
    protocol = instrument.get("protocol") if isinstance(instrument, Mapping) else None
    if not isinstance(protocol, str) or not protocol.endswith(".toml"):
        return instrument
    return {**instrument, "protocol": str(folder / protocol)}


def _defaults(section: BaseModel, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a section that were not written; None is left out, as TOML has no null."""
    left = set(type(section).model_fields) - set(table)
    return section.model_dump(mode="json", include=left, exclude_none=True)


def _overridden(
    tables: Mapping[str, Mapping[str, Any]], overrides: Iterable[str] | Mapping[str, Any], where: str
) -> dict[str, dict[str, Any]]:
    """Return a copy of the tables with overrides applied."""
    changed = {name: dict(table) if isinstance(table, Mapping) else table for name, table in tables.items()}
    if isinstance(overrides, Mapping):
        pairs = list(overrides.items())
    else:
        pairs = [_assignment(text) for text in ([overrides] if isinstance(overrides, str) else overrides)]
    for key, value in pairs:
        section, dot, name = key.partition(".")
        if not dot or not section or not name:
            raise SetupError(f"{where}: setting {key!r} must be section.key, for example train.epochs")
        if section not in TABLES:
            raise SetupError(
                f"{where}: setting {key!r} names no table{closest(section, TABLES)}; "
                f"the tables are: {', '.join(TABLES)}"
            )
        table = changed.setdefault(section, {})
        if not isinstance(table, dict):
            raise SetupError(f"{where}: {section} must be a table, [{section}]")
        if value is None:
            _check_removal(key, table, where)
            table.pop(name, None)
        else:
            table[name] = plain_value(value)
    return changed


def _check_removal(key: str, table: Mapping[str, Any], where: str) -> None:
    """Raise `SetupError` if a key that is to be taken out is neither in the file nor one that it may have."""
    section, _, name = key.partition(".")
    keys = {*table, *(FIXED[section].model_fields if section in FIXED else ())}
    if name not in keys:
        raise SetupError(
            f"{where}: {key} cannot be taken out, it is not in the file{closest(name, sorted(keys))}; "
            f"[{section}] has: {', '.join(sorted(table)) or 'no key'}"
        )


def _assignment(text: str) -> tuple[str, Any]:
    """Return key and value of ``section.key=value``."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SetupError(f"setting {text!r} must read section.key=value, for example train.epochs=10")
    try:
        return key.strip(), toml_tables(f"value = {value.strip()}")["value"]
    except SetupError:
        return key.strip(), value.strip()  # a bare word or a quantity
