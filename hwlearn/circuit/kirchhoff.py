"""Kirchhoff's laws in node form: voltages, currents, output impedance and the exact gradient."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.batches import batch, check_inputs, checked_errors, gradient_batch, outputs_batch
from hwlearn.circuit.drops import edge_drops
from hwlearn.circuit.elements import AnyElement
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn.circuit.nonlinear.solver import NewtonSolver
from hwlearn.circuit.nonreciprocal.solver import NonreciprocalSolver
from hwlearn.circuit.solver import OperatingPoint, Solver
from hwlearn.circuit.topology import Topology
from hwlearn.circuit.values import connected_values
from hwlearn.circuit.wired.layout import layout_of
from hwlearn.circuit.wired.solver import WiredSolver
from hwlearn.errors import CircuitError


class Kirchhoff:
    """A network whose edges have known values: solves it and differentiates it exactly.

    The object is a value: `values` do not change, `with_values` makes another object. Circuits of resistors
    are solved by `OhmicSolver`, crossbars with wire resistance by `WiredSolver`, circuits with nonlinear elements
    by `NewtonSolver`, and circuits with transistors by `NonreciprocalSolver`.

    Parameters
    ----------
    topology : Topology
        The graph.
    conductances : array_like, shape (E,)
        Values in edge order: siemens, positive and finite; the thetas of edges that are not resistors; the gate
        voltages in volts of transistors (see `Mosfet`).
    allow_open : bool
        Accept zero conductance as an open edge, as long as every node stays connected to a source.
    elements : Element or ThreeTerminal, or a sequence of them, shape (E,) or (E + F,), optional
        Elements of the edges, instead of the topology's; see `hwlearn.circuit.elements`.

    Raises
    ------
    CircuitError
        If a conductance is negative, zero (unless allowed), NaN or infinite; the edge is named.
    SingularCircuitError
        If part of the circuit floats, or the equations cannot be solved in double precision.

    Examples
    --------
    >>> from hwlearn.circuit.elements import Sinh
    >>> divider = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    >>> Kirchhoff(divider, [1e-3, 3e-3]).solve([[1.0]])
    array([[1.  , 0.25, 0.  ]])
    >>> Kirchhoff(divider, [1e-3, 1e-3], elements=Sinh(0.1)).solve([[1.0]]).round(9)
    array([[1. , 0.5, 0. ]])

    Notes
    -----
    Voltages are in volts against ground, currents into a node count positive, the sample axis is first.
    Source: Lin, Desai, Barrows, Caravelli, arXiv:2602.03546 (2026).
    """

    def __init__(
        self,
        topology: Topology,
        conductances: ArrayLike,
        *,
        allow_open: bool = False,
        elements: AnyElement | Iterable[AnyElement] | None = None,
    ) -> None:
        self.topology: Topology = topology if elements is None else topology.with_elements(elements)
        self.allow_open = allow_open
        self.values: FloatArray = connected_values(self.topology, conductances, allow_open)

    @property
    def conductances(self) -> FloatArray:
        """Conductances (E,) of the edges in siemens: the `values` of a circuit whose values are conductances.

        Raises
        ------
        CircuitError
            If an edge has another value, such as a gate voltage.
        """
        self.topology.require_conductances()
        return self.values

    def with_conductances(self, conductances: ArrayLike) -> Self:
        """Return the same circuit with other conductances (E,) in siemens; `with_values` by an older name."""
        return self.with_values(conductances)

    def with_values(self, values: ArrayLike) -> Self:
        """Return the same circuit with other values (E,): siemens, or volts for the gates of transistors.

        If the same few edges change from one circuit to the next, as in subset training, a large circuit of
        resistors is solved on the nodes of these edges: all other nodes are eliminated once and shared. Attributes
        that a subclass adds are kept; its cached properties are computed again.
        """
        other = self._with(connected_values(self.topology, values, self.allow_open))
        other.solver = self.solver.with_conductances(other.all_values)
        return other

    @property
    def history(self) -> dict[str, np.ndarray]:
        """What the rounding of solutions depends on besides the conductances, as arrays by name.

        Empty unless the circuit was made by `with_conductances` and shares eliminated nodes, or libraries of the
        extra ``fast`` are used: CHOLMOD for large graphs, functions compiled by numba for wired crossbars,
        rectifiers and transistors; and with warm starts.
        """
        return self.solver.history

    def with_history(self, history: Mapping[str, np.ndarray]) -> Self:
        """Return the same circuit as if it were the last of a series: solutions are equal to the last bit.

        This circuit and those made from it are factored by the library of the history: by SuperLU, which releases
        the interpreter lock, and without compiled functions, if the history is empty.

        Raises
        ------
        ValueError, KeyError
            If the history is of another circuit.
        CircuitError
            If the circuits of the history were solved by CHOLMOD or compiled functions that are not installed.
        """
        other = self._with(self.values)
        other.solver = other.solver.with_history(history)
        return other

    def with_warm_starts(self) -> Self:
        """Return the same circuit; solutions of circuits made from it begin at those of the circuit before.

        This saves time where transistors are trained with all samples in each step: the search for a batch begins
        at the last batch, solved with the values before, if it has the same inputs. Voltages are the same within
        their estimated errors, but not to the last bit, so `history` contains that batch. Circuits without
        elements of three terminals stay as they are.
        """
        other = self._with(self.values)
        if isinstance(self.solver, NonreciprocalSolver):
            other.solver = self.solver.with_warm_starts()
        return other

    def _with(self, values: FloatArray) -> Self:
        other = copy.copy(self)
        for name in [name for name in vars(other) if isinstance(getattr(type(self), name, None), cached_property)]:
            del other.__dict__[name]
        other.values = values
        return other

    @cached_property
    def solver(self) -> Solver:
        """Solver of the circuit's equations."""
        if self.topology.elements is None:
            general = OhmicSolver(self.topology, self.all_values)
            layout = layout_of(self.topology)
            return general if layout is None else WiredSolver(layout, general)
        if self.topology.elements.has_three_terminals:
            return NonreciprocalSolver(self.topology, self.all_values)
        return NewtonSolver(self.topology, self.all_values)

    @property
    def all_values(self) -> FloatArray:
        """Values (E + F,) of the edges, then of the fixed edges."""
        fixed = self.topology.fixed_conductances
        return np.concatenate([self.values, fixed]) if len(fixed) else self.values

    def __getstate__(self) -> dict[str, Any]:
        # factors cannot be pickled; they are computed again when needed
        return {name: value for name, value in self.__dict__.items() if name != "solver"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.values.flags.writeable = False  # arrays are writeable after pickle and deepcopy

    # --- voltages -----------------------------------------------------------------------------------

    def solve(
        self, inputs: ArrayLike, clamped: ArrayLike | None = None, injected: ArrayLike | None = None
    ) -> FloatArray:
        """Solve the circuit for a batch.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts at the inputs.
        clamped : array_like, shape (S, n_out), optional
            Volts at which outputs are held; NaN leaves that output free.
        injected : array_like, shape (S, n_out), optional
            Amperes pushed into the outputs; NaN counts as none. A clamped output absorbs its current.

        Returns
        -------
        ndarray, shape (S, N)
            Volts at every node.

        Raises
        ------
        CircuitError
            If a shape does not fit or a value is not finite.
        ConvergenceError
            If the voltages of a nonlinear circuit cannot be found to 1e-9 of the sample's largest voltage.
        """
        return self.solver.solve(*self._checked(inputs, clamped, injected))

    def operating_point(
        self, inputs: ArrayLike, clamped: ArrayLike | None = None, injected: ArrayLike | None = None
    ) -> OperatingPoint:
        """Return node volts (S, N) and their estimated errors (S,); takes the same arguments as `solve`."""
        return self.solver.operating_point(*self._checked(inputs, clamped, injected))

    def solve_behind(
        self, inputs: ArrayLike, volts: ArrayLike, siemens: ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Solve the circuit with a source behind a resistor at each output.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts at the inputs.
        volts : array_like, shape (S, n_out)
            Volts of the sources; NaN leaves that output free.
        siemens : array_like, shape (n_out,) or (S, n_out)
            Conductances between sources and outputs; zero leaves that output free.

        Returns
        -------
        V : ndarray, shape (S, N)
            Volts at every node.
        currents : ndarray, shape (S, n_out)
            Amperes that the sources push into the outputs.

        Raises
        ------
        CircuitError, ConvergenceError
            As `solve`.
        """
        x = batch(inputs, self.topology.n_inputs, "inputs")
        check_inputs(x)
        y = outputs_batch(volts, self.topology, "volts", len(x))
        kappa = outputs_batch(siemens, self.topology, "siemens", len(x))
        if not (kappa >= 0).all():
            raise CircuitError("siemens of sources at the outputs must be zero or positive")
        return self.solver.solve_behind(x, np.nan_to_num(y), np.where(np.isnan(y), 0.0, kappa))

    def observe(self, inputs: ArrayLike, outputs: ArrayLike) -> FloatArray:
        """Estimate all node voltages (S, N) from measured terminals: inputs (S, n_in), outputs (S, n_out).

        Inputs and outputs are held at the measured voltages and the inner nodes are solved for. Errors of the
        model stay inside the network because both ends are held at measurements.
        """
        return self.solve(inputs, clamped=outputs)

    def estimated_error(self, clamped: ArrayLike | None = None) -> float:
        """Return the estimated error of solved voltages, relative to the largest voltage of a sample.

        Parameters
        ----------
        clamped : array_like, shape (n_out,), optional
            As in `solve`, one sample: which outputs are held (not NaN). None unless given.

        Raises
        ------
        SingularCircuitError
            If it exceeds `hwlearn.circuit.linear.factor.ERROR_BOUND`, 1e-10: such a circuit is never solved.
        CircuitError
            If elements are nonlinear: their error depends on the inputs; `operating_point` returns it.
        """
        held = np.zeros(self.topology.n_outputs, dtype=bool)
        if clamped is not None:
            held = ~np.isnan(outputs_batch(clamped, self.topology, "clamped", 1)[0])
        return self.solver.estimated_error(held)

    def _checked(
        self, inputs: ArrayLike, clamped: ArrayLike | None, injected: ArrayLike | None
    ) -> tuple[FloatArray, FloatArray | None, FloatArray | None]:
        top = self.topology
        x = batch(inputs, top.n_inputs, "inputs")
        check_inputs(x)
        current = volts = None
        if injected is not None:
            current = np.nan_to_num(outputs_batch(injected, top, "injected", len(x)), nan=0.0)
        if clamped is not None:
            volts = outputs_batch(clamped, top, "clamped", len(x))
        return x, volts, current

    # --- currents and power -------------------------------------------------------------------------

    def drops(self, V: FloatArray) -> FloatArray:
        """Return the drops (S, E) in volts across the edges, a minus b, at node voltages (S, N)."""
        return edge_drops(self.topology.edges, V)

    def edge_currents(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, E) in amperes through the edges, from a to b."""
        return self.solver.edge_currents(V)

    def node_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, N) in amperes into every node from outside the network; zero at inner nodes."""
        return self.solver.currents(V, "everywhere")

    def source_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, n_in) in amperes that each input source delivers into the network."""
        return self.solver.currents(V, "inputs")

    def output_currents(self, V: FloatArray) -> FloatArray:
        """Return the current (S, n_out) in amperes into each output from outside the network."""
        return self.solver.currents(V, "outputs")

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) in watts dissipated in all edges, including the fixed ones."""
        return self.solver.power(V)

    # --- responses ----------------------------------------------------------------------------------

    @property
    def scale_V(self) -> float:
        """Volts over which the slope of the most nonlinear element changes; infinite for resistors."""
        return self.solver.scale_V

    def output_impedance(self, inputs: ArrayLike | None = None) -> FloatArray:
        """Return Z in ohm: volts at output i per ampere into output j, with the inputs held.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in), optional
            Volts at which a nonlinear circuit is linearised; all inputs at 0 V unless given. A circuit of
            resistors has the same Z at all inputs.

        Returns
        -------
        ndarray, shape (n_out, n_out); (S, n_out, n_out) for a nonlinear circuit with ``inputs``
        """
        if inputs is None:
            return self.solver.output_impedance(None)
        x = batch(inputs, self.topology.n_inputs, "inputs")
        check_inputs(x)
        return self.solver.output_impedance(x)

    def output_admittance(self) -> FloatArray:
        """Return Y (n_out, n_out) in siemens, the Kron-reduced conductance of the outputs, inputs held at 0 V."""
        return self.solver.output_admittance()

    def adjoint(self, error: ArrayLike, at: FloatArray | None = None) -> FloatArray:
        """Return the adjoint voltages lam (S, N): inputs at 0 V, errors (S, n_out) as currents into outputs.

        A nonlinear circuit is linearised ``at`` node voltages (S, N), or (1, N) for all samples; at 0 V inputs
        unless given. A circuit of resistors has the same adjoint at all operating points.
        """
        return self.solver.adjoint(checked_errors(error, self.topology, None), at)

    # --- derivatives --------------------------------------------------------------------------------

    def gradient(self, inputs: ArrayLike, error: ArrayLike) -> FloatArray:
        """Return dC/d(theta) (E,), exact, mean over the batch; theta is the conductance of a resistor.

        Parameters
        ----------
        inputs : array_like, shape (S, n_in)
            Volts.
        error : array_like, shape (S, n_out)
            dC/dV_out of each sample.

        Raises
        ------
        CircuitError
            If a shape does not fit, a value is not finite, or there is no sample.

        Notes
        -----
        ``dC/dtheta_k = -(B lam)_k dI_k/dtheta_k`` with the adjoint voltages lam of the circuit, linearised at the
        operating point; dI/dtheta of a resistor is its drop ``(B V)_k``.
        """
        return self.solver.gradient(*gradient_batch(self.topology, inputs, error))

    def gradient_at(self, V: FloatArray, error: ArrayLike) -> FloatArray:
        """Return dC/d(theta) (E,), mean over the batch, at node voltages V (S, N) for errors (S, n_out)."""
        return self.solver.gradient_at(V, checked_errors(error, self.topology, None))

    def contrast(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the weighted sum over samples of d(co-content)/d(theta) at ``high`` minus at ``low``, (E,).

        Node voltages (S, N), weights (S,).
        """
        return self.solver.contrast(high, low, weights)

    def cocontent(self, drops: FloatArray) -> FloatArray:
        """Return d(co-content)/d(theta) (S, E) in V^2 of each edge at drops v (S, E): v^2 / 2 for a resistor."""
        return self.solver.cocontent(drops)

    def output_power(self, inputs: ArrayLike) -> FloatArray:
        """Return the sum over outputs of (dV_out/dtheta)^2 (E,), in V^2/S^2, mean over inputs (S, n_in)."""
        x = batch(inputs, self.topology.n_inputs, "inputs")
        check_inputs(x)
        return self.solver.output_power(x)
