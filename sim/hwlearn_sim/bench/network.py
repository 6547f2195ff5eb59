"""`VirtualNetwork`: a network on a virtual bench, with the true values that no real bench reports."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import entry_points
from typing import Any

from numpy.typing import ArrayLike
from pydantic import ValidationError

from hwlearn.arrays import FloatArray
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network
from hwlearn.network.wrapped import WrappedNetwork
from hwlearn_sim.bench.bench import VirtualBench


class VirtualNetwork(WrappedNetwork):
    """The network of a virtual bench: measures through the real drivers and also knows the true values.

    Parameters
    ----------
    network : Network
        The network that the drivers opened.
    bench : VirtualBench
        The bench behind the drivers; closed with the network.
    """

    def __init__(self, network: Network, bench: VirtualBench) -> None:
        super().__init__(network)
        self.bench = bench

    def true_outputs(self, inputs: ArrayLike) -> FloatArray:
        """Return the true output volts (S, n_out), without noise and converter ranges; for reports."""
        return self.bench.true_outputs(inputs)

    @property
    def true_conductances(self) -> FloatArray:
        """The true conductances (E,) in siemens; for reports and tests."""
        return self.bench.true_conductances

    def _close(self) -> None:
        try:
            super()._close()
        finally:
            self.bench.close()


def open_served(
    backend: str,
    bench: VirtualBench,
    table: Callable[[VirtualBench], dict[str, Any]],
    limits: Limits,
) -> VirtualNetwork:
    """Serve a virtual bench and open it with the drivers of real instruments.

    Parameters
    ----------
    backend : str
        Name of the drivers' backend in the entry-point group ``hwlearn.backends``.
    bench : VirtualBench
        The bench. It is closed together with the network, or if the network cannot be opened.
    table : callable
        Returns the drivers' ``[backend]`` table for the served bench.
    limits : Limits
        Hard limits of the bench.

    Raises
    ------
    SetupError
        If the backend is not installed, or a setting is wrong.
    HwlearnError
        Other errors of the drivers.
    """
    with ExitStack() as stack:
        points = list(entry_points(group="hwlearn.backends", name=backend))
        if not points:
            raise SetupError(f"a virtual bench needs the backend {backend!r}, which is not installed")
        drivers = points[0].load()()
        stack.enter_context(bench)
        try:
            settings = drivers.Settings.model_validate(table(bench))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise SetupError(f"backend.driver: {place}: {first['msg']}") from None
        network = VirtualNetwork(drivers.open(settings, bench.topology, limits), bench)
        stack.pop_all()  # from here on the network closes the bench
        return network
