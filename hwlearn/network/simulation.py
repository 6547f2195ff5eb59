"""`Simulation`: the state of a simulated network, which a resumed run takes up again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hwlearn.errors import HwlearnError, SetupError

State = Mapping[str, np.ndarray]
"""Arrays by name: random generators, conductances, clocks. Only the simulation that made it can read it."""


class Simulation(Protocol):
    """State of a simulated network; see `Network.simulation`."""

    def state(self) -> dict[str, np.ndarray]:
        """Return a copy of everything that later readings depend on, apart from the requests.

        A network that was opened with equal settings and has restored this state answers equal requests with equal
        readings, bit for bit: noise, drift, write noise and device states continue.
        """

    def restore(self, state: State) -> None:
        """Continue from a state that `state` returned, also in another process; nothing has to be programmed."""


def restore_simulation(simulation: Simulation | None, state: State) -> None:
    """Restore the state of a simulation.

    Parameters
    ----------
    simulation : Simulation or None
        `Network.simulation` of the network.
    state : mapping of str to ndarray
        As `Simulation.state` returned it.

    Raises
    ------
    SetupError
        If the network is no simulation, or the state does not fit it.
    """
    if simulation is None:
        raise SetupError("a state of a simulation was stored, but this network is no simulation; start a new run")
    try:
        simulation.restore(state)
    except HwlearnError:
        raise
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise SetupError(
            f"the stored state of the simulation does not fit this bench ({_error_text(error)}): its settings "
            "changed, or another version stored it; start a new run"
        ) from error


def _error_text(error: Exception) -> str:
    """Return what an exception says, in one line."""
    text = " ".join(str(error).split())
    return f"{text} is missing" if isinstance(error, KeyError) else text


def prefixed(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state with ``prefix.`` before each name."""
    return {f"{prefix}.{name}": array for name, array in state.items()}


def part(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays of a state whose names begin with ``prefix.``, without it."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in state.items() if name.startswith(start)}
