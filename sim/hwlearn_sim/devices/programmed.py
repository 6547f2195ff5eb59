"""True conductances of programmed edges, with device spread, write noise and stuck devices."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import SetupError
from hwlearn.network.simulation import State
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.devices.state import generator_states, restore_generators


class Devices:
    """Computes true from nominal conductances, with the device errors of `Imperfections`.

    Parameters
    ----------
    n_edges : int
        Number of edges.
    conductance : (float, float)
        Smallest and largest conductance of stuck devices in siemens.
    imperfections : Imperfections
        Device spread, write noise and stuck devices; the other fields are not used.
    drawn, writes : numpy.random.Generator
        Sources of the devices' errors and of the write noise.

    Raises
    ------
    SetupError
        If a stuck edge does not exist.
    """

    def __init__(
        self,
        n_edges: int,
        conductance: tuple[float, float],
        imperfections: Imperfections,
        drawn: np.random.Generator,
        writes: np.random.Generator,
    ) -> None:
        self._writes = writes
        self._write_noise = imperfections.write_noise
        self._gain = np.exp(imperfections.device_spread * drawn.standard_normal(n_edges))
        low, high = conductance
        place = np.exp(drawn.uniform(np.log(low), np.log(high), n_edges))
        chosen = drawn.permutation(n_edges)[: round(imperfections.stuck_fraction * n_edges)]
        self._stuck: FloatArray = np.full(n_edges, np.nan)
        self._stuck[chosen] = place[chosen]
        for edge, siemens in imperfections.stuck.items():
            if not 0 <= edge < n_edges:
                raise SetupError(f"stuck edge {edge} does not exist; the edges are 0 to {n_edges - 1}")
            self._stuck[edge] = siemens

    @property
    def stuck(self) -> BoolArray:
        """Which edges (E,) never change."""
        return ~np.isnan(self._stuck)

    def state(self) -> dict[str, np.ndarray]:
        """Return the generator of the write noise."""
        return {"writes": generator_states([self._writes])}

    def restore(self, state: State) -> None:
        """Continue from a state."""
        restore_generators([self._writes], state["writes"])

    def written(self, nominal: FloatArray) -> FloatArray:
        """Return the true conductances (E,) in siemens after programming to nominal values (E,)."""
        true = nominal * self._gain
        if self._write_noise:
            true = true * np.exp(self._write_noise * self._writes.standard_normal(len(true)))
        return np.where(np.isnan(self._stuck), true, self._stuck)
