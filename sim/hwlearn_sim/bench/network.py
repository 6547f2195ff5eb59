"""`VirtualNetwork`: a network on a virtual bench, with the true values that no real bench reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
from pydantic import ValidationError

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import SetupError
from hwlearn.installed import entry_points
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network, Programmed, Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.network.simulation import Simulation, State, part, prefixed
from hwlearn.network.wrapped import WrappedNetwork
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.bench.requests import LastRequests


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
        self._last = LastRequests()

    # --- state --------------------------------------------------------------------------------------

    @property
    def simulation(self) -> Simulation:
        """The network itself: the state of the virtual bench can be stored and restored."""
        return self

    def state(self) -> dict[str, np.ndarray]:
        """Return the state of the virtual bench and the last requests, on which the drivers' next steps depend."""
        return {**prefixed("drivers", self._last.state()), **prefixed("bench", self.bench.state())}

    def restore(self, state: State) -> None:
        """Repeat the last requests, so that drivers and instruments are as they were; continue from the state."""
        last = LastRequests.of(part("drivers", state))
        if last.targets is not None:
            self.program(last.targets)
        self.bench.restore(part("bench", state))
        if last.inputs is not None and self.bench.stays_driven:
            super()._measure(last.inputs, last.drive)
            if last.targets is not None and last.programmed_last:
                self.program(last.targets)
            self.bench.restore(part("bench", state))
        self._last = last

    def _program(self, conductances: FloatArray) -> Programmed:
        done = super()._program(conductances)
        self._last = replace(self._last, targets=conductances.copy(), programmed_last=True)
        return done

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        read = super()._measure(inputs, drive)
        self._note(inputs, drive)
        return read

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        sides = super()._measure_sides(inputs, plus, minus)
        self._note(inputs, plus if minus is None else minus)
        return sides

    def _switch_off(self) -> None:
        super()._switch_off()
        self._last = replace(self._last, inputs=None, drive=None)

    def _reconnect(self) -> None:
        super()._reconnect()
        self._last = replace(self._last, inputs=None, drive=None)

    def _note(self, inputs: FloatArray, drive: OutputDrive | None) -> None:
        """Keep the last sample of a measurement: it determines what the sources are set to."""
        if len(inputs):
            values = None if drive is None else replace(drive, values=drive.values[-1:].copy())
            self._last = replace(self._last, inputs=inputs[-1:].copy(), drive=values, programmed_last=False)

    @property
    def true_conductances(self) -> FloatArray:
        """The true conductances (E,) in siemens; for reports and tests."""
        return self.bench.true_conductances

    def _true_outputs(self, inputs: FloatArray) -> FloatArray:
        return self.bench.true_outputs(inputs)

    def _close(self) -> None:
        try:
            super()._close()
        finally:
            self.bench.close()


def check_driver_table(
    backend: str, given: Mapping[str, Any], needed: Mapping[str, Any], section: str = "backend.driver."
) -> None:
    """Check keys for the drivers against the settings of their backend; without the drivers, nothing is checked.

    Parameters
    ----------
    backend : str
        Name of the drivers' backend.
    given : mapping
        The keys.
    needed : mapping
        Values for the keys without a default, which the virtual bench provides.
    section : str
        What precedes a key in the error message.

    Raises
    ------
    SetupError
        With key, value and allowed values.
    """
    for point in _backends(backend):
        _checked_settings(point.load()(), {**needed, **given}, section)


def _backends(name: str) -> list[EntryPoint]:
    return [point for point in entry_points("hwlearn.backends") if point.name == name]


def _checked_settings(drivers: Any, table: Mapping[str, Any], where: str) -> Any:
    try:
        return drivers.Settings.model_validate(dict(table))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        value = "" if first["type"] == "missing" else f" = {first['input']!r}"
        reason = first["msg"].removeprefix("Value error, ")
        raise SetupError(f"{where}{place}{value}: {reason}") from None


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
    points = _backends(backend)
    if not points:
        raise SetupError(f"a virtual bench needs the backend {backend!r}, which is not installed")
    return open_with(points[0].load(), bench, table, limits)


def open_with(
    drivers: Callable[[], Any],
    bench: VirtualBench,
    table: Callable[[VirtualBench], dict[str, Any]],
    limits: Limits,
) -> VirtualNetwork:
    """Serve a virtual bench and open it with a backend; as `open_served`.

    Parameters
    ----------
    drivers : callable
        The class of the backend.
    bench, table, limits
        See `open_served`.
    """
    with ExitStack() as stack:
        backend = drivers()
        stack.enter_context(bench)
        settings = _checked_settings(backend, table(bench), "backend.driver.")
        network = VirtualNetwork(backend.open(settings, bench.topology, limits), bench)
        stack.pop_all()  # from here on the network closes the bench
        return network
