"""Load a data set, encode its features as input voltages, and split its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import DataError
from hwlearn.lab.bench_file.sections import SHIPPED_DATA, DataSection
from hwlearn.lab.data.distortion import Distortion
from hwlearn.lab.data.features import Features, Selection
from hwlearn.lab.data.files import read_csv, read_npz
from hwlearn.lab.data.jitter import Jitter
from hwlearn.lab.data.pairs import pairs_text, read_pairs
from hwlearn.lab.data.reach import check_differences, check_inputs, check_targets
from hwlearn.lab.data.scaling import OutputScale
from hwlearn.lab.data.thresholds import thresholded
from hwlearn.learning.output_pairs import OutputPairs
from hwlearn.network.limits import Limits
from hwlearn.storage.text_file import is_file
from hwlearn.tables import Stated

IRIS_RANGES = [[4.3, 7.9], [2.0, 4.4], [1.0, 6.9], [0.1, 2.5]]
TABLES: dict[str, tuple[str | None, list[str | int] | None, list[list[float]] | None]] = {
    "iris": ("species", None, IRIS_RANGES),
    "ionosphere": ("Class", None, [[-1.0, 1.0]]),
    "xor": (None, ["difference"], None),
}
"""Tables that come with the package: column of the class, columns of targets, ranges of the features."""


@dataclass(frozen=True, eq=False)
class Data:
    """A data set with encoded inputs and its split into training, validation and test rows.

    Attributes
    ----------
    inputs : ndarray, shape (S, n_in)
        Volts.
    targets : ndarray
        Class numbers (S,) or volts (S, n_out), with pairs of outputs volts of their differences (S, P).
    classes : tuple of str
        Names of the classes; empty if the targets are volts.
    train, validation, test : ndarray of int
        Row numbers: rows to train on, rows that choose the best epoch, and rows that only the final score uses.
        The last two are empty unless the bench file sets fractions for them.
    jitter : Jitter or None
        Noise and distortions of the inputs in training.
    scale : OutputScale or None
        Scale of the targets, for reports in the user's own unit.
    understood : tuple of str
        How the data was read, in a few lines for a person: dialect, columns, classes, scale, pairs.
    pairs : OutputPairs or None
        Pairs of outputs whose differences are scored; None if each output is scored by itself.
    """

    inputs: FloatArray
    targets: FloatArray | IntArray
    classes: tuple[str, ...]
    train: IntArray
    validation: IntArray
    test: IntArray
    jitter: Jitter | None = None
    scale: OutputScale | None = None
    understood: tuple[str, ...] = ()
    pairs: OutputPairs | None = None

    @property
    def classifies(self) -> bool:
        """Whether the targets are class numbers."""
        return bool(self.classes)


def load_data(section: DataSection, folder: Path, topology: Topology, limits: Limits) -> Data:
    """Read, encode and split the data of a bench.

    Parameters
    ----------
    section : DataSection
        The ``[data]`` table of the bench file.
    folder : Path
        Folder from which relative paths start.
    topology : Topology
        The number of encoded columns must equal its number of inputs.
    limits : Limits
        Every encoded input is checked against these.

    Raises
    ------
    DataError
        If the file is missing or can be read in two ways, a cell is not a number, the columns or the pairs of
        outputs do not fit the network, a target is beyond what the network can give, or a fraction of the rows is
        no row.
    LimitError
        If an encoded input lies outside the limits.
    """
    _refuse_unused(section)
    pairs = read_pairs(section.output_pairs, topology)
    features = (
        _teacher(section, topology, limits, pairs) if section.source == "teacher" else _read(section, folder)
    )
    inputs = encode(features.values, section, features.ranges)
    if inputs.shape[1] != topology.n_inputs:
        raise DataError(
            f"data {section.source}: {features.values.shape[1]} features make {inputs.shape[1]} input voltages "
            f"({section.encoding} encoding{f', {len(section.negated)} negated' if section.negated else ''}"
            f"{', two bias rails' if section.bias else ''}), but the network has "
            f"{topology.n_inputs} inputs; change network.inputs, data.encoding or the columns"
        )
    check_inputs(limits, topology, inputs)
    targets, scale = _targets(section, features)
    if not features.classes:
        if pairs is None:
            check_targets(limits, topology, inputs, targets, features.lines)
        else:
            check_differences(topology, inputs, targets, pairs, features.lines)
    classes, seed = bool(features.classes), section.split_seed
    if section.test_fraction + section.validation_fraction >= 1:
        raise DataError(
            "data.test_fraction + data.validation_fraction leaves no sample to train on; it must be below 1"
        )
    rest, test = split(targets, classes, section.test_fraction, seed)
    share = section.validation_fraction / (1 - section.test_fraction)
    train, validation = (rest[rows] for rows in split(targets[rest], classes, share, seed))
    for key, rows in (("test_fraction", test), ("validation_fraction", validation)):
        fraction = section.test_fraction if key == "test_fraction" else section.validation_fraction
        if fraction and not len(rows):
            raise DataError(
                f"data.{key} = {fraction:g} of {len(targets)} samples{' in each class' if classes else ''} "
                "rounds to no sample; use a larger fraction, or 0"
            )
    jitter = _jitter(section, features) if section.jitter or section.distortion else None
    understood = (*features.understood, *_more_understood(features, scale, pairs, topology))
    return Data(inputs, targets, features.classes, train, validation, test, jitter, scale, understood, pairs)


def _targets(section: DataSection, features: Features) -> tuple[FloatArray | IntArray, OutputScale | None]:
    """Return the targets in volts, or class numbers, and the scale of the volts."""
    scaling = section.target_scaling
    if scaling is None:
        return features.targets, None
    if features.classes:
        raise DataError("data.target_scaling is for targets that are numbers, but the data has classes")
    unit = features.target_unit if scaling.unit is None else scaling.unit
    targets = np.asarray(features.targets, dtype=np.float64)
    scale = OutputScale.of(scaling.range, scaling.volts, unit, targets)
    return scale.volts(targets), scale


def _more_understood(
    features: Features, scale: OutputScale | None, pairs: OutputPairs | None, topology: Topology
) -> list[str]:
    """Return what a person should know about classes and scale of a file, and about pairs of outputs."""
    lines = [] if scale is None else [f"target scaling: {scale}"]
    if features.classes and features.understood:
        names = ", ".join(features.classes[:12]) + (", ..." if len(features.classes) > 12 else "")
        place = "outputs" if pairs is None else "pairs of outputs"
        lines.append(f"classes {names} are {place} 0 to {len(features.classes) - 1}")
    if pairs is not None:
        lines.append(pairs_text(pairs, topology))
    return lines


def encode(
    values: FloatArray, section: DataSection, ranges: Sequence[Sequence[float]] | None = None
) -> FloatArray:
    """Return the input voltages (S, n_in) that encode some features.

    Encoding ``plain`` uses the numbers as volts. ``scaled`` maps the range of each feature to plus and minus the
    amplitude. ``differential`` does the same and appends the negatives of all features; with ``plain`` and
    ``scaled``, the negatives of the features listed in ``negated`` are appended. ``thresholds`` uses two voltages
    only, see `thresholded`. The last two columns are the bias rails of plus and minus ``bias`` volts, if set.

    Parameters
    ----------
    values : ndarray, shape (S, F)
        Features.
    section : DataSection
    ranges : sequence of [low, high], optional
        Range of each feature, or one for all, unless ``section.ranges`` gives it; the extremes of the data
        if neither does.

    Raises
    ------
    DataError
        If the amplitude is missing, the ranges do not fit the features, ``negated`` lists a feature that does not
        exist or the same one twice, or ``negated`` is used with ``differential``.
    """
    columns = [values]
    if section.thresholds is not None and section.encoding != "thresholds":
        raise DataError("data.thresholds is for data.encoding = 'thresholds'; remove one of them")
    if section.encoding != "plain":
        if section.amplitude is None:
            raise DataError(f"data.encoding = {section.encoding!r} needs data.amplitude in volts")
        low, high = _ranges(values, section.ranges or ranges)
        if section.encoding == "thresholds":
            return thresholded((values - low) / (high - low), section)
        # amplitude * (2 * (values - low) / (high - low) - 1) in one array: the data may fill half of the memory
        scaled = values - low
        scaled *= 2
        scaled /= high - low
        scaled -= 1
        scaled *= section.amplitude
        columns = [scaled] if section.encoding == "scaled" else [scaled, -scaled]
    negated = _negated(section, values.shape[1])
    if not negated and section.bias is None and len(columns) == 1:
        return columns[0]
    columns.append(-columns[0][:, negated])
    if section.bias is not None:
        rail = np.full((len(values), 1), section.bias)
        columns += [rail, -rail]
    return np.concatenate(columns, axis=1)


def split(targets: FloatArray | IntArray, classes: bool, fraction: float, seed: int) -> tuple[IntArray, IntArray]:
    """Return training rows and held-out rows; the same fraction of each class is held out."""
    rng = np.random.default_rng(seed)
    n = len(targets)
    groups = [np.flatnonzero(targets == c) for c in np.unique(targets)] if classes else [np.arange(n)]
    held = [rng.permutation(group)[: round(fraction * len(group))] for group in groups]
    test = np.sort(np.concatenate(held)).astype(np.int64)
    train = np.setdiff1d(np.arange(n), test)
    if not len(train):
        raise DataError(f"holding out {fraction:.3g} of {n} samples leaves none to train on")
    return train, test


def _jitter(section: DataSection, features: Features) -> Jitter:
    """Return the noise of the encoded features; the section has passed `encode`."""
    n = features.values.shape[1]
    if section.encoding == "plain" or section.amplitude is None:
        low, high = _ranges(features.values, section.ranges or features.ranges)
    else:
        low, high = np.full(n, -section.amplitude), np.full(n, section.amplitude)
    negated = range(n) if section.encoding == "differential" else section.negated
    sigma, distortion = section.jitter * (high - low), _distortion(section, n)
    return Jitter(sigma, low, high, np.array(negated, dtype=np.int64), distortion)


def _distortion(section: DataSection, features: int) -> Distortion | None:
    """Return the distortion of the features as images."""
    table = section.distortion
    if table is None:
        return None
    rows, columns = table.image
    if rows * columns != features:
        raise DataError(
            f"data.distortion.image = {table.image} has {rows * columns} pixels, but the data has {features} "
            "features; give its rows and columns"
        )
    return Distortion(rows, columns, table.shift, table.turn, table.stretch, table.slant)


def _ranges(values: FloatArray, ranges: Sequence[Sequence[float]] | None) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper ends (F,) of the range of each feature."""
    if ranges is None:
        low, high = values.min(axis=0), values.max(axis=0)
        # a constant feature is encoded as 0 V, the middle of its range
        flat = high == low
        # the middle of 0 and twice the value is exact, also for tiny values
        half = np.where(low == 0, 1.0, np.abs(low))
        return np.where(flat, low - half, low), np.where(flat, high + half, high)
    pairs = list(ranges) * (values.shape[1] if len(ranges) == 1 else 1)
    if len(pairs) != values.shape[1] or any(len(pair) != 2 or not pair[0] < pair[1] for pair in pairs):
        raise DataError(
            f"data.ranges must be one rising pair [low, high], or one for each of the {values.shape[1]} features"
        )
    table = np.array(pairs, dtype=np.float64)
    return table[:, 0], table[:, 1]


