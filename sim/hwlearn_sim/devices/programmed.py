"""True values of programmed edges, with device spread, write noise and stuck devices."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.value_ranges import ValueRanges
from hwlearn.errors import SetupError
from hwlearn.network.simulation import State
from hwlearn_sim.devices.faults import EdgeFault
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.devices.state import generator_states, restore_generators, restored


class Devices:
    """Computes true from nominal values, with the device errors of `Imperfections`.

    Conductances have a relative spread and write noise; other values, such as gate voltages, have a write noise in
    their unit. The spread of transistors is in their law; see `ThreeTerminal.varied`.

    Parameters
    ----------
    ranges : ValueRanges
        Smallest and largest values of stuck devices.
    imperfections : Imperfections
        Device spread, write noise, stuck devices and faults; the other fields are not used.
    drawn, writes : numpy.random.Generator
        Sources of the devices' errors and of the write noise.
    value_noise : ndarray, shape (E,), optional
        Write noise of values that are no conductances, in their unit, and NaN for conductances; unless given, all
        are conductances.
    cuts_any : bool
        Whether edges without a conductance can be cut too: who solves the circuit looks at `cut`.

    Raises
    ------
    SetupError
        If a stuck edge, or one of a fault, does not exist.
    """

    def __init__(
        self,
        ranges: ValueRanges,
        imperfections: Imperfections,
        drawn: np.random.Generator,
        writes: np.random.Generator,
        value_noise: FloatArray | None = None,
        *,
        cuts_any: bool = False,
    ) -> None:
        self._writes, n_edges = writes, ranges.n_edges
        self._write_noise = imperfections.conductance_write_noise
        self._value_noise = None if value_noise is None else np.nan_to_num(value_noise)
        self._is_conductance = None if value_noise is None else np.isnan(value_noise)
        gain = np.exp(imperfections.conductance_spread * drawn.standard_normal(n_edges))
        self._gain = self._of_conductances(gain)
        place = ranges.drawn(drawn)
        chosen = drawn.permutation(n_edges)[: round(imperfections.stuck_fraction * n_edges)]
        self._stuck: FloatArray = np.full(n_edges, np.nan)
        self._stuck[chosen] = place[chosen]
        for edge, value in imperfections.stuck.items():
            if not 0 <= edge < n_edges:
                raise SetupError(f"stuck edge {edge} does not exist; the edges are 0 to {n_edges - 1}")
            self._stuck[edge] = value
        self._cut: BoolArray = self._stuck == 0
        if self._is_conductance is not None:
            self._cut &= self._is_conductance
        self._cuts_any = cuts_any
        self._programmings, self._has_failed = 0, False
        self._faults: tuple[EdgeFault, ...] = ()
        for fault in imperfections.faults:
            self.schedule(fault)

    @property
    def stuck(self) -> BoolArray:
        """Which edges (E,) never change."""
        return ~np.isnan(self._stuck)

    @property
    def cut(self) -> BoolArray:
        """Which edges (E,) conduct no longer."""
        return self._cut

    def state(self) -> dict[str, np.ndarray]:
        """Return the generator of the write noise, and with faults what has failed so far."""
        state: dict[str, np.ndarray] = {"writes": generator_states([self._writes])}
        if self._faults or self._has_failed:
            state |= {
                "stuck": self._stuck.copy(),
                "cut": self._cut.copy(),
                "programmings": np.array([self._programmings]),
            }
        return state

    def restore(self, state: State) -> None:
        """Continue from a state."""
        restore_generators([self._writes], state["writes"])
        if self._faults or "stuck" in state:
            self._stuck = restored(self._stuck, state["stuck"])
            # runs from before transistors could be cut have conductances only
            self._cut = restored(self._cut, state["cut"]) if "cut" in state else self._stuck == 0
            self._programmings = int(state["programmings"][0])

    def schedule(self, fault: EdgeFault) -> None:
        """Let edges fail at a later programming.

        Raises
        ------
        SetupError
            If an edge does not exist or has no conductance, or that programming is over.
        """
        self._check(fault)
        if fault.at_step < self._programmings:
            raise SetupError(
                f"at_step of a fault is {fault.at_step}, but the edges were programmed {self._programmings} times "
                f"already; it must be {self._programmings} or more"
            )
        self._faults = (*self._faults, fault)

    def fail(self, fault: EdgeFault, present: FloatArray) -> FloatArray:
        """Let edges fail now; take all true values (E,) and return them as they are then. Raises as `schedule`."""
        self._check(fault)
        self._apply(fault, present)
        self._has_failed = True
        return np.where(np.isnan(self._stuck), present, self._stuck)

    def _check(self, fault: EdgeFault) -> None:
        n_edges = len(self._stuck)
        missing = [edge for edge in fault.edges if edge >= n_edges]
        if missing:
            raise SetupError(f"edge {missing[0]} of a fault does not exist; the edges are 0 to {n_edges - 1}")
        if self._is_conductance is not None and not self._is_conductance[np.asarray(fault.edges)].all():
            fault.require_no_conductance(may_cut=self._cuts_any)

    def begin_programming(self, present: FloatArray) -> None:
        """Count a programming, and let edges fail whose fault is due; ``present`` are all values (E,) now."""
        for fault in self._faults:
            if fault.at_step == self._programmings:
                self._apply(fault, present)
        self._programmings += 1

    def _apply(self, fault: EdgeFault, present: FloatArray) -> None:
        edges = np.asarray(fault.edges)
        self._stuck[edges] = fault.values(present)
        if fault.kind == "open" or fault.siemens is not None:
            self._cut[edges] = fault.kind == "open"

    def written(self, nominal: FloatArray) -> FloatArray:
        """Return the true values (E,) after programming to nominal values (E,)."""
        true = nominal * self._gain
        if self._write_noise:
            factor = np.exp(self._write_noise * self._writes.standard_normal(len(true)))
            true = true * self._of_conductances(factor)
        if self._value_noise is not None and self._value_noise.any():
            true = true + self._value_noise * self._writes.standard_normal(len(true))
        return np.where(np.isnan(self._stuck), true, self._stuck)

    def _of_conductances(self, factors: FloatArray) -> FloatArray:
        """Return factors (E,), 1 for values that are no conductances."""
        return factors if self._is_conductance is None else np.where(self._is_conductance, factors, 1.0)
