"""Solver of crossbars with wire resistance: sweeps over the lines, or their elimination, not a sparse factor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Final, Generic, TypeVar

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar.elimination import LineElimination, NotEliminated
from hwlearn.circuit.linear.factor import ERROR_BOUND
from hwlearn.circuit.linear.outputs import held_patterns, source_currents
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn.circuit.solver import OperatingPoint, Where
from hwlearn.circuit.topology import Topology
from hwlearn.circuit.wired.eliminated import EliminatedSystem, eliminate
from hwlearn.circuit.wired.layout import Layout, Sources
from hwlearn.circuit.wired.sums import column_currents, device_drops, product_sums, squares, total_power
from hwlearn.circuit.wired.swept import SweptSystem, may_sweep
from hwlearn.errors import CircuitError

_KEPT_SYSTEMS: Final = 8
_KEPT_ELIMINATIONS: Final = 2
_MOST_KEPT_DROPS: Final = 1 << 22
"""Devices times samples up to which the drops of the last batch are kept for its gradient."""

System = TypeVar("System")


class WiredSolver:
    """Solver of a wired crossbar of resistors; a `Solver`.

    Parameters
    ----------
    layout : Layout
        Of the general solver's topology.
    general : OhmicSolver
        The same circuit, for sets of held outputs that elimination cannot solve within `ERROR_BOUND`.
    swept : bool, optional
        Whether to use compiled sweeps where they are faster; whether numba is installed unless given.

    Raises
    ------
    CircuitError
        If sweeps are to be used without numba.

    Notes
    -----
    Sweeps solve circuits of devices that conduct much less than the lines. The elimination of the lines solves
    the others, and batches that need too many sweeps. The last batch of inputs is kept, so that its gradient needs
    no second solution. Solutions do not depend on it.
    """

    scale_V: Final = float("inf")

    def __init__(self, layout: Layout, general: OhmicSolver, swept: bool | None = None) -> None:
        self.layout: Layout = layout
        self.general: OhmicSolver = general
        self._g = general.siemens[: general.topology.n_edges]
        self._may_sweep = swept is not False and may_sweep(layout)
        if swept and not self._may_sweep:
            raise CircuitError(
                "this circuit was solved by compiled sweeps, but numba is not installed, and elimination rounds "
                "differently; install the extra `fast`: pip install 'hwlearn[fast]'"
            )
        self._swept = _Systems(self._sweep)
        self._eliminated = _Systems(self._eliminate)
        self._eliminations: dict[bytes, LineElimination] = {}
        self._last: tuple[FloatArray, FloatArray] | None = None

    @property
    def topology(self) -> Topology:
        """Topology of the circuit."""
        return self.general.topology

    def with_conductances(self, siemens: FloatArray) -> WiredSolver:
        """Return a solver with other conductances (E + F,)."""
        return WiredSolver(self.layout, self.general.with_conductances(siemens), self._may_sweep)

    def with_history(self, history: Mapping[str, np.ndarray]) -> WiredSolver:
        """Return the same solver after the circuits of a history; without its sweeps, it does not sweep."""
        return WiredSolver(self.layout, self.general.with_history(history), "sweeps" in history)

    @property
    def history(self) -> dict[str, np.ndarray]:
        """The history of the general solver, and whether compiled sweeps are used, which round differently."""
        used = {"sweeps": np.array(True)} if self._may_sweep else {}
        return {**self.general.history, **used}

    # --- voltages -----------------------------------------------------------------------------------

    def solve(self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None) -> FloatArray:
        """Return node voltages (S, N)."""
        parts = list(held_patterns(clamped, len(x), self.topology.n_outputs))
        if len(parts) == 1:
            return self._solve_pattern(parts[0][1], x, clamped, injected)[0]
        return self.operating_point(x, clamped, injected).V

    def operating_point(
        self, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None
    ) -> OperatingPoint:
        """Return node voltages (S, N) and their estimated errors (S,)."""
        V, relative = np.empty((len(x), self.topology.n_nodes)), np.empty(len(x))
        for samples, held in held_patterns(clamped, len(x), self.topology.n_outputs):
            of_part = [None if array is None else array[samples] for array in (clamped, injected)]
            V[samples], relative[samples] = self._solve_pattern(held, x[samples], *of_part)
        return OperatingPoint(V, relative * np.abs(V).max(axis=1, initial=0.0))

    def solve_behind(self, x: FloatArray, volts: FloatArray, siemens: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return node voltages (S, N) and currents (S, n_out) of sources behind conductances at the outputs."""
        free = self.solve(x, None, None)[:, self.topology.outputs]
        currents = source_currents(free, self._impedance, volts, siemens)
        return self.solve(x, None, currents), currents

    def estimated_error(self, held: BoolArray) -> float:
        """Return the estimated relative error of solutions with these outputs (n_out,) held."""
        system = self._swept.get(held) or self._eliminated.get(held)
        return self.general.estimated_error(held) if system is None else system.estimated_error

    def _solve_pattern(
        self, held: BoolArray, x: FloatArray, clamped: FloatArray | None, injected: FloatArray | None
    ) -> tuple[FloatArray, float]:
        """Return node voltages of a batch that holds these outputs (n_out,), and their estimated error."""
        layout, at_outputs = self.layout, None
        if held.any() or injected is not None:
            at_outputs = np.zeros((len(x), len(held)))
            if clamped is not None:
                at_outputs[:, held] = clamped[:, held]
            if injected is not None:
                at_outputs[:, ~held] = injected[:, ~held] * layout.wires.column_ohms
        found = self._voltages(held, layout.sources(x, at_outputs))
        if found is None:
            return self.general.solve(x, clamped, injected), self.general.estimated_error(held)
        if at_outputs is None and len(x) * len(self._g) <= _MOST_KEPT_DROPS:
            self._last = x.copy(), device_drops(layout, found[0])
        return found

    def _voltages(self, held: BoolArray, sources: Sources) -> tuple[FloatArray, float] | None:
        """Return node voltages (S, N) with outputs (n_out,) held, and their estimated relative error.

        None if only the general solver can solve the batch.
        """
        if not sources.samples:
            return None
        swept = self._swept.get(held)
        V = None if swept is None else swept.solve(sources)
        if swept is not None and V is not None:
            return V, swept.estimated_error
        eliminated = self._eliminated.get(held)
        return None if eliminated is None else (eliminated.solve(sources), eliminated.estimated_error)

    def _sweep(self, held: BoolArray) -> SweptSystem | None:
        return SweptSystem.of(self.layout, self._g, self.layout.columns_held(held)) if self._may_sweep else None

    def _eliminate(self, held: BoolArray) -> EliminatedSystem | None:
        columns = self.layout.columns_held(held)
        # the ends of columns are eliminated last, so that their elimination serves all sets of held outputs
        kept, key = self._eliminations, columns.tobytes() if self.layout.along_rows else b""
        try:
            elimination = kept.get(key)
            if elimination is None:
                elimination = eliminate(self.layout, self._g, columns)
                kept[key] = elimination
                for old in list(kept)[:-_KEPT_ELIMINATIONS]:
                    kept.pop(old, None)
            system = EliminatedSystem.of(self.layout, elimination, columns)
        except NotEliminated:
            return None
        return system if system.estimated_error < ERROR_BOUND else None

    # --- currents and power -------------------------------------------------------------------------

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) through the devices."""
        return self.general.edge_currents(V)

    def currents(self, V: FloatArray, where: Where) -> FloatArray:
        """Return the currents (S, n) that enter the network from outside at some nodes."""
        return self.general.currents(V, where)

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) dissipated in all edges."""
        return total_power(self.layout, V, self._g)

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return v^2 / 2 (S, E) at drops v (S, E)."""
        return self.general.cocontent(drops)

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of v^2 / 2 at ``high`` minus at ``low``, (E,)."""
        of_high, of_low = (squares(self.layout, V, weights) for V in (high, low))
        return 0.5 * (of_high - of_low)

    # --- derivatives --------------------------------------------------------------------------------

    def output_impedance(self, x: FloatArray | None) -> FloatArray:
        """Return Z (n_out, n_out); it does not depend on the inputs."""
        return self._impedance.copy()

    @cached_property
    def _impedance(self) -> FloatArray:
        Z = self.adjoint(np.eye(self.topology.n_outputs), None)[:, self.topology.outputs]
        return np.asarray(0.5 * (Z + Z.T))

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out), the Kron-reduced conductance of the outputs."""
        n = self.topology.n_outputs
        V = self.solve(np.zeros((n, self.topology.n_inputs)), np.eye(n), None)
        Y = -column_currents(self.layout, V, self._g)[:, self.layout.outputs]
        return 0.5 * (Y + Y.T)

    def adjoint(self, e: FloatArray, at: FloatArray | None) -> FloatArray:
        """Return the adjoint voltages (S, N); they do not depend on the operating point."""
        held = np.zeros(self.topology.n_outputs, dtype=bool)
        found = self._voltages(held, self.layout.sources(None, e * self.layout.wires.column_ohms))
        return self.general.adjoint(e, at) if found is None else found[0]

    def gradient(self, x: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/dg (E,), mean over the batch."""
        last = self._last
        if last is None or not np.array_equal(last[0], x):
            V = self.solve(x, None, None)
            last = self._last
            if last is None or not np.array_equal(last[0], x):
                return self.gradient_at(V, e)
        return -product_sums(self.layout, last[1], self.adjoint(e, None)) / len(x)

    def gradient_at(self, V: FloatArray, e: FloatArray) -> FloatArray:
        """Return dC/dg (E,), mean over the batch, at node voltages (S, N)."""
        drops = device_drops(self.layout, V)
        return -product_sums(self.layout, drops, self.adjoint(e, V)) / len(V)

    def output_power(self, x: FloatArray) -> FloatArray:
        """Return the sum over outputs of (dV_out/dg)^2 (E,), mean over the batch."""
        V, back = self.solve(x, None, None), self.adjoint(np.eye(self.topology.n_outputs), None)
        of_back, of_V = (squares(self.layout, of, np.ones(len(of))) for of in (back, V))
        return of_back * of_V / len(x)


class _Systems(Generic[System]):
    """Equations by set of held outputs; the last one used comes last."""

    def __init__(self, make: Callable[[BoolArray], System | None]) -> None:
        self._make = make
        self._kept: dict[bytes, System | None] = {}

    def get(self, held: BoolArray) -> System | None:
        """Return the equations for held outputs (n_out,); None if they cannot be solved this way."""
        # circuits may be solved in several threads: only whole entries are added and removed
        kept, key = self._kept, held.tobytes()
        try:
            system = kept.pop(key)
        except KeyError:
            with np.errstate(all="ignore"):
                system = self._make(held)
        kept[key] = system
        for old in list(kept)[:-_KEPT_SYSTEMS]:
            kept.pop(old, None)
        return system
