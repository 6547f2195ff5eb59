"""`Subject`: the network under test, what its author says about it, and what all tests of the contract use."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
import pytest
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import ComplianceError, HwlearnError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Network, Readout
from hwlearn.network.nudges import OutputDrive

_SIGMAS = 6.0
"""Standard errors by which a reading may differ by chance: one reading in a billion differs by more."""

_ROUNDING = 1e-7
"""Relative to the limit of voltage: differences of solvers and of number formats."""

_BELOW_CURRENT = 0.4
"""Share of the current limit that the default inputs need at most, with every edge at its largest conductance."""


class Exercise(NamedTuple):
    """A network that was programmed and driven: its model, its inputs (S, n_in), and the noise of one reading."""

    network: Network
    model: Kirchhoff
    inputs: FloatArray
    tolerance_V: float


class Subject:
    """What the author of a backend says about the network under test; subclass `NetworkContract`, not this class.

    Attributes
    ----------
    accuracy : float
        Largest deviation of the readings from a model with the conductances that `program` reports, as a share of
        what the inputs do to them. Spread of devices and errors of converters are in it.
    rows : int
        Samples of an ordinary batch.
    big_batch : int
        Samples of a large batch.
    repeats : int
        Readings of one state from which noise is estimated.
    edges_tested : int
        Edges that are programmed one by one.
    interrupts : int
        Places inside a measurement at which it is interrupted.
    off_within_s : float
        Time in seconds in which the hardware executes OFF after it was sent.
    """

    accuracy: ClassVar[float] = 0.25
    rows: ClassVar[int] = 8
    big_batch: ClassVar[int] = 150
    repeats: ClassVar[int] = 48
    edges_tested: ClassVar[int] = 32
    interrupts: ClassVar[int] = 12
    off_within_s: ClassVar[float] = 1.0

    _open_networks: list[Network] | None = None

    # --- given by the author ------------------------------------------------------------------------

    def make_network(self) -> Network:
        """Return a newly opened network with its outputs off, every time with the same settings.

        The network that was made before is closed. Simulations have the same seed each time.
        """
        raise NotImplementedError("a subclass of NetworkContract must implement make_network(self)")

    def inputs(self) -> ArrayLike | None:
        """Return inputs (S, n_in) in volts within the limits; None for random ones, as large as allowed."""
        return None

    def limits(self) -> Limits | None:
        """Return the limits of the bench; None: those that the network reports."""
        return None

    def model(self, network: Network, conductances: FloatArray) -> Kirchhoff:
        """Return the circuit that the readings are compared with, at conductances (E,) that `program` reported."""
        return Kirchhoff(network.topology, conductances, allow_open=bool((conductances == 0).any()))

    def outputs_on(self, network: Network) -> bool | None:
        """Return whether an output of the hardware is on, without using the network: it may be closed.

        Ask the stand-in of the hardware in the tests, or a second instrument. None: this cannot be known.
        """
        return None

    def hardware_state(self, network: Network) -> object:
        """Return what a request changes in the hardware, to be compared with ``==``; None: not known."""
        return None

    def stop_answering(self, network: Network) -> bool:
        """Let the hardware execute all commands but answer none; return False if that is not possible."""
        return False

    def stuck_edges(self, network: Network) -> list[int]:
        """Return the edges that the hardware cannot program, which must be reported as failed."""
        return []

    # --- networks -----------------------------------------------------------------------------------

    @pytest.fixture(autouse=True)
    def _networks_are_closed(self) -> Iterator[None]:
        self._open_networks = []
        yield
        self.close_networks()

    def close_networks(self) -> None:
        """Close every network that a test has opened."""
        left, self._open_networks = self._open_networks or [], []
        for network in left:
            network.close()

    def opened(self) -> Network:
        """Return a new network; the one before is closed, and every one at the end of the test."""
        self.close_networks()
        network = self.make_network()
        self._open_networks = [network]
        return network

    def exercise(self, network: Network | None = None, seed: int = 0) -> Exercise:
        """Return a network that was programmed with random conductances, and what is compared with it."""
        used = self.opened() if network is None else network
        model = self.programmed(used, self.random_values(used, seed))
        x = self.chosen_inputs(used)
        return Exercise(used, model, x, self.tolerance_V(used, x))

    def programmed(self, network: Network, targets: FloatArray) -> Kirchhoff:
        """Program targets (E,), and return the model with the conductances that the network reports."""
        done = network.program(targets)
        return self.model(network, done.reached)

    def random_values(self, network: Network, seed: int) -> FloatArray:
        """Return values (E,) over the whole range of the limits; each decade of conductances alike."""
        return network.limits.ranges(network.topology).drawn(np.random.default_rng(seed))

    # --- inputs -------------------------------------------------------------------------------------

    def chosen_inputs(self, network: Network) -> FloatArray:
        """Return the inputs (S, n_in) in volts of the author, or random ones."""
        given = self.inputs()
        if given is not None:
            x = batch(given, network.topology.n_inputs, "inputs()")
            if len(x) < 2 or (np.ptp(x, axis=0) == 0).all():
                pytest.fail("inputs() must return at least two samples that differ")
            return x
        top, limits = network.topology, network.limits
        rng = np.random.default_rng(1)
        # the first input is at its limit in the first two samples: clipped levels are found at the ends
        x = rng.uniform(-1.0, 1.0, (self.rows, top.n_inputs))
        x[:2, 0] = 1.0, -1.0
        x *= min(limits.voltage, limits.drop if top.n_inputs == 1 else 0.5 * limits.drop)
        return x * self._share(network, x)

    def _share(self, network: Network, x: FloatArray) -> float:
        """Return by how much inputs (S, n_in) must be reduced so that no source comes near its current limit."""
        top, limits = network.topology, network.limits
        model = self.model(network, limits.ranges(top).ends[1])
        share = 1.0
        for _ in range(60):
            largest = float(np.abs(model.source_currents(model.solve(share * x))).max())
            if largest <= _BELOW_CURRENT * limits.current:
                return share
            share *= 0.8 if top.elements is not None else _BELOW_CURRENT * limits.current / largest
        pytest.fail("no inputs were found that keep the sources below limits.current; implement inputs(self)")

    # --- noise and deviations -----------------------------------------------------------------------

    def tolerance_V(self, network: Network, inputs: FloatArray) -> float:
        """Return by how many volts two readings of one state may differ by chance."""
        read = network.measure(np.repeat(inputs[:1], self.repeats, axis=0))
        seen = float(read.voltages.std(axis=0, ddof=1).max())
        sigma = max(seen, read.voltage_sigma)
        return _SIGMAS * 2**0.5 * sigma + network.resolution + _ROUNDING * network.limits.voltage

    def check_same(self, found: FloatArray, expected: FloatArray, tolerance_V: float, what: str) -> None:
        """Fail if readings differ by more than the tolerance."""
        if found.shape != expected.shape:
            pytest.fail(f"{what}: shape {found.shape} instead of {expected.shape}")
        if not found.size:
            return
        off = np.abs(found - expected)
        worst = tuple(int(k) for k in np.unravel_index(int(off.argmax()), off.shape))
        if not off[worst] <= tolerance_V:
            pytest.fail(
                f"{what}: {found[worst]:.6g} V instead of {expected[worst]:.6g} V at sample and output {worst}; "
                f"noise and resolution explain {tolerance_V:.3g} V"
            )

    def check_agrees(self, found: FloatArray, expected: FloatArray, noise: float, what: str) -> None:
        """Fail if measured values (S, n) do not follow those of the model: wrong unit, sign, channel or edge."""
        wrong = np.sqrt(np.mean((found - expected) ** 2, axis=0))
        size = np.sqrt(np.mean(expected**2, axis=0))
        allowed = self.accuracy * np.maximum(size, 0.2 * size.max()) + noise
        if not (wrong <= allowed).all():
            j = int(np.argmax(wrong - allowed))
            pytest.fail(
                f"{what}, column {j}: rms deviation {wrong[j]:.3g} from a model whose values have {size[j]:.3g} "
                f"rms; allowed is {allowed[j]:.3g} (accuracy = {self.accuracy:g}). Measured: "
                f"{np.array2string(found[:4, j], precision=4)}, "
                f"model: {np.array2string(expected[:4, j], precision=4)}"
            )

    # --- outputs ------------------------------------------------------------------------------------

    def check_off(self, network: Network, when: str, *, by_others: bool = False) -> None:
        """Fail if an output of the hardware stays on, as far as the author can say.

        The network must know it too, unless others have switched off.
        """
        deadline = time.monotonic() + self.off_within_s
        while self.outputs_on(network):
            if time.monotonic() > deadline:
                pytest.fail(f"an output is on {when}")
            time.sleep(0.002)
        if network.drives_outputs and not by_others:
            pytest.fail(f"drives_outputs says that outputs are on {when}")

    @contextlib.contextmanager
    def refused(self, network: Network, error: type[HwlearnError], what: str) -> Iterator[None]:
        """Fail unless this block raises the error, before anything was applied to the hardware."""
        counted, state = network.measurements, self.hardware_state(network)
        try:
            yield
        except ComplianceError as late:
            pytest.fail(f"{what} was applied, and found only by compliance: {late}")
        except error:
            pass
        except Exception as other:
            pytest.fail(f"{what} must raise {error.__name__}, not {type(other).__name__}: {other}")
        else:
            pytest.fail(f"{what} was not refused; it must raise {error.__name__}")
        if network.closed:
            pytest.fail(f"{what} closed the network; a refused request leaves it open")
        if network.measurements != counted:
            pytest.fail(f"{what} was counted as a measurement")
        if state is not None and self.hardware_state(network) != state:
            pytest.fail(f"{what} was refused, but the hardware was changed")


def model_outputs(model: Kirchhoff, topology: Topology, x: FloatArray, drive: OutputDrive | None) -> FloatArray:
    """Return the volts (S, n_out) at the outputs of a model, with inputs (S, n_in) and an output drive."""
    if drive is None:
        V = model.solve(x)
    elif drive.siemens is not None:
        V = model.solve_behind(x, drive.values, drive.siemens)[0]
    elif drive.kind == "clamp":
        V = model.solve(x, clamped=drive.values)
    else:
        V = model.solve(x, injected=drive.values)
    return np.asarray(V[:, topology.outputs])


def copied(read: Readout) -> dict[str, FloatArray]:
    """Return copies of the arrays of a readout, by name."""
    arrays = {
        "voltages": read.voltages,
        "output_currents": read.output_currents,
        "source_currents": read.source_currents,
        "nodes": read.nodes,
    }
    return {name: array.copy() for name, array in arrays.items() if array is not None}
