"""The schema of a bench file: what each table may hold, and errors that name key, value and what is allowed."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hwlearn.circuit import spice
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.lab.toml_text import toml_text
from hwlearn.limits import Limits
from hwlearn.units import parse_quantity


def quantity(unit: str) -> Any:
    """Return a pydantic validator that reads text such as ``"50 us"`` as a number in the unit."""
    return BeforeValidator(lambda value: parse_quantity(value, unit))


Volts = Annotated[float, quantity("V")]
Amperes = Annotated[float, quantity("A")]
Siemens = Annotated[float, quantity("S")]
Ohms = Annotated[float, quantity("ohm")]
Seconds = Annotated[float, quantity("s")]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]
PositiveVolts = Annotated[float, quantity("V"), Field(gt=0)]


class Section(BaseModel):
    """A table of a bench file: frozen, without a key that it does not know, and true is not 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class NetworkSection(Section):
    """``[network]``: the graph."""

    def build(self, folder: Path) -> Topology:
        """Return the topology; files are looked up in the bench file's folder."""
        raise SetupError("network.kind is missing")


class CrossbarNetwork(NetworkSection):
    """A crossbar; inputs and ground are rows, outputs are columns."""

    kind: Literal["crossbar"]
    rows: Count
    columns: Count
    inputs: list[int] | None = None
    outputs: list[int] | None = None
    ground: int | None = None

    def build(self, folder: Path) -> Topology:
        """Return the crossbar."""
        return Topology.crossbar(self.rows, self.columns, self.inputs, self.outputs, self.ground)


class GridNetwork(NetworkSection):
    """A square lattice; node ``r * columns + c``."""

    kind: Literal["grid"]
    rows: Count
    columns: Count
    inputs: list[int] | None = None
    outputs: list[int] | None = None
    ground: int | None = None

    def build(self, folder: Path) -> Topology:
        """Return the lattice."""
        return Topology.grid(self.rows, self.columns, self.inputs, self.outputs, self.ground)


class LayeredNetwork(NetworkSection):
    """Layers of nodes, each joined completely to the next."""

    kind: Literal["layered"]
    sizes: list[int]
    ground: int | None = None

    def build(self, folder: Path) -> Topology:
        """Return the layers."""
        return Topology.layered(self.sizes, self.ground)


class RandomNetwork(NetworkSection):
    """A random connected graph; a number of inputs takes the first nodes, of outputs the last."""

    kind: Literal["random"]
    nodes: Count
    edges: Count
    inputs: int | list[int]
    outputs: int | list[int]
    ground: int | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    def build(self, folder: Path) -> Topology:
        """Return the graph that the seed makes."""
        return Topology.random(self.nodes, self.edges, self.inputs, self.outputs, self.ground, seed=self.seed)


class EdgesNetwork(NetworkSection):
    """A graph given edge by edge."""

    kind: Literal["edges"]
    nodes: Count
    edges: list[list[int]]
    inputs: list[int]
    outputs: list[int]
    ground: int | None = None
    names: list[str] | None = None

    def build(self, folder: Path) -> Topology:
        """Return the graph."""
        return Topology(self.nodes, self.edges, self.inputs, self.outputs, self.ground, names=self.names)


class SpiceNetwork(NetworkSection):
    """The graph of a SPICE netlist."""

    kind: Literal["spice"]
    file: str
    inputs: list[str] | None = None
    outputs: list[str] | None = None

    def build(self, folder: Path) -> Topology:
        """Read the netlist."""
        return spice.parse(folder / self.file, inputs=self.inputs, outputs=self.outputs).topology


NETWORKS: dict[str, type[NetworkSection]] = {
    "crossbar": CrossbarNetwork,
    "grid": GridNetwork,
    "layered": LayeredNetwork,
    "random": RandomNetwork,
    "edges": EdgesNetwork,
    "spice": SpiceNetwork,
}


class LimitsSection(Section):
    """``[limits]``: what nobody may exceed."""

    voltage: Volts
    drop: Volts
    nudge: Volts
    current: Amperes
    conductance: Annotated[list[Siemens], Field(min_length=2, max_length=2)]

    def build(self) -> Limits:
        """Return the limits."""
        low, high = self.conductance
        return Limits(self.voltage, self.drop, self.nudge, self.current, (low, high))


