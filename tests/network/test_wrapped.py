"""A wrapped network keeps every operation of the inner network, fast paths included."""

from dataclasses import replace

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import EdgeRecord
from hwlearn.errors import LimitError, NetworkError
from hwlearn.lab.calibration.journal import Journal, JournaledNetwork
from hwlearn.network.checked import CheckedBackend
from hwlearn.network.network import Network
from hwlearn.network.wrapped import WrappedNetwork
from hwlearn_sim import KirchhoffTwin
from hwlearn_sim.bench.network import VirtualNetwork

NUDGE = hl.ResistorNudge(0.1, 1e-4)

IMPLEMENTED_ONCE = {
    "_repr_html_",
    "_shown",
    *(
        "keep_superposition",
        "measure",
        "two_phase",
        "program",
        "close",
        "_strengths",
        "_two_phase",
        "_program_targets",
    ),
    *("pulse_totals", "_notify", "_notify_nudged"),
    "revoke",  # acts on the calls of both networks, which they count together
    *("_vouch", "_checked_measure", "_checked_sides", "_checked_phases", "_checked_program"),
    *(
        "reconnect",
        "true_outputs",
        "devices",
        "_checked_reconnect",
        "switch_off",
        "reserved",
        "_checked_switch_off",
        "_checked_true_outputs",
    ),
    *("_checked_nudge_limits", "_checked_max_strength"),
}
"""Parts of `Network` that call the hooks: a wrapped network runs them itself."""


class BoardLike(KirchhoffTwin):
    """A twin with the operations of a board: sequences of phases, strengths with a bound, known converters."""

    settle_s = 2e-3
    dac_step_V = 1e-4
    conductance_step_S = 1e-7

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.sequences = []

    @property
    def nudge_siemens(self):
        return np.full(self.topology.n_outputs, 1e-4)

    def _measure_sides(self, inputs, plus, minus):
        self.sequences.append("sides")
        high, low, _ = super()._measure_sides(inputs, plus, minus)
        refused = np.zeros(len(inputs), dtype=bool)
        refused[0] = True
        return high, low, refused

    def _both_phases(self, inputs, error, nudge, symmetric):
        if not isinstance(error, hl.TargetError) or nudge.strength == "auto":
            return None
        self.sequences.append("both")
        free = self._measure(inputs, None)
        e = error(free.voltages)
        t = np.full(len(inputs), nudge.strength)
        plus = self._measure(inputs, nudge.drive(free.voltages, e, t))
        minus = self._measure(inputs, nudge.drive(free.voltages, e, -t)) if symmetric else None
        return hl.TwoPhase(free, plus, minus, e, t)

    def _max_strength(self, nudge, free, error):
        return np.full(len(free), 0.2)


@pytest.fixture
def board(small, wide_limits):
    """A programmed board-like network."""
    network = BoardLike(small[0], wide_limits)
    network.program(small[1])
    return network


@pytest.fixture
def journal(tmp_path):
    """An empty journal."""
    facts = {"topology": "t", "instruments": ["a"]}
    with Journal(tmp_path / "journal", facts) as journal:
        yield journal


def calibrated(network):
    """Return the network with calibrated edges and nominal converters."""
    n = network.topology.n_edges
    edges = EdgeRecord(
        gain=np.full(n, 1.01),
        gain_sigma=np.zeros(n),
        scale_sigma=0.0,
        scale_known=True,
        chi=1.0,
        configurations=16,
    )
    return CalibratedNetwork(network, CalibrationRecord.of(network.topology, ()).with_step("edges", edges))


def test_wrapped_network_forwards_every_part_of_the_interface():
    """An operation added to `Network` must be forwarded, or be named as implemented once."""
    defined = {**vars(CheckedBackend), **vars(Network)}
    parts = {name for name, part in defined.items() if callable(part) or isinstance(part, property)}
    parts = {name for name in parts if not name.startswith("__")}
    assert parts - set(vars(WrappedNetwork)) == IMPLEMENTED_ONCE


