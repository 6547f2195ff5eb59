"""What an instrument's channel does to its node: drive a voltage, drive a current, or nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwlearn.errors import CircuitError


@dataclass(frozen=True, slots=True)
class VoltageSource:
    """Holds its node at ``volts`` as long as that takes no more than ``limit_A``; beyond, a current source.

    Raises
    ------
    CircuitError
        If a value is not finite, or the limit is not positive.
    """

    volts: float
    limit_A: float

    def __post_init__(self) -> None:
        _check(self.volts, self.limit_A, "volts", "limit_A")


@dataclass(frozen=True, slots=True)
class CurrentSource:
    """Pushes ``amperes`` into its node as long as that stays within ``limit_V``; beyond, a voltage source.

    Raises
    ------
    CircuitError
        If a value is not finite, or the limit is not positive.
    """

    amperes: float
    limit_V: float

    def __post_init__(self) -> None:
        _check(self.amperes, self.limit_V, "amperes", "limit_V")


@dataclass(frozen=True, slots=True)
class Open:
    """Touches nothing: the relay is open."""


Source = VoltageSource | CurrentSource | Open


@dataclass(frozen=True, slots=True)
class LoadLine:
    """The current that all sources of one node together deliver, falling in steps as its voltage rises.

    Between two kinks the current is constant; at a kink the voltage is held and the current may take any
    value between the two neighbouring steps. State ``2 j`` is the step below kink ``j``, state ``2 j + 1``
    the kink itself.

    Attributes
    ----------
    kinks : tuple of float
        Rising volts.
    steps : tuple of float
        Falling amperes, one more than kinks; the first may be infinite, the last minus infinity.
    """

    kinks: tuple[float, ...]
    steps: tuple[float, ...]

    @classmethod
    def of(cls, sources: Sequence[Source]) -> LoadLine:
        """Add up the sources of one node."""
        jumps: dict[float, float] = {}
        top, low, high = 0.0, -math.inf, math.inf
        for source in sources:
            if isinstance(source, VoltageSource):
                jumps[source.volts] = jumps.get(source.volts, 0.0) + 2 * source.limit_A
                top += source.limit_A
            elif isinstance(source, CurrentSource):
                low, high = max(low, -source.limit_V), min(high, source.limit_V)
                top += source.amperes
        # a current source's voltage limit is a wall: kinks on or beyond it are never reached
        top -= sum(jump for volts, jump in jumps.items() if volts <= low)
        kinks, steps = [], [top]
        for volts in sorted(volts for volts in jumps if low < volts < high):
            kinks.append(volts)
            steps.append(steps[-1] - jumps[volts])
        if math.isfinite(high):
            kinks, steps = [low, *kinks, high], [math.inf, *steps, -math.inf]
        return cls(tuple(kinks), tuple(steps))

    @property
    def likely(self) -> int:
        """The state of sources that are within their limits."""
        drops = [high - low for high, low in zip(self.steps, self.steps[1:], strict=False)]
        inside = [(drop, j) for j, drop in enumerate(drops) if math.isfinite(drop)]
        if inside:
            return 2 * max(inside)[1] + 1
        return 2 if self.kinks else 0


@dataclass(frozen=True, slots=True)
class SourceOperatingPoint:
    """Where one channel has come to rest.

    Attributes
    ----------
    volts, amperes : float
        Of its node against ground, and out of the channel into the node.
    limited : bool
        Whether the source has reached its limit and swapped roles.
    """

    volts: float
    amperes: float
    limited: bool


def shared(
    sources: Sequence[Source], stairs: LoadLine, state: int, volts: float, amperes: float
) -> list[SourceOperatingPoint]:
    """Divide a node's current among its sources.

    Voltage sources that hold the node together share its current in proportion to their limits; current
    sources at one and the same voltage limit share what is left equally.

    Parameters
    ----------
    sources : sequence of Source
        All channels of the node.
    stairs : LoadLine
        Their sum.
    state : int
        Its state, as `LoadLine` numbers them.
    volts, amperes : float
        Of the node.
    """
    index, held = divmod(state, 2)
    above = stairs.kinks[index] if index < len(stairs.kinks) else math.inf
    given = [_driven(source, above) for source in sources]
    limited = [isinstance(source, VoltageSource) for source in sources]
    if held:
        limits = [s.limit_A if isinstance(s, VoltageSource) and s.volts == above else 0.0 for s in sources]
        given = [0.0 if limit else amps for amps, limit in zip(given, limits, strict=True)]
        walled = [isinstance(s, CurrentSource) and s.limit_V == abs(above) for s in sources]
        span, rest = sum(limits), amperes - sum(given)
        if span > 0:
            part = min(max(rest / span, -1.0), 1.0) if any(walled) else rest / span
            given = [amps + part * limit for amps, limit in zip(given, limits, strict=True)]
            rest -= part * span
        if any(walled):
            given = [amps + rest / sum(walled) * wall for amps, wall in zip(given, walled, strict=True)]
        limited = [
            wall if isinstance(s, CurrentSource) else isinstance(s, VoltageSource) and limit == 0
            for s, limit, wall in zip(sources, limits, walled, strict=True)
        ]
    return [SourceOperatingPoint(volts, amps, trip) for amps, trip in zip(given, limited, strict=True)]


def _driven(source: Source, above: float) -> float:
    """Return what a source delivers at a voltage just below the kink ``above``."""
    if isinstance(source, CurrentSource):
        return source.amperes
    if isinstance(source, VoltageSource):
        return source.limit_A if source.volts >= above else -source.limit_A
    return 0.0


def _check(value: float, limit: float, value_name: str, limit_name: str) -> None:
    if not math.isfinite(value):
        raise CircuitError(f"{value_name} of a source is {value}; it must be a finite number")
    if not (math.isfinite(limit) and limit > 0):
        raise CircuitError(f"{limit_name} of a source is {limit}; it must be positive and finite")
