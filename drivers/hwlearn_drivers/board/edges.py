"""`BoardEdges`: the edges of a network on the reference board, by its own calibration of each."""

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
    """Programs edges, all in one block, and reads them back.

    Only codes whose conductance lies within the limits are used. Edges that the network does not have stand at
    the highest resistance that the limits allow.

    Parameters
    ----------
    board : Board
        With a calibration record.
    limits : Limits
    places : ndarray of int, shape (E,)
        Place on the board of each edge.

    Raises
    ------
    SetupError
        If the edges cannot make every conductance that the limits allow.
    """

    def __init__(self, board: Board, limits: Limits, places: IntArray) -> None:
        self._board, self._places = board, places
        law = _law(board.calibrated(), places)
        (least, most), (low, high) = law.siemens_range, limits.conductance
        if low < least or high > most:
            raise SetupError(
                f"the edges of {board.name} make {format_quantity(least, 'S')} to {format_quantity(most, 'S')}, "
                f"but limits.conductance is {format_quantity(low, 'S')} to {format_quantity(high, 'S')}"
            )
        self._law = law.within(low, high)
        self._last: tuple[Codes, Codes] | None = None  # what was asked for, and what was taken

    @property
    def codes(self) -> tuple[int, int]:
        """Lowest and highest code that any edge may take."""
        return int(self._law.low.min()), int(self._law.high.max())

    def program(self, conductances: FloatArray) -> Programmed:
        """Set the edges to targets (E,) in siemens, and read back what the board took."""
        wanted = self._law.nearest(conductances)
        codes = np.full(N_EDGES, self.codes[1], dtype=np.uint16)
        codes[self._places] = wanted
        whole = self._write(codes)
        self._last = codes, whole
        taken = whole[self._places]
        return Programmed(conductances, self._law.siemens(taken), taken != wanted)

    def restore(self) -> None:
        """Set the edges once more to what they were last programmed to.

        Raises
        ------
        NetworkError
            If they do not take what they took then.
        """
        if self._last is None:
            return
        codes, taken = self._last
        different = np.flatnonzero(self._write(codes) != taken)
        if different.size:
            raise NetworkError(
                f"{self._board.name}: the edges at {different.tolist()} do not come back to the codes they had; "
                "program them anew"
            )

    def _write(self, codes: Codes) -> Codes:
        self._board.write_codes(codes)
        taken = self._board.read_codes()
        if len(taken) != N_EDGES:
            self._board.transport.garbled("EDGE:DATA?", f"{len(taken)} codes")
        return taken


def _law(record: BoardRecord, places: IntArray) -> Rheostats:
    table = np.array(record.edges, dtype=np.float64)[places]
    size = np.ones(len(places), dtype=np.int64)
    return Rheostats(table[:, 0] * 1e-3, table[:, 1] * 0.1, record.edge_low * size, record.edge_high * size)