class DataSection(Section):
    """``[data]``: where samples come from and how features become volts."""

    source: str
    encoding: Literal["plain", "scaled", "differential"] = "plain"
    amplitude: PositiveVolts | None = None
    bias: PositiveVolts | None = None
    ranges: list[list[float]] | None = None
    label_column: str | int | None = None
    target_columns: list[str | int] | None = None
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    split_seed: Annotated[int, Field(ge=0)] = 0
    samples: Count = 8
    seed: Annotated[int, Field(ge=0)] = 0


class TrainSection(Section):
    """``[train]``: rule, cost, optimizer and schedule."""

    rule: Literal["gep", "analytic", "spsa"] = "gep"
    nudge: Literal["clamp", "current", "resistor"] = "clamp"
    strength: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    kappa: Annotated[Siemens, Field(gt=0)] = 1e-4
    metric: Literal["identity", "impedance"] = "identity"
    symmetric: bool = True
    readout: Literal["outputs", "nodes"] = "outputs"
    nudged: Literal["measured", "computed"] = "measured"
    model_error: Annotated[float, Field(ge=0)] = 0.2
    perturbation: Annotated[float, Field(gt=0, le=0.5)] = 0.02
    repeats: Count = 1
    cost: Literal["auto", "mse", "cross-entropy", "hinge"] = "auto"
    temperature: PositiveVolts = 0.015
    margin: PositiveVolts = 0.02
    target: PositiveVolts = 0.05
    optimizer: Literal["adam", "sgd", "momentum", "sign"] = "adam"
    rate: Annotated[float, Field(gt=0)] = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    scale: Literal["linear", "log"] = "log"
    epochs: Annotated[int, Field(ge=0)] = 60
    batch: Count | None = None
    anneal: Annotated[float, Field(ge=0, le=1)] = 0.05
    patience: Count | None = None
    keep: Literal["best", "last"] = "last"
    subset: Fraction | list[int] | None = None
    subset_kind: Literal["random", "sensitive"] = "sensitive"
    initial: Literal["middle", "random"] = "middle"
    seed: Annotated[int, Field(ge=0)] = 0


class BackendSection(BaseModel):
    """``[backend]``: its kind; the other keys are that backend's own settings."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str


SHIPPED_DATA = ("iris", "digits", "teacher")
TABLES = ("network", "limits", "backend", "data", "train")


@dataclass(frozen=True)
class BenchFile:
    """A bench file that has been read and checked.

    Attributes
    ----------
    name : str
        File name without its ending, or the name of a bench that ships.
    folder : Path
        Where relative paths in it start.
    tables : mapping
        The tables as written, overrides applied.
    network, limits, backend, data, train
        The checked sections; ``backend`` is checked by the backend itself.
    """

    name: str
    folder: Path
    tables: Mapping[str, Mapping[str, Any]]
    network: NetworkSection
    limits: LimitsSection
    backend: BackendSection
    data: DataSection
    train: TrainSection

    @property
    def where(self) -> str:
        """How messages name the file."""
        return f"bench {self.name}"

    def text(self, settings: BaseModel | None = None) -> str:
        """Return the file as TOML, so that it means the same in another folder and in a later version.

        Values stand as they were written, defaults are filled in (those of ``[backend]`` from its checked
        settings, if given), and relative file names are made absolute.
        """
        checked = {name: getattr(self, name) for name in TABLES} | ({"backend": settings} if settings else {})
        tables = {
            name: {**self.tables.get(name, {}), **_defaults(checked[name], self.tables.get(name, {}))}
            for name in TABLES
        }
        for table, key in (("data", "source"), ("network", "file")):
            named = tables[table].get(key)
            if isinstance(named, str) and named not in SHIPPED_DATA and (self.folder / named).is_file():
                tables[table][key] = str((self.folder / named).resolve())
        return toml_text(tables)

    def with_(self, overrides: Iterable[str] | Mapping[str, Any]) -> BenchFile:
        """Return the file with some keys changed; see `load_bench_file`."""
        return _checked(self.name, self.folder, _overridden(self.tables, overrides, self.where))


def shipped_benches() -> list[str]:
    """Return the names of the benches that come with the package."""
    folder = resources.files("hwlearn.lab") / "benches"
    return sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml"))


def load_bench_file(name_or_path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()) -> BenchFile:
    """Read a bench file and check every key.

    Parameters
    ----------
    name_or_path : str or Path
        A TOML file, or the name of a bench that ships.
    overrides : iterable of str, or mapping
        ``"section.key=value"`` in TOML's syntax (bare words are text), or ``{"section.key": value}``.

    Raises
    ------
    SetupError
        If the file is missing or a key, value or override is wrong; one line that says what is allowed.
    """
    name, folder, tables = read_tables(name_or_path, overrides)
    return _checked(name, folder, tables)


def read_tables(
    name_or_path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()
) -> tuple[str, Path, dict[str, dict[str, Any]]]:
    """Return a bench's name, its folder and its tables with nothing in them checked; see `load_bench_file`."""
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise SetupError(f"there is no bench file {path}")
        name, folder = path.stem, path.resolve().parent
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"bench file {path} cannot be read: {error}") from error
    else:
        name, folder = str(name_or_path), Path.cwd()
        known = shipped_benches()
        if name not in known:
            raise SetupError(
                f"there is no bench {name!r}{closest(name, known)}; give a TOML file or one of: {', '.join(known)}"
            )
        text = (resources.files("hwlearn.lab") / "benches" / f"{name}.toml").read_text(encoding="utf-8")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"bench {name} is not valid TOML: {error}") from error
    return name, folder, _overridden(tables, overrides, f"bench {name}")


