"""Sources at a node of the analog plane: a voltage source, a current source, or an open relay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwlearn.errors import CircuitError


@dataclass(frozen=True, slots=True)
class VoltageSource:
    """Voltage source with a current limit. In compliance it acts as a current source.

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
    """Current source with a voltage limit. In compliance it acts as a voltage source.

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
    """No connection: the output relay is open."""


Source = VoltageSource | CurrentSource | Open


@dataclass(frozen=True, slots=True)
class LoadLine:
    """Total current of all sources at one node as a function of its voltage: a falling step function.

    Between two kinks the current is constant. At a kink the voltage is fixed, and the current may take any value
    between the two neighbouring steps. State ``2 j`` is the step below kink ``j``, state ``2 j + 1`` is the kink.

    Attributes
    ----------
    kinks : tuple of float
        Voltages of the kinks, rising.
    steps : tuple of float
        Currents of the steps in amperes, falling, one more than kinks. The first may be infinite, the last minus
        infinity.
    """

    kinks: tuple[float, ...]
    steps: tuple[float, ...]

    @classmethod
    def of(cls, sources: Sequence[Source]) -> LoadLine:
        """Return the load line of the sources of one node."""
        jumps: dict[float, float] = {}
        top, low, high = 0.0, -math.inf, math.inf
        for source in sources:
            if isinstance(source, VoltageSource):
                jumps[source.volts] = jumps.get(source.volts, 0.0) + 2 * source.limit_A
                top += source.limit_A
            elif isinstance(source, CurrentSource):
                low, high = max(low, -source.limit_V), min(high, source.limit_V)
                top += source.amperes
        # the node cannot exceed a current source's voltage limit: kinks at or beyond it are never reached
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
        """The state in which the sources are within their limits."""
        drops = [high - low for high, low in zip(self.steps, self.steps[1:], strict=False)]
        inside = [(drop, j) for j, drop in enumerate(drops) if math.isfinite(drop)]
        if inside:
            return 2 * max(inside)[1] + 1
        return 2 if self.kinks else 0


@dataclass(frozen=True, slots=True)
class SourceOperatingPoint:
    """Operating point of one channel.

    Attributes
    ----------
    volts : float
        Node voltage against ground.
    amperes : float
        Current out of the channel into the node.
    limited : bool
        Whether the source is in compliance.
    """

    volts: float
    amperes: float
    limited: bool


def share_current(
    sources: Sequence[Source], load_line: LoadLine, state: int, volts: float, amperes: float
) -> list[SourceOperatingPoint]:
    """Divide the current of a node among its sources.

    Voltage sources with the same setpoint share the current in proportion to their limits. Current sources at the
    same voltage limit share the rest equally.

    Parameters
    ----------
    sources : sequence of Source
        All sources of the node.
    load_line : LoadLine
        Their load line.
    state : int
        State of the node on the load line.
    volts, amperes : float
        Voltage of the node, and total current into it.
    """
    index, held = divmod(state, 2)
    above = load_line.kinks[index] if index < len(load_line.kinks) else math.inf
    given = [_delivered(source, above) for source in sources]
    limited = [isinstance(source, VoltageSource) for source in sources]
    if held:
        limits = [s.limit_A if isinstance(s, VoltageSource) and s.volts == above else 0.0 for s in sources]
        clamped = [isinstance(s, CurrentSource) and s.limit_V == abs(above) for s in sources]
        n = sum(clamped)
        # without the mean of their setpoints: a small current must not be a difference of large ones
        common = math.fsum(amps for amps, clamp in zip(given, clamped, strict=True) if clamp) / max(n, 1)
        given = [
            0.0 if limit else amps - common if clamp else amps
            for amps, limit, clamp in zip(given, limits, clamped, strict=True)
        ]
        total_limit, rest = sum(limits), amperes - sum(given)
        if total_limit > 0:
            part = rest - n * common
            part = min(max(part / total_limit, -1.0), 1.0) if n else part / total_limit
            given = [amps + part * limit for amps, limit in zip(given, limits, strict=True)]
            rest -= part * total_limit
        if n:
            given = [amps + rest / n if clamp else amps for amps, clamp in zip(given, clamped, strict=True)]
        limited = [
            clamp if isinstance(s, CurrentSource) else isinstance(s, VoltageSource) and limit == 0
            for s, limit, clamp in zip(sources, limits, clamped, strict=True)
        ]
    return [SourceOperatingPoint(volts, amps, trip) for amps, trip in zip(given, limited, strict=True)]


def _delivered(source: Source, above: float) -> float:
    """Return the current of a source at a voltage just below the kink ``above``."""
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
