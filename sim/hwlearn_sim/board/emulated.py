"""Choose what runs the firmware of a virtual board: this computer, or an emulated ATmega2560 (in a checkout)."""

from __future__ import annotations

import importlib
import sys
from typing import Any, cast

from hwlearn.errors import SetupError
from hwlearn_sim.board.board import Controller
from hwlearn_sim.board.build import firmware_folder
from hwlearn_sim.board.native import NativeBoard
from hwlearn_sim.placed import Emulation


def make_controller(emulation: Emulation) -> Controller:
    """Return the controller of a board, switched off and with a blank EEPROM.

    Raises
    ------
    SetupError
        If the firmware cannot be compiled, or the emulator is not available.
    """
    return NativeBoard() if emulation == "native" else _emulated()


def _emulated() -> Controller:
    folder = firmware_folder() / "emu"
    if not (folder / "refboard_emu.py").is_file():
        raise SetupError(
            "the emulated board needs a checkout of hwlearn, because its emulator is GPL; use emulation = 'native'"
        )
    # the emulator is not part of an installed package
    sys.path.insert(0, str(folder))
    try:
        module: Any = importlib.import_module("refboard_emu")
        return cast(Controller, module.EmulatedBoard())
    except (ImportError, OSError) as error:
        raise SetupError(f"the emulated board is not available: {str(error).splitlines()[0]}") from error
    finally:
        sys.path.remove(str(folder))
