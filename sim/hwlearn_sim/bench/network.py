"""A network on a virtual bench: the one that the drivers make, and beside it what a lab cannot know."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from importlib.metadata import entry_points
from typing import Any

from numpy.typing import ArrayLike
from pydantic import ValidationError

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive
from hwlearn_sim.bench.bench import VirtualBench


class VirtualNetwork(Network):
    """A network on virtual instruments, which knows what a lab cannot.

    Parameters
    ----------
    network : Network
        The network as the drivers have it; whatever it does its own way, it does here too.
    bench : VirtualBench
        The bench behind them; closed with it.
    """

    def __init__(self, network: Network, bench: VirtualBench) -> None:
        super().__init__(network.topology, network.limits, network.nudges, resolution=network.resolution)
        self.bench = bench
        self._network = network

    def true_outputs(self, inputs: ArrayLike) -> FloatArray:
        """Return the output volts (S, n_out) that are really there without noise and limits: for reports."""
        return self.bench.true_outputs(inputs)

    @property
    def true_conductances(self) -> FloatArray:
        """The conductances (E,) that are really there, in siemens: for reports and tests alone."""
        return self.bench.true_conductances

    @property
    def instruments(self) -> tuple[str, ...]:
        """The virtual instruments, as the drivers found them."""
        return self._network.instruments

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        return self._network._measure(inputs, drive)

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        return self._network._measure_sides(inputs, plus, minus)

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        return self._network._both_phases(inputs, error, nudge, symmetric)

    def _most_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        return self._network._most_strength(nudge, free, error)

    def _program(self, conductances: FloatArray) -> Programmed:
        return self._network._program(conductances)

    def _close(self) -> None:
        try:
            self._network.close()
        finally:
            self.bench.close()


def open_served(
    backend: str,
    bench: VirtualBench,
    table: Callable[[VirtualBench], dict[str, Any]],
    limits: Limits,
) -> VirtualNetwork:
    """Serve a bench and open it with the drivers of a real one.

    Parameters
    ----------
    backend : str
        Name of their backend among the entry points.
    bench : VirtualBench
        Closed with the network, and if it cannot be opened.
    table : callable
        The served bench -> the drivers' ``[backend]`` table.
    limits : Limits

    Raises
    ------
    SetupError
        If the backend is not installed, or a setting is wrong.
    HwlearnError
        Whatever the drivers find wrong.
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
