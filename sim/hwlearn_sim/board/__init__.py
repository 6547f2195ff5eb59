"""The virtual board: the firmware of the reference board, compiled for this computer."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.board.board import VirtualBoard as VirtualBoard
    from hwlearn_sim.board.native import NativeBoard as NativeBoard
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
