"""The unknowns of a calibration: their order in the vector that is estimated, and their prior."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Final, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.calibration.estimation.segments import Segments
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError

CONVERTER_BLOCKS: Final = ("dac_gain", "dac_offset", "drive_gain", "drive_offset", "adc_gain", "adc_offset")
"""Input DACs, output-drive DACs, output ADCs: relative gain errors, and offsets in volts."""

MOST_SEGMENTS: Final = 2048
"""Largest number of wire segments with a deviation of their own; more count as equal."""

_CONVERTER_WEIGHT: Final = 0.5
"""Weight of the expected spread of converters, as a number of channels.

The common error of all channels is known only from their spread, and a bench has few channels. With a larger
weight, intervals are too wide or too narrow where the true spread is half or twice the expected one.
"""


@dataclass(frozen=True)
class Unknowns:
    """Order of the unknowns: edge log-gains, edge offsets if any, wires if any, then the converters.

    Attributes
    ----------
    n_edges, n_inputs, n_outputs : int
    edge_offsets : bool
        Whether each edge also has an unknown offset in siemens.
    n_lines, n_segments, n_sources : int
        Number of kinds of lines whose segments have an unknown resistance; of segments that deviate from it; and
        of input sources with an unknown resistance: all if rows have segments, which are in series with them.
    """

    n_edges: int
    n_inputs: int
    n_outputs: int
    edge_offsets: bool = False
    n_lines: int = 0
    n_segments: int = 0
    n_sources: int = 0

    @classmethod
    def of(cls, topology: Topology, edge_offsets: bool = False) -> Self:
        """Return the order of a network's unknowns."""
        segments = Segments.of(topology)
        sizes = (0, 0, 0)
        if segments is not None:
            n_sources = topology.n_inputs if "row" in segments.lines else 0
            count = len(segments.kind)
            sizes = len(segments.lines), count if count <= MOST_SEGMENTS else 0, n_sources
        return cls(topology.n_edges, topology.n_inputs, topology.n_outputs, edge_offsets, *sizes)

    @cached_property
    def blocks(self) -> dict[str, slice]:
        """Slice of each block: ``log_gain``, ``edge_offset``, those of wires, and the `CONVERTER_BLOCKS`.

        Wires of a crossbar are ``log_ohm``, logarithms of the resistances of a segment divided by declared ones;
        ``segment``, the deviation of each segment from it; and ``source``, resistances between the input sources
        and their lines divided by the declared resistance of a row segment.
        """
        sizes = {"log_gain": self.n_edges, "edge_offset": self.n_edges if self.edge_offsets else 0}
        sizes |= {"log_ohm": self.n_lines, "segment": self.n_segments, "source": self.n_sources}
        sizes |= {name: self.n_inputs if name.startswith("dac") else self.n_outputs for name in CONVERTER_BLOCKS}
        ends = np.cumsum(list(sizes.values()))
        return {
            name: slice(int(end - size), int(end)) for (name, size), end in zip(sizes.items(), ends, strict=True)
        }

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return int(self.blocks["adc_offset"].stop)

    @property
    def terminals(self) -> IntArray:
        """Indices of the offsets of all driven terminals: inputs, then driven outputs."""
        places = np.arange(self.size)
        return np.concatenate([places[self.blocks["dac_offset"]], places[self.blocks["drive_offset"]]])

    def take(self, values: FloatArray, block: str) -> FloatArray:
        """Return one block of a vector of unknowns."""
        return values[self.blocks[block]]


@dataclass(frozen=True)
class Spreads:
    """Expected spreads of a bench before it is measured; each is re-estimated from the data.

    Parameters
    ----------
    edges : float
        Standard deviation of the logarithm of an edge's gain.
    converter_gain : float
        Standard deviation of a converter's relative gain error.
    converter_offset_V : float
        Standard deviation of a converter's offset in volts.
    edge_offset_S : float, optional
        Standard deviation of an edge's offset in siemens; None: edges have a gain only.
    wires : float
        Standard deviation of the logarithm of a wire segment's resistance divided by the declared one.
    segments : float
        Standard deviation of the logarithm of the resistance from segment to segment; it may be 0.
    sources : float
        Standard deviation of the resistance of an input's source, divided by that of a declared row segment. It is
        large and not re-estimated: the resistances are known from the readings only, whether sources are ideal or
        not, and the intervals of the wires are correct for both.

    Raises
    ------
    SetupError
        If a spread is not positive and finite.
    """

    edges: float = 0.2
    converter_gain: float = 0.02
    converter_offset_V: float = 5e-3
    edge_offset_S: float | None = None
    wires: float = 1.0
    segments: float = 0.02
    sources: float = 30.0

    def __post_init__(self) -> None:
        for item in fields(self):
            name = item.name
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise SetupError(f"the prior spread {name} is {value}; it must be positive and finite")


@dataclass(frozen=True, eq=False)
class Group:
    """Unknowns that share one spread.

    Attributes
    ----------
    members : ndarray of int
        Their indices in the vector.
    expected : float
        Expected spread.
    weight : float
        Weight of the expected spread, as a number of unknowns.
    may_vanish : bool
        Whether the spread may be 0. The posterior is then averaged over it.
    """

    members: IntArray
    expected: float
    weight: float
    may_vanish: bool = False


