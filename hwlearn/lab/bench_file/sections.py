"""Schema of a bench file: the keys of each table, and errors that name key, value and allowed values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwlearn.circuit.elements import AnyElement
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError, TopologyError
from hwlearn.lab.bench_file.elements import DiodeTable, ElementTable, PlacedElement
from hwlearn.lab.bench_file.problems import first_problem
from hwlearn.network.limits import Limits
from hwlearn.quantities import (
    Amperes,
    Count,
    NonNegativeOhms,
    PositiveSiemens,
    PositiveVolts,
    Seconds,
    Section,
    Seed,
    Siemens,
    Volts,
)

if TYPE_CHECKING:
    from hwlearn.circuit.spice import Netlist

MOST_EDGES = 10_000_000
"""Largest number of nodes or edges of a graph; more fit into no memory."""
SHIPPED_DATA = ("iris", "digits", "ionosphere", "xor", "teacher")
SectionT = TypeVar("SectionT", bound=BaseModel)
Fraction = Annotated[float, Field(gt=0, le=1)]


class NetworkSection(Section, ABC):
    """``[network]``: the graph, and the elements of its programmable edges."""

    kind: str
    element: ElementTable | None = None
    elements: list[PlacedElement] = Field(default_factory=list)

    def build(self, folder: Path) -> Topology:
        """Return the topology with its elements; relative file names start at ``folder``."""
        self._check_size()
        graph = self.graph(folder)
        if self.elements:
            return graph.with_elements(self._placed_elements(graph))
        return graph if self.element is None else graph.with_elements(self.element.build())

    def _placed_elements(self, graph: Topology) -> list[AnyElement]:
        """Return the element of each edge: that of ``elements``, and ``element`` on the others."""
        found: list[AnyElement] = list(graph.edge_elements)
        if self.element is not None:
            found = [self.element.build()] * graph.n_edges
        placed: set[int] = set()
        for one in self.elements:
            element = one.element.build()
            for k in one.edges:
                if k >= graph.n_edges:
                    raise SetupError(
                        f"network.elements names edge {k}, but the edges are 0 to {graph.n_edges - 1}"
                    )
                if k in placed:
                    raise SetupError(f"network.elements gives edge {k} two elements; give one")
                placed.add(k)
                found[k] = element
        return found

    @abstractmethod
    def graph(self, folder: Path) -> Topology:
        """Return the topology with resistors as programmable edges."""

    def notes(self, folder: Path) -> tuple[str, ...]:
        """Return what a person should know about how the graph was read, in a few lines."""
        return ()

    def _check_size(self) -> None:
        """Refuse a graph that fits into no memory, before it is built."""
        sizes = self._sizes()
        for what, number in sizes.items():
            if number > MOST_EDGES:
                raise TopologyError(f"{what}: {number:.3g} nodes or edges; at most {MOST_EDGES} are allowed")

    def _sizes(self) -> dict[str, float]:
        """Return numbers of nodes or edges that follow from the keys, with what to name in an error."""
        return {}


class CrossbarNetwork(NetworkSection):
    """A crossbar. Inputs and ground are rows, outputs are columns.

    ``wire_resistance`` is that of one segment of wire, or of one row segment and one column segment.
    """

    kind: Literal["crossbar"]
    rows: Count
    columns: Count
    inputs: list[int] | None = None
    outputs: list[int] | None = None
    ground: int | None = None
    wire_resistance: NonNegativeOhms | Annotated[list[NonNegativeOhms], Field(min_length=2, max_length=2)] = 0.0

    def _sizes(self) -> dict[str, float]:
        return {f"rows = {self.rows:g} and columns = {self.columns:g}": self.rows * self.columns}

    def graph(self, folder: Path) -> Topology:
        """Return the crossbar."""
        ohms = self.wire_resistance
        return Topology.crossbar(
            self.rows, self.columns, self.inputs, self.outputs, self.ground, wire_resistance=ohms
        )


class GridNetwork(NetworkSection):
    """A square lattice. The node in row r and column c has the number ``r * columns + c``."""

    kind: Literal["grid"]
    rows: Count
    columns: Count
    inputs: list[int] | None = None
    outputs: list[int] | None = None
    ground: int | None = None

    def _sizes(self) -> dict[str, float]:
        return {f"rows = {self.rows:g} and columns = {self.columns:g}": 2 * self.rows * self.columns}

    def graph(self, folder: Path) -> Topology:
        """Return the lattice."""
        return Topology.grid(self.rows, self.columns, self.inputs, self.outputs, self.ground)


class LayeredNetwork(NetworkSection):
    """Layers of nodes; each node is connected to every node of the next layer."""

    kind: Literal["layered"]
    sizes: list[int]
    ground: int | None = None
    rectifiers: DiodeTable | None = None

    def _sizes(self) -> dict[str, float]:
        return {f"sizes = {self.sizes}": max(sum(self.sizes), sum(a * b for a, b in pairwise(self.sizes)))}

    def graph(self, folder: Path) -> Topology:
        """Return the layers."""
        diode = self.rectifiers
        if diode is None:
            return Topology.layered(self.sizes, self.ground)
        return Topology.layered(self.sizes, self.ground, diode.build(), diode.conductance)


class RandomNetwork(NetworkSection):
    """A random connected graph. A number of inputs means the first nodes, a number of outputs the last."""

    kind: Literal["random"]
    nodes: Count
    edges: Count
    inputs: int | list[int]
    outputs: int | list[int]
    ground: int | None = None
    seed: Seed = 0

    def _sizes(self) -> dict[str, float]:
        return {f"nodes = {self.nodes:g}": self.nodes, f"edges = {self.edges:g}": self.edges}

    def graph(self, folder: Path) -> Topology:
        """Return the random graph; equal seeds give equal graphs."""
        return Topology.random(self.nodes, self.edges, self.inputs, self.outputs, self.ground, seed=self.seed)


class EdgesNetwork(NetworkSection):
    """A graph given by its edges."""

    kind: Literal["edges"]
    nodes: Count
    edges: list[list[int]]
    inputs: list[int]
    outputs: list[int]
    ground: int | None = None
    names: list[str] | None = None
    diodes: list[list[int]] = Field(default_factory=list)
    diode: DiodeTable | None = None

    def _sizes(self) -> dict[str, float]:
        return {f"nodes = {self.nodes:g}": self.nodes}

    def graph(self, folder: Path) -> Topology:
        """Return the graph."""
        if bool(self.diodes) != (self.diode is not None):
            raise SetupError(
                "network.diodes (pairs of nodes) and network.diode (their element): give both or neither"
            )
        return Topology(
            self.nodes,
            self.edges,
            self.inputs,
            self.outputs,
            self.ground,
            names=self.names,
            fixed_edges=self.diodes,
            fixed_conductances=[] if self.diode is None else [self.diode.conductance] * len(self.diodes),
            fixed_elements=None if self.diode is None else self.diode.build(),
        )


class SpiceNetwork(NetworkSection):
    """The graph of a SPICE netlist."""

    kind: Literal["spice"]
    file: str
    inputs: list[str] | None = None
    outputs: list[str] | None = None

    def graph(self, folder: Path) -> Topology:
        """Read the netlist."""
        return self._read(folder).topology

    def notes(self, folder: Path) -> tuple[str, ...]:
        """Return what of the netlist is ignored, or is read in another way by other programs."""
        return self._read(folder).notes

    def _read(self, folder: Path) -> Netlist:
        from hwlearn.circuit.spice import read_spice  # takes long to import; ``hwlearn off`` does not need it

        return read_spice(folder / self.file, inputs=self.inputs, outputs=self.outputs)


NETWORKS: dict[str, type[NetworkSection]] = {
    "crossbar": CrossbarNetwork,
    "grid": GridNetwork,
    "layered": LayeredNetwork,
    "random": RandomNetwork,
    "edges": EdgesNetwork,
    "spice": SpiceNetwork,
}


class LimitsSection(Section):
    """``[limits]``: hard limits of the bench."""

    voltage: Volts
    drop: Volts
    nudge: Volts
    current: Amperes
    conductance: Annotated[list[Siemens], Field(min_length=2, max_length=2)] | None = None
    gate_voltage: Annotated[list[Volts], Field(min_length=2, max_length=2)] | None = None

    def build(self) -> Limits:
        """Return the limits."""
        values = {} if self.gate_voltage is None else {"gate voltage": self.gate_voltage}
        return Limits(self.voltage, self.drop, self.nudge, self.current, self.conductance, values=values)


class TargetScaling(Section):
    """``target_scaling``: two numbers in the user's unit, and the volts that stand for them."""

    volts: Annotated[list[Volts], Field(min_length=2, max_length=2)]
    range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    unit: str | None = None


