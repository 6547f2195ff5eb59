"""`WrappedNetwork`: a network that forwards every operation to another network."""

from __future__ import annotations

from dataclasses import replace

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.device_access.access import DeviceAccess
from hwlearn.network.limits import Limits
from hwlearn.network.network import ErrorSignal, Network, Programmed, Readout, TwoPhase
from hwlearn.network.nudges import Nudge, OutputDrive
from hwlearn.network.simulation import Simulation


class WrappedNetwork(Network):
    """Base class of networks that change what passes between the caller and another network.

    Every operation is forwarded, including the fast paths `_measure_sides` and `_both_phases`. A subclass
    overrides the hooks of `Network` that it changes and reaches the inner network through ``super()``: only this
    class calls the protected methods of another network. What reaches the inner network is checked against its
    limits, so that no subclass can exceed them; a subclass may narrow its own ``limits`` and ``nudges``. Samples
    are also counted by the inner network, and its ``on_measured`` is called first. What the inner network returns
    is checked before a subclass sees it, and again only if the subclass changes it.

    Parameters
    ----------
    network : Network
        The inner network; it is closed with this one.
    """

    _is_backend = False
    has_any_values = True

    def __init__(self, network: Network) -> None:
        super().__init__(network.topology, network.limits, network.nudges, resolution=network.resolution)
        self._network = network
        self._use = network._use  # one thread at a time, through this network or the inner one

    @property
    def network(self) -> Network:
        """The inner network."""
        return self._network

    def _shown_name(self) -> str:
        return f"{type(self).__name__} of {type(self._network).__name__}"

    @property
    def instruments(self) -> tuple[str, ...]:
        """Instruments of the inner network."""
        return self._network.instruments

    @property
    def has_fixed_edges(self) -> bool:
        """Whether the edges of the inner network cannot be programmed."""
        return self._network.has_fixed_edges

    @property
    def drives_outputs(self) -> bool | None:
        """Whether outputs of the inner network are on; None if that is not known."""
        return self._network.drives_outputs

    @property
    def noise_is_from_data_sheet(self) -> bool:
        """Whether the uncertainty of readings of the inner network is the figure of a data sheet."""
        return self._network.noise_is_from_data_sheet

    @property
    def settle_s(self) -> float | None:
        """Settling time of the inner network in seconds; None if unknown."""
        return self._network.settle_s

    @property
    def reading_s(self) -> float | None:
        """Duration in seconds of reading one sample of the inner network; None if unknown."""
        return self._network.reading_s

    @property
    def dac_step_V(self) -> float | None:
        """Step in volts of the input converters of the inner network; None if unknown or continuous."""
        return self._network.dac_step_V

    @property
    def relay_moves(self) -> int | None:
        """Number of relays of the inner network that were opened or closed; None if it has none."""
        return self._network.relay_moves

    @property
    def direct_levels(self) -> int | None:
        """Number of voltages that the inner network can measure directly; None: any."""
        return self._network.direct_levels

    @property
    def conductance_step_S(self) -> float | None:
        """Step in siemens of the conductances of the inner network; None if unknown, unequal or continuous."""
        return self._network.conductance_step_S

    @property
    def nudge_siemens(self) -> FloatArray | None:
        """Conductances (n_out,) in siemens of the nudge resistors of the inner network; None if it has none."""
        return self._network.nudge_siemens

    @property
    def simulation(self) -> Simulation | None:
        """State of a simulated inner network; None on hardware."""
        return self._network.simulation

    @property
    def closed(self) -> bool:
        """Whether this network or the inner one has been closed."""
        return super().closed or self._network.closed

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        self._network._check_request(inputs, drive)
        return self._vouch(self._network._checked_measure(inputs, drive))

    def _measure_sides(
        self, inputs: FloatArray, plus: OutputDrive, minus: OutputDrive | None
    ) -> tuple[Readout, Readout | None, BoolArray | None]:
        for drive in (plus,) if minus is None else (plus, minus):
            self._network._check_request(inputs, drive)
        return self._vouch(self._network._checked_sides(inputs, plus, minus))

    def _both_phases(
        self, inputs: FloatArray, error: ErrorSignal, nudge: Nudge, symmetric: bool
    ) -> TwoPhase | None:
        if self._is_narrowed():  # hardware that computes the nudges knows only its own limits
            return None
        self._network._check_request(inputs, None)
        return self._vouch(self._network._checked_phases(inputs, error, nudge, symmetric))

    def _nudge_limits(self) -> Limits:
        inside = self._network._checked_nudge_limits()
        if not self._is_narrowed():
            return inside
        names = ("voltage", "drop", "nudge", "current")
        return replace(inside, **{name: min(getattr(inside, name), getattr(self.limits, name)) for name in names})

    def _max_strength(self, nudge: Nudge, free: FloatArray, error: FloatArray) -> FloatArray:
        return self._network._checked_max_strength(nudge, free, error)

    def _program(self, values: FloatArray) -> Programmed:
        self._network.limits.check_values(self.topology, values)
        return self._vouch(self._network._checked_program(values))

    def _device_access(self) -> DeviceAccess | None:
        return self._network.devices

    def _keep_superposition(self, holds: bool, found: str) -> None:
        self._network._keep_superposition(holds, found)

    def _switch_off(self) -> None:
        self._network._checked_switch_off()

    def _reconnect(self) -> None:
        self._network._checked_reconnect()

    def _true_outputs(self, inputs: FloatArray) -> FloatArray | None:
        return self._network._checked_true_outputs(inputs)

    def _close(self) -> None:
        self._network.close()

    def _check_open(self) -> None:
        super()._check_open()
        self._network._check_open()

    def _check_request(self, inputs: FloatArray, drive: OutputDrive | None) -> None:
        if self._is_narrowed():
            super()._check_request(inputs, drive)
        self._network._check_request(inputs, drive)

    def _is_narrowed(self) -> bool:
        """Return whether a subclass has changed the limits or the nudges."""
        return self.limits != self._network.limits or self.nudges != self._network.nudges

    def _count(self, samples: int) -> None:
        self._count_inside(samples)
        super()._count(samples)

    def _count_inside(self, samples: int) -> None:
        """Count samples that the inner network measured, unless there are none."""
        if samples:
            self._network._count(samples)
