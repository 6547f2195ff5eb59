"""`Backend`: protocol of the plugins in the entry-point group ``hwlearn.backends``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.nudges import DriveKind
from hwlearn.network.reports import InstrumentReport
from hwlearn.network.switched_off import SwitchedOff


class Backend(Protocol):
    """A kind of network: the schema of its settings, and a function that opens it.

    A backend also implements `SwitchesOff`, `PreparesOff`, `HaltsOutputs`, `ReportsState`, `Seeded`,
    `ChecksSettings`, `ChecksWiring` or `Simulated` if they apply to it.
    """

    @property
    def Settings(self) -> type[BaseModel]:
        """Schema of the ``[backend]`` table without ``kind``; an attribute of the class."""

    def open(self, settings: Any, topology: Topology, limits: Limits) -> Network:
        """Return the network of the settings, with all outputs off.

        Parameters
        ----------
        settings : Settings
            Validated ``[backend]`` table.
        topology : Topology
            Graph of the bench.
        limits : Limits
            Hard limits of the bench.
        """


@runtime_checkable
class SwitchesOff(Protocol):
    """A backend whose outputs can stay on after a process has ended: all real hardware."""

    def off(self, settings: Any) -> Iterable[SwitchedOff] | None:
        """Send OFF to every output, write-only and without a query before it, whoever uses the instruments.

        Returns
        -------
        iterable of SwitchedOff, or None
            How OFF reached each instrument; None if the backend does not say.

        Raises
        ------
        SwitchOffError
            If it did not reach all of them.
        """


@runtime_checkable
class PreparesOff(Protocol):
    """A backend whose `off` imports or looks up something first."""

    def prepare_off(self, settings: Any) -> None:
        """Import and look up everything that `off` needs; contact no instrument.

        The guardian calls it before it reports that it is ready. Raises an error if `off` could not work.
        """


@runtime_checkable
class HaltsOutputs(Protocol):
    """A backend that can switch off, at once and from any thread, what this process has opened."""

    def halt_open(self, reason: str) -> None:
        """Switch off every output that this process has opened, until a person reconnects or opens again."""


@runtime_checkable
class ReportsState(Protocol):
    """A backend that can say which outputs are on, without setting anything: for ``hwlearn status``."""

    def status(self, settings: Any) -> Iterable[InstrumentReport]:
        """Return the state of every instrument, read with queries that change nothing.

        An instrument that another process uses is not read; that process is asked. An instrument that cannot be
        read is in the result too, with a note that says why.
        """


@runtime_checkable
class ChecksSettings(Protocol):
    """A backend with checks that its schema cannot express and that need no hardware."""

    def check(self, settings: Any) -> None:
        """Refuse settings with a `SetupError` that names key, value and allowed values."""


@runtime_checkable
class ChecksWiring(Protocol):
    """A backend that can tell from the settings alone whether its terminals fit a network."""

    def check_wiring(self, settings: Any, topology: Topology, limits: Limits, nudge: DriveKind | None) -> None:
        """Refuse, before anything is opened, what the hardware cannot do.

        Parameters
        ----------
        settings : Settings
        topology : Topology
        limits : Limits
        nudge : str or None
            Output drive that the training needs; None if its rule needs none.

        Raises
        ------
        SetupError
            Naming everything that is missing, with what it rules out.
        """


@runtime_checkable
class Seeded(Protocol):
    """A backend that uses random numbers, as simulations do."""

    seed_key: str
    """Settings key of the seed."""


@runtime_checkable
class Simulated(Protocol):
    """A backend that calculates its network and reaches no instrument, so that several can be open at once.

    A backend that does not say so counts as hardware.
    """

    simulated: bool
    """True."""