def _negated(section: DataSection, features: int) -> list[int]:
    """Return the features listed in ``negated``, checked."""
    chosen = section.negated
    if chosen and section.encoding == "differential":
        raise DataError(
            "data.negated is for the encodings 'plain' and 'scaled'; 'differential' negates every feature"
        )
    if len(set(chosen)) != len(chosen) or not set(chosen) <= set(range(features)):
        raise DataError(f"data.negated = {chosen}: it may list features 0 to {features - 1}, each at most once")
    return chosen


def _teacher(section: DataSection, topology: Topology, limits: Limits, pairs: OutputPairs | None) -> Features:
    """Return random inputs, and as targets what the same network gives with other, random values."""
    if section.amplitude is None:
        raise DataError("data.source = 'teacher' needs data.amplitude in volts")
    rng = np.random.default_rng(section.seed)
    g = _inside(limits.ranges(topology)).drawn(rng)
    x = rng.uniform(-section.amplitude, section.amplitude, (section.samples, topology.n_inputs))
    outputs = Kirchhoff(topology, g).solve(x)[:, topology.outputs]
    return Features(x, outputs if pairs is None else pairs.differences(outputs))


def _inside(ranges: ValueRanges) -> ValueRanges:
    """Return narrower ranges, so that devices with errors can reach the targets of a teacher too.

    An octave at both ends of ranges on a logarithmic scale, if they are wide enough; else a tenth.
    """
    low, high = ranges.low, ranges.high
    octave = np.logical_and(ranges.is_log, np.greater(high, 4 * low))
    tenth = np.where(ranges.is_log, 0.0, 0.1 * ranges.span)
    if octave.ndim == 0 and ranges.is_log is True:
        return replace(ranges, low=2 * low, high=high / 2) if octave else ranges
    return replace(
        ranges, low=np.where(octave, 2 * low, low + tenth), high=np.where(octave, high / 2, high - tenth)
    )


