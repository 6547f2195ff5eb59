"""Schema of a bench file: the keys of each table, and errors that name key, value and allowed values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwlearn.errors import SetupError
from hwlearn.lab.bench_file.problems import first_problem
from hwlearn.network.limits import Limits
from hwlearn.quantities import (
    Amperes,
    Count,
    PositiveSiemens,
    PositiveVolts,
    Seconds,
    Section,
    Seed,
    Siemens,
    Volts,
)

SHIPPED_DATA = ("iris", "digits", "ionosphere", "xor", "teacher")
SectionT = TypeVar("SectionT", bound=BaseModel)
Fraction = Annotated[float, Field(gt=0, le=1)]


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


class DistortionTable(Section):
    """``distortion``: small random distortions of images in training; see `hwlearn.lab.data.Distortion`."""

    image: Annotated[list[Count], Field(min_length=2, max_length=2)]
    shift: Annotated[float, Field(ge=0, le=100)] = 0.0
    turn: Annotated[float, Field(ge=0, le=180)] = 0.0
    stretch: Annotated[float, Field(ge=0, lt=1)] = 0.0
    slant: Annotated[float, Field(ge=0, le=1)] = 0.0


class DataSection(Section):
    """``[data]``: the source of the samples and the encoding of features as voltages."""

    source: str
    encoding: Literal["plain", "scaled", "differential", "thresholds"] = "plain"
    thresholds: Count | None = None
    amplitude: PositiveVolts | None = None
    negated: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list)
    bias: PositiveVolts | None = None
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    distortion: DistortionTable | None = None
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
    """``[run]``: what a run keeps of each step, and whether it survives a power cut."""

    keep: Literal["all", "outputs", "summary"] = "all"
    conductances: Literal["auto", "steps", "epochs"] = "auto"
    synchronous: Literal["auto", "normal", "full"] = "auto"


class SafetySection(Section):
    """``[safety]``: what protects the sample if the program is killed."""

    guardian: bool = False
    guardian_timeout: Annotated[Seconds, Field(ge=0.5, le=60)] = 1.0


class BackendSection(BaseModel):
    """``[backend]``: the kind of backend. The other keys are settings of that backend."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="allow")

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