@pytest.mark.parametrize("kind", [CalibratedNetwork, JournaledNetwork, VirtualNetwork])
def test_networks_that_wrap_another_derive_from_one_class(kind):
    assert issubclass(kind, WrappedNetwork)


@pytest.mark.parametrize("wrap", [WrappedNetwork, calibrated, lambda network: WrappedNetwork(calibrated(network))])
def test_wrapped_network_reports_the_hardware_of_the_inner_network(board, wrap):
    network = wrap(board)
    assert (network.settle_s, network.dac_step_V, network.conductance_step_S) == (2e-3, 1e-4, 1e-7)
    np.testing.assert_array_equal(network.nudge_siemens, board.nudge_siemens)
    assert network.instruments == board.instruments
    assert network.resolution == board.resolution
    assert network.nudges == board.nudges
    x = np.eye(4)
    np.testing.assert_array_equal(network.true_outputs(x), board.true_outputs(x))


def test_two_phase_sequence_passes_journal_and_calibration(board, journal, small):
    _, _, x, y = small
    network = calibrated(JournaledNetwork(board, journal))
    plain = board.two_phase(x, hl.TargetError(y), NUDGE)
    board.sequences.clear()
    done = network.two_phase(x, hl.TargetError(y), NUDGE)
    assert board.sequences == ["both"]
    for phase in ("free", "plus", "minus"):
        np.testing.assert_array_equal(getattr(done, phase).voltages, getattr(plain, phase).voltages)


@pytest.mark.parametrize("symmetric", [True, False])
def test_nudged_phases_pass_journal_and_calibration(board, journal, small, symmetric):
    _, _, x, y = small
    network = calibrated(JournaledNetwork(board, journal))
    done = network.two_phase(x, lambda volts: volts - y, NUDGE, symmetric)
    assert board.sequences == ["sides"]
    assert np.flatnonzero(done.skipped).tolist() == [0], "the sample that the hardware refused"
    with pytest.raises(LimitError, match="exceeds what the hardware supports"):
        network.two_phase(x, lambda volts: volts - y, hl.ResistorNudge(0.3, 1e-4))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("by_board", [True, False])
def test_journal_replays_two_phase_measurements(board, journal, small, symmetric, by_board):
    _, g, x, y = small
    error = hl.TargetError(y) if by_board else lambda volts: volts - y

    def procedure():
        network = JournaledNetwork(board, journal)
        counted = []
        network.on_measured = counted.append
        network.program(g)
        return network, network.two_phase(x, error, NUDGE, symmetric), sum(counted)

    network, first, counted = procedure()
    assert network.replayed == 0
    assert network.fresh == counted
    measured = board.measurements
    board.program(np.full_like(g, 1e-5))
    board.sequences.clear()
    network, again, counted_again = procedure()
    assert (board.sequences, board.measurements) == ([], measured)
    assert (network.replayed, network.fresh) == (network.answers, 0)
    assert counted_again == counted
    np.testing.assert_array_equal(again.strength, first.strength)
    np.testing.assert_array_equal(again.error, first.error)
    assert (again.minus is None) == (not symmetric)
    for phase in ("free", "plus", "minus") if symmetric else ("free", "plus"):
        np.testing.assert_array_equal(getattr(again, phase).voltages, getattr(first, phase).voltages)
        np.testing.assert_array_equal(getattr(again, phase).output_currents, getattr(first, phase).output_currents)


def test_journal_keeps_that_the_hardware_has_no_two_phase_sequence(board, journal, small):
    _, _, x, y = small
    nudge = hl.ResistorNudge("auto", 1e-4).bound(hl.Kirchhoff(*small[:2]).output_impedance())
    results = [
        JournaledNetwork(board, journal).two_phase(x, hl.TargetError(y), nudge).plus.voltages for _ in range(2)
    ]
    assert board.sequences == ["sides"], "the second procedure was answered from the journal"
    np.testing.assert_array_equal(*results)


