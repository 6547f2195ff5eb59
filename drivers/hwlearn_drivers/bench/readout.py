"""ChannelReadings of a mixed bench: `Tolerances` refuses what cannot be right, `readout_of` returns the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ComplianceError, HwlearnError, NetworkError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Readout
from hwlearn.units import format_quantity
from hwlearn_drivers.bench.players import Players
from hwlearn_drivers.bench.setpoints import Setpoints, Targets
from hwlearn_drivers.errors import InputDeviationError
from hwlearn_drivers.roles.values import ChannelReadings
from hwlearn_drivers.smu.reading import PlausibleRange, Reading

_OF_LIMIT = 0.02
_SIGMAS = 10.0
_UNIFORM = math.sqrt(12)
_VOID = "the phase is void and all outputs are off"

Found = Sequence[ChannelReadings | None]
"""ChannelReadings of each instrument; None for one that reads nothing."""


class Tolerances:
    """Which readings can be right, and how uncertain they are.

    An input that is read back may deviate from what was set by 2 % of ``limits.voltage``, ten standard
    uncertainties of the reading and one step of the source, unless the bench states a tolerance.

    Parameters
    ----------
    players : Players
    setpoints : Setpoints
    topology : Topology
    limits : Limits
    input_tolerance : float or None
        Volts.

    Attributes
    ----------
    topology : Topology
    resolution_V, voltage_sigma : float
        Of the least accurate reader of an output.
    sigma_is_from_data_sheet : bool
        Whether the uncertainty of every output is that of a data sheet.
    current_sigma : float
        Of the least accurate meter at an output.
    """

    def __init__(
        self,
        players: Players,
        setpoints: Setpoints,
        topology: Topology,
        limits: Limits,
        input_tolerance: float | None,
    ) -> None:
        wiring = players.wiring
        self._players, self._setpoints, self.topology = players, setpoints, topology
        self._terminals = (*wiring.inputs, *wiring.outputs, *wiring.inner)
        self._n_in, self._n_out = len(wiring.inputs), len(wiring.outputs)
        outputs = range(self._n_in, self._n_in + self._n_out)
        readers = [players.reader_at(players.volts_at[k]) for k in outputs]
        meters = [players.reader_at(players.amperes_at[k]) for k in outputs]
        self.voltage_sigma = max((one.voltage_sigma for one in readers if one is not None), default=0.0)
        self.sigma_is_from_data_sheet = all(one is not None and one.sigma_is_from_data_sheet for one in readers)
        self.resolution_V = max((one.resolution_V for one in readers if one is not None), default=0.0)
        self.current_sigma = max((one.current_sigma for one in meters if one is not None), default=0.0)
        self._plausible = [PlausibleRange(limits, *self._sigmas(k)) for k in range(len(self._terminals))]
        self._stated_tolerance, self._limit_V = input_tolerance, limits.voltage
        self._inputs = [self._tolerance(k, setpoints.step_V(k)) for k in range(self._n_in)]

    def _tolerance(self, k: int, step_V: float) -> float:
        """Return how far the reading of terminal k may be from what was set, in volts."""
        if self._stated_tolerance is not None:
            return self._stated_tolerance
        return _OF_LIMIT * self._limit_V + _SIGMAS * self._sigmas(k)[0] + step_V

    def inner_tolerance(self, k: int) -> float:
        """Return how far internal node k may be from the voltage of a source that it is connected to, in volts."""
        return self._tolerance(self._n_in + self._n_out + k, 0.0)

    def _sigmas(self, k: int) -> tuple[float, float]:
        """Return the standard uncertainties of voltage and current at terminal k."""
        reader = self._players.reader_at(self._players.volts_at[k])
        at = self._players.amperes_at[k] if k < len(self._players.amperes_at) else None
        meter = self._players.reader_at(at)
        return (
            0.0 if reader is None else reader.voltage_sigma,
            0.0 if meter is None else meter.current_sigma,
        )

    def output_volts(self, found: Found) -> tuple[FloatArray, BoolArray]:
        """Return volts and saturation (n_out,) of the outputs."""
        volts, saturated = np.empty(self._n_out), np.zeros(self._n_out, dtype=np.bool_)
        for j in range(self._n_out):
            volts[j], saturated[j] = self._volts(found, self._n_in + j)
        return volts, saturated

    def inner_volts(self, found: Found) -> FloatArray:
        """Return volts of the internal nodes that are read."""
        return np.array([self._volts(found, k)[0] for k in range(self._n_in + self._n_out, len(self._terminals))])

    def input_volts(self, found: Found) -> FloatArray:
        """Return volts (n_in,) of the inputs; NaN where they are not read."""
        at = self._players.volts_at
        return np.array([self._volts(found, k)[0] if at[k] is not None else math.nan for k in range(self._n_in)])

    def amperes(self, found: Found, k: int) -> float:
        """Return the current of the source at terminal k; NaN if it is not measured."""
        at = self._players.amperes_at[k] if k < len(self._players.amperes_at) else None
        values = None if at is None else found[at[0]]
        if at is None or values is None or values.amperes is None:
            return math.nan
        return float(values.amperes[at[1]])

    def fault(self, found: Found, target: Targets, sample: int) -> HwlearnError | None:
        """Return the error of the first source at its limit, implausible reading or deviating input."""
        return (
            self._limited(found, sample)
            or self.implausible(found, sample)
            or self._deviating(found, target, sample)
        )

    def _volts(self, found: Found, k: int) -> tuple[float, bool]:
        at = self._players.volts_at[k]
        values = None if at is None else found[at[0]]
        if at is None or values is None:
            return math.nan, False
        return float(values.volts[at[1]]), values.saturated is not None and bool(values.saturated[at[1]])

    def _where(self, k: int, at: tuple[int, int], sample: int) -> str:
        return f"{self._players.place_of(*at)} at {self._terminals[k].where} (sample {sample})"

    def _limited(self, found: Found, sample: int) -> ComplianceError | None:
        for k, at in enumerate(self._players.amperes_at):
            values = None if at is None else found[at[0]]
            if at is not None and values is not None and values.limited is not None and values.limited[at[1]]:
                amperes = self.amperes(found, k)
                return ComplianceError(
                    f"{self._where(k, at, sample)} reached its limit: it reads "
                    f"{format_quantity(float(values.volts[at[1]]), 'V')} and {format_quantity(amperes, 'A')}; "
                    f"{_VOID}, reduce the drive or the conductances"
                )
        return None

    def implausible(self, found: Found, sample: int) -> NetworkError | None:
        """Return the error of the first reading that is no number, or that no source within the limits can cause.

        A saturated converter may show more than any source can cause; its flag says so.
        """
        for k in range(len(self._terminals)):
            at = self._players.volts_at[k]
            volts, saturated = self._volts(found, k)
            if at is None or (saturated and math.isfinite(volts)):
                continue
            amperes = self.amperes(found, k)
            reading = Reading(volts, 0.0 if math.isnan(amperes) and not self._is_metered(k) else amperes)
            if fault := self._plausible[k].fault(reading, None, None):
                return NetworkError(
                    f"{self._where(k, at, sample)} {fault}; {_VOID}; check the range and the wiring"
                )
        return None

    def _is_metered(self, k: int) -> bool:
        return k < len(self._players.amperes_at) and self._players.amperes_at[k] is not None

    def _deviating(self, found: Found, target: Targets, sample: int) -> InputDeviationError | None:
        for k, volts in enumerate(self.input_volts(found).tolist()):
            at = self._players.volts_at[k]
            wanted = self._setpoints.nearest(k, float(target.levels[k]))
            if at is not None and abs(volts - wanted) > self._inputs[k]:
                return InputDeviationError(
                    f"{self._where(k, at, sample)} reads {format_quantity(volts, 'V', 6)}, but "
                    f"{format_quantity(wanted, 'V', 6)} was set by {self._setpoints.name(k)}; they may differ by "
                    f"{format_quantity(self._inputs[k], 'V')} (input_tolerance); {_VOID}; check source, "
                    "wiring and load"
                )
        return None


def readout_of(
    rows: Sequence[Found], targets: Sequence[Targets], players: Players, points: Setpoints, tolerances: Tolerances
) -> Readout:
    """Return the readout of a batch.

    Currents of outputs are known where they are measured (clamps), set (current sources, floating outputs), or
    follow from voltages and a resistor; if one of them is not known, none is returned. Currents of the sources at
    inputs are returned only if all of them are measured.
    """
    wiring = players.wiring
    n_in, n_out = len(wiring.inputs), len(wiring.outputs)
    outputs = [tolerances.output_volts(found) for found in rows]
    volts = _stacked([row for row, _ in outputs], n_out)
    currents = _stacked(
        [
            _output_currents(found, target, row, points, tolerances, n_in)
            for found, target, row in zip(rows, targets, volts, strict=True)
        ],
        n_out,
    )
    drawn = _stacked([[tolerances.amperes(found, k) for k in range(n_in)] for found in rows], n_in)
    behind = any(bool(target.closed.any()) for target in targets)
    return Readout(
        volts,
        output_currents=None if np.isnan(currents).any() else currents,
        source_currents=drawn if all(players.amperes_at[k] is not None for k in range(n_in)) else None,
        nodes=_nodes(rows, volts, players, tolerances),
        saturated=np.array([row for _, row in outputs], dtype=np.bool_).reshape(len(rows), n_out),
        voltage_sigma=tolerances.voltage_sigma,
        current_sigma=_current_sigma(points, tolerances, n_in) if behind else tolerances.current_sigma,
    )


def _output_currents(
    found: Found, target: Targets, volts: FloatArray, points: Setpoints, tolerances: Tolerances, n_in: int
) -> list[float]:
    """Return the currents into the outputs of one sample; NaN where they are not known."""
    amperes = []
    for j in range(len(volts)):
        level = float(target.levels[n_in + j])
        if not target.driven[j]:
            amperes.append(0.0)
        elif target.closed[j]:
            amperes.append((points.nearest(n_in + j, level) - float(volts[j])) * points.siemens(j))
        elif target.clamped[j]:
            amperes.append(tolerances.amperes(found, n_in + j))
        else:
            amperes.append(level)
    return amperes


def _current_sigma(points: Setpoints, tolerances: Tolerances, n_in: int) -> float:
    """Return the largest standard uncertainty of a current through a nudge resistor."""
    each = [
        points.siemens(j) * math.hypot(tolerances.voltage_sigma, points.step_V(n_in + j) / _UNIFORM)
        for j in np.flatnonzero(points.is_behind).tolist()
    ]
    return max(each, default=0.0)


def _nodes(
    rows: Sequence[Found], volts: FloatArray, players: Players, tolerances: Tolerances
) -> FloatArray | None:
    """Return the volts of every node (S, N), if every node is read; None otherwise."""
    wiring, topology = players.wiring, tolerances.topology
    if any(terminal.row is not None for terminal in wiring.inputs):
        return None  # sources of rows, not of nodes
    nodes = np.full((len(rows), topology.n_nodes), np.nan)
    if topology.ground is not None:
        nodes[:, topology.ground] = 0.0
    nodes[:, topology.outputs] = volts
    for s, found in enumerate(rows):
        nodes[s, topology.inputs] = tolerances.input_volts(found)
        nodes[s, [terminal.node for terminal in wiring.inner]] = tolerances.inner_volts(found)
    return None if np.isnan(nodes).any() or not len(rows) else nodes


def _stacked(rows: Sequence[Sequence[float] | FloatArray], columns: int) -> FloatArray:
    return np.array(rows, dtype=np.float64).reshape(len(rows), columns)