@dataclass(frozen=True, eq=False)
class Prior:
    """Gaussian prior of all unknowns, and the groups whose spread is estimated.

    Attributes
    ----------
    mean, sigma : ndarray, shape (P,)
    groups : mapping of str to Group
    dense : (ndarray of int (D,), ndarray (D, D)), optional
        Unknowns with a known covariance, and its inverse; the others are independent.
    """

    mean: FloatArray
    sigma: FloatArray
    groups: dict[str, Group] = field(default_factory=dict)
    dense: tuple[IntArray, FloatArray] | None = None

    def pull(self, unknowns: FloatArray) -> FloatArray:
        """Return precision times distance (P,) from the mean: half the gradient of `cost`."""
        off = unknowns - self.mean
        pulled = off / self.sigma**2
        if self.dense is not None:
            places, precision = self.dense
            pulled[places] = precision @ off[places]
        return np.asarray(pulled)

    def cost(self, unknowns: FloatArray) -> float:
        """Return the squared distance from the mean in units of the prior's uncertainty."""
        return float((unknowns - self.mean) @ self.pull(unknowns))

    @property
    def scaled_precision(self) -> FloatArray:
        """Precision (P, P) in units of the spreads; the identity where unknowns are independent."""
        scaled = np.eye(len(self.sigma))
        if self.dense is not None:
            places, precision = self.dense
            scaled[np.ix_(places, places)] = precision * np.outer(self.sigma[places], self.sigma[places])
        return scaled

    @classmethod
    def of(cls, layout: Unknowns, spreads: Spreads, stuck: BoolArray, stuck_spread: float) -> Self:
        """Return the prior of a bench without any measurement.

        Parameters
        ----------
        layout : Unknowns
        spreads : Spreads
        stuck : ndarray of bool, shape (E,)
            Edges that cannot be programmed; they may have any conductance and do not enter the spread.
        stuck_spread : float
            Standard deviation of the logarithm of a stuck edge's conductance.
        """
        sigma = np.empty(layout.size)
        blocks = layout.blocks
        places = np.arange(layout.size)
        edges = places[blocks["log_gain"]]
        sigma[edges] = np.where(stuck, stuck_spread, spreads.edges)
        gains = np.concatenate([places[blocks[b]] for b in CONVERTER_BLOCKS if b.endswith("gain")])
        offsets = np.concatenate([places[blocks[b]] for b in CONVERTER_BLOCKS if b.endswith("offset")])
        sigma[gains], sigma[offsets] = spreads.converter_gain, spreads.converter_offset_V
        groups = {
            "edges": Group(edges[~stuck], spreads.edges, 1.0),
            "converter_gain": Group(gains, spreads.converter_gain, _CONVERTER_WEIGHT),
            "converter_offset": Group(offsets, spreads.converter_offset_V, _CONVERTER_WEIGHT),
        }
        if layout.edge_offsets:
            if spreads.edge_offset_S is None:
                raise SetupError("edges with an offset need its expected spread; set edge_offset_S")
            shifts = places[blocks["edge_offset"]]
            sigma[shifts] = np.where(stuck, 1e-6 * spreads.edge_offset_S, spreads.edge_offset_S)
            groups["edge_offset"] = Group(shifts[~stuck], spreads.edge_offset_S, 1.0)
        sigma[blocks["log_ohm"]] = spreads.wires
        sigma[blocks["source"]] = spreads.sources
        if layout.n_segments:
            sigma[blocks["segment"]] = spreads.segments
            groups["segments"] = Group(places[blocks["segment"]], spreads.segments, 1.0, may_vanish=True)
        return cls(np.zeros(layout.size), sigma, groups)

    def knowing(self, places: IntArray, mean: FloatArray, sigma: FloatArray) -> Self:
        """Return the prior with some unknowns known independently; they leave their groups."""
        means, sigmas = self.mean.copy(), self.sigma.copy()
        means[places], sigmas[places] = mean, sigma
        groups = {
            name: replace(group, members=np.setdiff1d(group.members, places))
            for name, group in self.groups.items()
        }
        return replace(self, mean=means, sigma=sigmas, groups=groups)

    def knowing_jointly(self, places: IntArray, mean: FloatArray, covariance: FloatArray) -> Self:
        """Return the prior with some unknowns known with a covariance (D, D).

        Raises
        ------
        SetupError
            If the matrix is not a covariance.
        """
        sigma = np.sqrt(np.diagonal(covariance))
        try:
            if not (np.isfinite(sigma).all() and (sigma > 0).all()):
                raise np.linalg.LinAlgError
            scaled = np.linalg.cholesky(covariance / np.outer(sigma, sigma))
        except np.linalg.LinAlgError:
            raise SetupError("the converters' covariance is not positive definite; calibrate them again") from None
        root = np.linalg.inv(scaled)
        precision = (root.T @ root) / np.outer(sigma, sigma)
        return replace(self.knowing(places, mean, sigma), dense=(places, precision))

    def with_spread(self, name: str, spread: float) -> Self:
        """Return the prior with another spread of one group."""
        sigma = self.sigma.copy()
        sigma[self.groups[name].members] = spread
        return replace(self, sigma=sigma)

    def spread(self, name: str) -> float:
        """Return the current spread of one group; NaN if it is empty."""
        members = self.groups[name].members
        return float(self.sigma[members[0]]) if members.size else float("nan")
