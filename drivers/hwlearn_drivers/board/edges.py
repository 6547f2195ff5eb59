"""`BoardEdges`: programs the edges of a network on the reference board with their calibrated laws."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import NetworkError, SetupError
from hwlearn.network.edge_codes import Codes, Rheostats
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed
from hwlearn.units import format_quantity
from hwlearn_drivers.board.board import Board
from hwlearn_drivers.board.record import N_EDGES, BoardRecord


class BoardEdges:
    """Programs all edges in one block and reads them back.

    Only codes whose conductance is within the limits are used. Unused places of the board have the highest
    resistance that the limits allow.

    Parameters
    ----------
    board : Board
        Board with a calibration record.
    limits : Limits
    places : ndarray of int, shape (E,)
        Place on the board of each edge.

    Raises
    ------
    SetupError
        If the limits allow conductances outside the range of the edges.
    """

    def __init__(self, board: Board, limits: Limits, places: IntArray) -> None:
        self._board, self._places = board, places
        law = _law(board.calibrated(), places)
        (least, most), (low, high) = law.siemens_range, limits.conductance
        if low < least or high > most:
            raise SetupError(
                f"the edges of {board.name} have {format_quantity(least, 'S')} to {format_quantity(most, 'S')}, "
                f"but limits.conductance is {format_quantity(low, 'S')} to {format_quantity(high, 'S')}"
            )
        self._law = law.within(low, high)
        self._last: tuple[Codes, Codes] | None = None  # codes that were sent, and codes that were read back

    @property
    def codes(self) -> tuple[int, int]:
        """Lowest and highest code that any edge may take."""
        return int(self._law.low.min()), int(self._law.high.max())

    def program(self, conductances: FloatArray) -> Programmed:
        """Program the edges to targets (E,) in siemens, and read their codes back."""
        wanted = self._law.nearest(conductances)
        codes = np.full(N_EDGES, self.codes[1], dtype=np.uint16)
        codes[self._places] = wanted
        whole = self._board.set_codes(codes)
        self._last = codes, whole
        taken = whole[self._places]
        return Programmed(conductances, self._law.siemens(taken), taken != wanted)

    def restore(self) -> None:
        """Program the edges again to their last codes.

        Raises
        ------
        NetworkError
            If they do not take the same codes as before.
        """
        if self._last is None:
            return
        codes, taken = self._last
        different = np.flatnonzero(self._board.set_codes(codes) != taken)
        if different.size:
            raise NetworkError(
                f"{self._board.name}: the edges at {different.tolist()} do not return to their previous codes; "
                "program them again"
            )


def _law(record: BoardRecord, places: IntArray) -> Rheostats:
    table = np.array(record.edges, dtype=np.float64)[places]
    size = np.ones(len(places), dtype=np.int64)
    return Rheostats(table[:, 0] * 1e-3, table[:, 1] * 0.1, record.edge_low * size, record.edge_high * size)
