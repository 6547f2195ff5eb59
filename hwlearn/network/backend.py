"""What a plugin registers in the entry-point group ``hwlearn.backends``: how settings become a network."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network


class Backend(Protocol):
    """A kind of network: the schema of its settings, and how to open it.

    `SwitchesOff` and `Seeded` are further methods that a backend has where they apply.
    """

    Settings: type[BaseModel]
    """Schema of the ``[backend]`` table without ``kind``."""

    def open(self, settings: Any, topology: Topology, limits: Limits) -> Network:
        """Open the network that the settings describe, with all outputs off.

        Parameters
        ----------
        settings : Settings
            The checked table.
        topology : Topology
            The graph of the bench.
        limits : Limits
            Hard limits of the bench.
        """


@runtime_checkable
class SwitchesOff(Protocol):
    """A backend whose outputs can stay on when a process has ended: all real hardware."""

    def off(self, settings: Any) -> None:
        """Send OFF to every output, write-only: nothing is read first."""


@runtime_checkable
class Seeded(Protocol):
    """A backend that draws random numbers: a simulation."""

    seed_key: str
    """The settings key that takes the seed."""