def test_samples_are_counted_on_both_networks(board):
    network, outer, inner = WrappedNetwork(board), [], []
    network.on_measured, board.on_measured = outer.append, inner.append
    network.measure(np.zeros((5, 4)))
    assert (network.measurements, board.measurements, outer, inner) == (5, 5, [5], [5])


def test_closed_inner_network_is_refused(board):
    network = WrappedNetwork(board)
    board.close()
    with pytest.raises(NetworkError, match="closed"):
        network.measure(np.zeros((1, 4)))


def test_closing_a_wrapped_network_closes_the_inner_network(board):
    with WrappedNetwork(board):
        assert not board.closed
    assert board.closed


class Doubled(WrappedNetwork):
    """A wrapper that changes requests and checks nothing itself."""

    def _measure(self, inputs, drive):
        return super()._measure(2 * inputs, drive)

    def _measure_sides(self, inputs, plus, minus):
        return super()._measure_sides(2 * inputs, plus, minus)

    def _both_phases(self, inputs, error, nudge, symmetric):
        return super()._both_phases(2 * inputs, error, nudge, symmetric)

    def _program(self, conductances):
        return super()._program(2 * conductances)


def test_subclass_of_wrapped_network_cannot_exceed_the_inner_limits(small, bench_limits):
    board = BoardLike(small[0], bench_limits)
    doubled = Doubled(board)
    x = np.full((2, 4), 0.8 * bench_limits.voltage)
    high = np.full(small[0].n_edges, 0.8 * bench_limits.conductance[1])
    with pytest.raises(LimitError, match=r"limits\.voltage"):
        doubled.measure(x)
    for strength in ("auto", 0.1):
        with pytest.raises(LimitError, match=r"limits\.voltage"):
            doubled.two_phase(x, hl.TargetError(np.zeros((2, 3))), hl.ClampNudge(strength))
    with pytest.raises(LimitError, match=r"limits\.conductance"):
        doubled.program(high)
    assert board.measurements == 0
    assert board.sequences == []


class Narrowed(WrappedNetwork):
    """A wrapper with limits and nudges of its own."""

    def __init__(self, network, **limits):
        super().__init__(network)
        self.limits = replace(network.limits, **limits)
        self.nudges = frozenset({"clamp"})


def test_subclass_of_wrapped_network_can_narrow_the_limits(small, bench_limits):
    board = BoardLike(small[0], bench_limits)
    board.program(np.full(small[0].n_edges, 1e-5))
    narrow = Narrowed(board, voltage="100 mV", nudge="1 mV", conductance=("9 uS", "11 uS"))
    x, error = np.full((2, 4), 0.05), hl.TargetError(np.full((2, 3), 0.5))
    with pytest.raises(LimitError, match=r"limits\.voltage = 100 mV"):
        narrow.measure(3 * x)
    with pytest.raises(NetworkError, match="it supports: clamp"):
        narrow.measure(x, hl.OutputDrive.current(np.zeros((2, 3))))
    with pytest.raises(LimitError, match=r"limits\.conductance"):
        narrow.program(np.full(small[0].n_edges, 2e-5))
    with pytest.raises(LimitError, match=r"limits\.nudge = 1 mV"):
        narrow.two_phase(x, error, hl.ClampNudge(0.1))
    phases = narrow.two_phase(x, error, hl.ClampNudge())
    assert np.abs(phases.plus.voltages - phases.free.voltages).max() <= 1e-3 * (1 + 1e-9)
    assert not phases.skipped.all()


def test_network_around_a_closed_one_is_closed(board):
    network = WrappedNetwork(WrappedNetwork(board))
    assert not network.closed
    board.close()
    assert network.closed
    network.close()
    network.close()