def _refuse_unused(section: DataSection) -> None:
    """Refuse keys that the source does not use: nothing that a person states is ignored."""
    unused: tuple[str, ...] = ()
    if section.source in SHIPPED_DATA:
        unused = ("label_column", "target_columns", "header", "delimiter", "decimal", "columns", "drop")
    elif section.source.lower().endswith(".npz"):
        unused = ("label_column", "target_columns", "header", "delimiter", "decimal")
    fields = DataSection.model_fields
    for key in unused:
        if getattr(section, key) != fields[key].get_default(call_default_factory=True):
            what = "tables in text files" if section.source.lower().endswith(".npz") else "data files"
            raise DataError(f"data.{key} is for {what}, but data.source = {section.source!r}; remove the key")


def _read(section: DataSection, folder: Path) -> Features:
    """Return the features of a data file, or of a data set that comes with the package."""
    if section.source in TABLES:
        label, targets, ranges = TABLES[section.source]
        with resources.as_file(resources.files("hwlearn.lab") / "datasets" / f"{section.source}.csv") as file:
            features = read_csv(file, label, targets)
        return Features(features.values, features.targets, features.classes, ranges)
    if section.source == "digits":
        path = resources.files("hwlearn.lab") / "datasets" / "digits.npz"
        with resources.as_file(path) as file:
            features = read_npz(file)
        return Features(features.values, features.targets, features.classes, [[0.0, 16.0]])
    path = folder / section.source
    if not is_file(path):
        raise DataError(
            f"there is no data file {path}; give a .csv or .npz file, or one of: {', '.join(SHIPPED_DATA)}"
        )
    selection = Selection(
        section.columns, section.drop, _stated(section), section.encoding == "plain", bool(section.target_scaling)
    )
    if path.suffix.lower() == ".npz":
        return read_npz(path, selection)
    return read_csv(path, section.label_column, section.target_columns, selection)


def _stated(section: DataSection) -> Stated:
    """Return what ``[data]`` states about the dialect of a table."""
    delimiter = {"auto": None, "tab": "\t", "whitespace": " "}.get(section.delimiter, section.delimiter)
    decimal = None if section.decimal == "auto" else section.decimal
    return Stated(None if section.header == "auto" else section.header, delimiter, decimal, "data.")
