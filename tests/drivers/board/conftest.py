"""A fixture that opens boards."""

import pytest
from board_rig import transport

from hwlearn_drivers.board.board import Board


@pytest.fixture
def opened(board_rig):
    """Return a function that opens a board; all boards are closed at the end."""
    boards = []

    def make(timeout_s=2.0, **options):
        rig = board_rig(**options)
        boards.append(Board.open(transport(rig.address, timeout_s)))
        return rig, boards[-1]

    yield make
    for board in boards:
        board.close()
