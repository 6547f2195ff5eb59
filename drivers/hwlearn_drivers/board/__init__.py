"""Driver of the reference board."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_drivers.board.backend import BoardBackend as BoardBackend
    from hwlearn_drivers.board.board import Board as Board
    from hwlearn_drivers.board.network import BoardNetwork as BoardNetwork
    from hwlearn_drivers.board.record import BoardRecord as BoardRecord
    from hwlearn_drivers.board.settings import BoardSettings as BoardSettings
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
