"""A virtual card of programmable edges. One block of codes sets all edges.

Messages: ``EDGE:DATA #block`` and ``EDGE:DATA?``. A block contains little-endian 16-bit codes, followed by their
CRC-16/CCITT-FALSE. A block that is damaged or has the wrong length is rejected with -161, a code out of range with
-222. No edge changes then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import CodeLaw
from hwlearn_drivers.errors import GarbledReplyError
from hwlearn_drivers.transport.blocks import decode_codes, encode_codes
from hwlearn_sim.devices.programmed import Devices
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.instrument import ScpiInstrument
from hwlearn_sim.instruments.scpi.language import as_block, block
from hwlearn_sim.instruments.scpi.parameters import checked_count
from hwlearn_sim.plane.plane import AnalogPlane


class VirtualEdgeCard(ScpiInstrument):
    """A card that programs edges of the plane.

    Parameters
    ----------
    plane : AnalogPlane
        The circuit.
    law : CodeLaw
        Conductance of each code.
    devices : Devices
        True conductances of all edges of the plane.
    edges : sequence of int, optional
        The edge at each position of the card. Default: all edges, in order.
    codes : sequence of int, optional
        Initial codes. Default: the middle code.
    serial : str
        Serial number.

    Raises
    ------
    SetupError
        If an edge does not exist or is listed twice, or the codes are invalid.
    """

    def __init__(
        self,
        plane: AnalogPlane,
        law: CodeLaw,
        devices: Devices,
        edges: Sequence[int] | None = None,
        codes: Sequence[int] | None = None,
        serial: str = "1",
    ) -> None:
        super().__init__(f"hwlearn,EDGE CARD,{serial},1.0", 10)
        self._plane, self._law, self._devices = plane, law, devices
        every = plane.topology.n_edges
        self._edges = np.arange(every) if edges is None else np.array(edges, dtype=np.int64)
        if len(set(self._edges.tolist())) != len(self._edges) or not np.isin(self._edges, np.arange(every)).all():
            raise SetupError(
                f"edges of an edge card must be different numbers from 0 to {every - 1}, got {list(edges or [])}"
            )
        self._nominal: FloatArray = np.array(plane.conductances)
        self._codes = np.full(len(self._edges), law.positions // 2, dtype=np.int64)
        if codes is not None:
            self._codes[:] = self._checked(np.array(codes, dtype=np.int64))
        self._move()
        self.command("EDGE:DATA", self._write, self._query)

    @property
    def codes(self) -> IntArray:
        """The code at each position."""
        return self._codes.copy()

    def reset(self) -> None:
        """Keep the edges unchanged: no code of a potentiometer is safer than another."""

    def _write(self, _: tuple[int, ...], arguments: list[str]) -> None:
        (argument,) = checked_count(arguments, 1)
        try:
            codes = decode_codes(block(argument)).astype(np.int64)
        except GarbledReplyError:
            raise VirtualInstrumentError(-161) from None
        if len(codes) != len(self._codes):
            raise VirtualInstrumentError(-161)
        if (codes >= self._law.positions).any():
            raise VirtualInstrumentError(-222)
        self._codes = codes
        self._move()

    def _query(self, _: tuple[int, ...], arguments: list[str]) -> str:
        checked_count(arguments, 0)
        return as_block(encode_codes(self._codes))

    def _move(self) -> None:
        self._nominal[self._edges] = self._law.siemens(self._codes)
        true = np.array(self._plane.conductances)
        true[self._edges] = self._devices.written(self._nominal)[self._edges]
        self._plane.set_conductances(true)

    def _checked(self, codes: IntArray) -> IntArray:
        if codes.shape != self._codes.shape or (codes < 0).any() or (codes >= self._law.positions).any():
            raise SetupError(
                f"codes of the edge card must be {len(self._codes)} integers from 0 to {self._law.positions - 1}"
            )
        return codes
