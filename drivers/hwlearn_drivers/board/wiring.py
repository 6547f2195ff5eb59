"""`BoardWiring`: the channel of the board that each terminal is connected to, and the place of each edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from hwlearn.arrays import IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn_drivers.board.protocol import N_INPUTS, N_OUTPUTS
from hwlearn_drivers.board.record import N_EDGES


@dataclass(frozen=True, eq=False, slots=True)
class BoardWiring:
    """Channels and places, in the topology's order.

    Attributes
    ----------
    topology : Topology
        Graph of the network.
    inputs : ndarray of int, shape (n_in,)
        DAC channel 0-7 of each input.
    outputs : ndarray of int, shape (n_out,)
        Output channel 0-3 of each output: number of the ADC that reads it and of the nudge DAC.
    edges : ndarray of int, shape (E,)
        Place 0-31 of each edge.
    """

    topology: Topology
    inputs: IntArray
    outputs: IntArray
    edges: IntArray

    @classmethod
    def of(
        cls,
        topology: Topology,
        inputs: Sequence[int] | None = None,
        outputs: Sequence[int] | None = None,
        edges: Sequence[int] | None = None,
    ) -> Self:
        """Return the wiring of a topology; the default order of channels and places is 0, 1, 2, ...

        Raises
        ------
        SetupError
            If the board has too few channels or places, or a list has the wrong length or names one twice.
        """
        return cls(
            topology,
            _chosen("input", "DAC channels", topology.n_inputs, N_INPUTS, inputs),
            _chosen("output", "output channels", topology.n_outputs, N_OUTPUTS, outputs),
            _chosen("edge", "places", topology.n_edges, N_EDGES, edges),
        )


def _chosen(what: str, where: str, needed: int, available: int, given: Sequence[int] | None) -> IntArray:
    if needed > available:
        raise SetupError(f"the network has {needed} {what}s, the board {available}; use a smaller network")
    chosen = list(range(needed)) if given is None else [int(number) for number in given]
    if len(chosen) != needed or len(set(chosen)) != needed:
        raise SetupError(
            f"backend.{what}s must name {needed} different {where} for {needed} {what}s, got {chosen}"
        )
    if chosen and not (min(chosen) >= 0 and max(chosen) < available):
        raise SetupError(f"backend.{what}s names {chosen}; the board has {where} 0 to {available - 1}")
    return np.array(chosen, dtype=np.int64)
