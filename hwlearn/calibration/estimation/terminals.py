"""`TerminalSet`: the terminals of a network and the limits of their sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.excitation import PhaseKind
from hwlearn.calibration.patterns import few_levels
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.nudges import DriveKind


@dataclass(frozen=True, eq=False)
class TerminalSet:
    """Circuit, limits, drives and converter steps that a design of measurements must respect.

    Attributes
    ----------
    topology : Topology
    limits : Limits
    nudges : frozenset of str
        Kinds of output drive that the hardware supports.
    nudge_siemens : ndarray, shape (n_out,), or None
        Known conductances of resistor drives; None: resistor drives are not used.
    dac_step_V : float or None
        Step of the DACs in volts; patterns are then multiples of it. None: unknown, taken as the ADCs' step.
    resolution : float
        Step of the ADCs in volts.
    direct_levels : int or None
        `Network.direct_levels`: how many voltages besides 0 V the inputs of one pattern may have.
    """

    topology: Topology
    limits: Limits
    nudges: frozenset[DriveKind]
    nudge_siemens: FloatArray | None = None
    dac_step_V: float | None = None
    resolution: float = 0.0
    direct_levels: int | None = None

    @classmethod
    def of(
        cls,
        network: Network,
        model: Kirchhoff,
        nudge_siemens: ArrayLike | None = None,
        dac_step_V: float | None = None,
    ) -> Self:
        """Return the terminals of a network, with the circuit of a model.

        Raises
        ------
        SetupError
            If the model's circuit does not have the network's edges and terminals, or a value is not positive.
        """
        mine, top = model.topology, network.topology
        same = (
            mine.n_nodes == top.n_nodes
            and np.array_equal(mine.edges, top.edges)
            and np.array_equal(mine.inputs, top.inputs)
            and np.array_equal(mine.outputs, top.outputs)
            and mine.ground == top.ground
        )
        if not same:
            raise SetupError("the model's circuit has other nodes, edges or terminals than the network")
        if dac_step_V is not None and not (math.isfinite(dac_step_V) and dac_step_V > 0):
            raise SetupError(f"dac_step_V is {dac_step_V}; it must be positive and finite")
        siemens = None if nudge_siemens is None else _checked_siemens(nudge_siemens, top.n_outputs)
        found = network.resolution, network.direct_levels
        return cls(mine, network.limits, network.nudges, siemens, dac_step_V, *found)

    def on_grid(self, volts: FloatArray) -> FloatArray:
        """Return volts rounded to steps of the DACs; unchanged where the step is unknown."""
        return volts if self.dac_step_V is None else np.rint(volts / self.dac_step_V) * self.dac_step_V

    def settable(self, inputs: FloatArray) -> FloatArray:
        """Return input patterns (S, n_in) as the sources can set them: on their steps, with few voltages."""
        return few_levels(self.on_grid(inputs), self.direct_levels)

    @property
    def applied_sigma(self) -> float:
        """Standard uncertainty in volts of a source besides gain and offset: rounding to an unknown step."""
        return 0.0 if self.dac_step_V is not None else self.resolution / math.sqrt(12)

    @property
    def kinds(self) -> tuple[PhaseKind, ...]:
        """The phases that can be measured, the free phase first."""
        able: list[PhaseKind] = ["free"]
        able += [kind for kind in ("clamp", "current") if kind in self.nudges]
        return (*able, "resistor") if "resistor" in self.nudges and self.nudge_siemens is not None else (*able,)


def _checked_siemens(siemens: ArrayLike, n_outputs: int) -> FloatArray:
    array = np.asarray(siemens, dtype=np.float64)
    if array.shape not in ((), (n_outputs,)):
        raise SetupError(f"nudge_siemens has shape {array.shape}; it must be one number or ({n_outputs},)")
    if not (np.isfinite(array) & (array > 0)).all():
        raise SetupError(f"nudge_siemens is {siemens!r}; it must be positive and finite")
    return np.broadcast_to(array, (n_outputs,))