OutputPair = Annotated[list[int | str], Field(min_length=2, max_length=2)]
"""``[plus, minus]``: outputs by number, or by the name of their nodes."""


class DataSection(Section):
    """``[data]``: the source of the samples and the encoding of features as voltages."""

    source: str
    encoding: Literal["plain", "scaled", "differential", "thresholds"] = "plain"
    thresholds: Count | None = None
    amplitude: PositiveVolts | None = None
    negated: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    bias: PositiveVolts | None = None
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    ranges: list[list[float]] | None = None
    header: Literal["auto"] | bool = "auto"
    delimiter: Literal["auto", ",", ";", "tab", "\t", "whitespace"] = "auto"
    decimal: Literal["auto", ".", ","] = "auto"
    columns: list[str | int] | None = None
    drop: list[str | int] = Field(default_factory=list)
    label_column: str | int | None = None
    target_columns: list[str | int] | None = None
    target_scaling: TargetScaling | None = None
    output_pairs: Literal["consecutive"] | list[OutputPair] | None = None
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    split_seed: Seed = 0
    samples: Annotated[int, Field(ge=1, le=10_000_000)] = 8
    seed: Seed = 0


class TrainSection(Section):
    """``[train]``: rule, cost, optimizer and schedule."""

    rule: Literal["gep", "analytic", "spsa"] = "gep"
    nudge: Literal["clamp", "current", "resistor"] = "clamp"
    strength: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    kappa: PositiveSiemens = 1e-4
    order: float | None = None
    metric: Literal["identity", "impedance"] = "identity"
    symmetric: bool = True
    overclamp: Annotated[float, Field(ge=1)] = 1.0
    readout: Literal["outputs", "nodes", "edges"] = "outputs"
    nudged: Literal["measured", "computed"] = "measured"
    model: Literal["declared", "without-wires"] = "declared"
    model_error: Annotated[float, Field(ge=0)] = 0.2
    perturbation: Annotated[float, Field(gt=0, le=0.5)] = 0.02
    repeats: Count = 1
    cost: Literal["auto", "mse", "cross-entropy", "hinge"] = "auto"
    temperature: PositiveVolts = 0.015
    margin: PositiveVolts = 0.02
    target: PositiveVolts = 0.05
    power_weight: Annotated[float, Field(ge=0)] = 0.0
    optimizer: Literal["adam", "sgd", "momentum", "sign", "potentiometer"] = "adam"
    rate: Annotated[float, Field(gt=0)] = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    positions: Annotated[int, Field(ge=2, le=65536)] = 128
    scale: Literal["linear", "log", "resistance"] = "log"
    decay: Annotated[float, Field(ge=0)] = 0.0
    epochs: Annotated[int, Field(ge=0)] = 60
    batch: Count | None = None
    anneal: Annotated[float, Field(ge=0, le=1)] = 0.05
    patience: Count | None = None
    keep: Literal["best", "last"] = "last"
    subset: Fraction | list[int] | None = None
    subset_kind: Literal["random", "sensitive"] = "sensitive"
    health: Literal["warn", "stop", "off"] = "warn"
    health_every: Annotated[int, Field(ge=0)] = 10
    initial: Literal["middle", "random"] | Annotated[list[Volts], Field(min_length=2, max_length=2)] = "middle"
    seed: Seed = 0