def checked_section(model: type[SectionT], table: object, section: str, where: str) -> SectionT:
    """Return a table checked against its schema.

    Raises
    ------
    SetupError
        One line: file, key, value, what is allowed, and the closest key if one was mistyped.
    """
    if not isinstance(table, Mapping):
        raise SetupError(f"{where}: {section} must be a table, [{section}]")
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise SetupError(f"{where}: {_first_problem(error, model, section)}") from None


SectionT = TypeVar("SectionT", bound=BaseModel)


def _checked(name: str, folder: Path, tables: Mapping[str, Mapping[str, Any]]) -> BenchFile:
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
    )


def _defaults(section: BaseModel, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the section holds beyond what was written; nothing stands for None in TOML."""
    left = set(type(section).model_fields) - set(table)
    return section.model_dump(mode="json", include=left, exclude_none=True)


def _overridden(
    tables: Mapping[str, Mapping[str, Any]], overrides: Iterable[str] | Mapping[str, Any], where: str
) -> dict[str, dict[str, Any]]:
    changed = {name: dict(table) if isinstance(table, Mapping) else table for name, table in tables.items()}
    if isinstance(overrides, Mapping):
        pairs = list(overrides.items())
    else:
        pairs = [_assignment(text) for text in overrides]
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
        table[name] = value
    return changed


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise SetupError(f"setting {text!r} must read section.key=value, for example train.epochs=10")
    try:
        return key.strip(), tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()  # a bare word or quantity


def _first_problem(error: ValidationError, model: type[BaseModel], section: str) -> str:
    # an unknown key explains a missing one, so it comes first
    problems = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    first = problems[0]
    location = [str(part) for part in first["loc"]]
    if not location:  # a check of the table as a whole
        return f"{section}: {_sentence(first['msg'])}"
    key = ".".join([section, *location[:1]])
    value = first.get("input")
    if first["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return f"unknown key {key} = {value!r}{closest(location[0], known)}; the keys are: {', '.join(known)}"
    if first["type"] == "missing":
        return f"{key} is missing"
    # a union reports each of its branches; what is allowed is all of them together
    same = [item for item in problems if item["loc"][:1] == first["loc"][:1]]
    allowed = "; or ".join(dict.fromkeys(_sentence(item["msg"]) for item in same))
    return f"{key} = {value!r}: {allowed}"


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def closest(word: str, known: Sequence[str]) -> str:
    """Return ``", did you mean 'x'?"`` if a known word is close, else nothing."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