class CalibrationSection(Section):
    """``[calibration]``: the record that corrects readings, inputs and conductances."""

    file: str | None = None
    most_age_days: Annotated[float, Field(gt=0)] = 30.0


class RunSection(Section):
    """``[run]``: what a run keeps of each step."""

    keep: Literal["all", "outputs", "summary"] = "all"
    conductances: Literal["auto", "steps", "epochs"] = "auto"


class SafetySection(Section):
    """``[safety]``: what protects the sample if the program is killed."""

    guardian: bool = False
    guardian_timeout: Annotated[Seconds, Field(ge=0.5, le=60)] = 1.0


class BackendSection(BaseModel):
    """``[backend]``: the kind of backend. The other keys are settings of that backend."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str


def checked_section(model: type[SectionT], table: object, section: str, where: str) -> SectionT:
    """Return a table checked against its schema.

    Raises
    ------
    SetupError
        Names the file, the key, the value and the allowed values, and suggests the closest key.
    """
    if not isinstance(table, Mapping):
        raise SetupError(f"{where}: {section} must be a table, [{section}]")
    key = _too_large(table, section)
    if key is not None:
        raise SetupError(f"{where}: {key} is a whole number of more than 64 bits, which TOML does not have")
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise SetupError(f"{where}: {first_problem(error, model, table, section)}") from None


def _too_large(value: object, key: str) -> str | None:
    """Return the key of the first whole number of more than 64 bits, in a table or list; None if there is none."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return key
    inner: Iterable[tuple[str, object]] = ()
    if isinstance(value, Mapping):
        inner = ((f"{key}.{name}", item) for name, item in value.items())
    elif isinstance(value, list | tuple):
        inner = ((f"{key}[{k}]", item) for k, item in enumerate(value))
    return next((found for name, item in inner if (found := _too_large(item, name)) is not None), None)
