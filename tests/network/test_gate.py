"""What backends return is checked: each break of the contract is one named error, and the phase is void."""

from dataclasses import replace

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import BackendError, NetworkError
from hwlearn.network.wrapped import WrappedNetwork
from hwlearn_sim import Imperfections, KirchhoffTwin


class Broken(KirchhoffTwin):
    """A twin that changes what it returns."""

    breaks = None
    sides = None
    whole = None
    programs = None
    most = None
    narrowed = None
    true = None
    access = None
    was_closed = 0

    def _close(self):
        self.was_closed += 1
        super()._close()

    def _max_strength(self, nudge, free, error):
        found = super()._max_strength(nudge, free, error)
        return found if self.most is None else self.most(found)

    def _nudge_limits(self):
        return self.limits if self.narrowed is None else self.narrowed(self.limits)

    def _true_outputs(self, inputs):
        found = super()._true_outputs(inputs)
        return found if self.true is None else self.true(found)

    def _device_access(self):
        return self.access

    def _measure(self, inputs, drive):
        read = super()._measure(inputs, drive)
        return read if self.breaks is None else self.breaks(read)

    def _measure_sides(self, inputs, plus, minus):
        found = super()._measure_sides(inputs, plus, minus)
        return found if self.sides is None else self.sides(*found)

    def _both_phases(self, inputs, error, nudge, symmetric):
        if self.whole is None:
            return None
        free = self._measure(inputs, None)
        e = error(free.voltages)
        return self.whole(hl.network.TwoPhase(free, free, free, e, np.full(len(e), 0.1)))

    def _program(self, conductances):
        done = super()._program(conductances)
        return done if self.programs is None else self.programs(done)


def put(array, value, at=(1, 2)):
    """Return a copy of an array with one other value."""
    array = np.array(array)
    array[at] = value
    return array


def volts(change):
    return lambda read: replace(read, voltages=change(read.voltages))


READOUTS = {
    "nan": (volts(lambda v: put(v, np.nan)), r"voltages = nan at \S+ of sample 1"),
    "inf": (volts(lambda v: put(v, np.inf)), r"voltages = inf at \S+ of sample 1"),
    "-inf": (volts(lambda v: put(v, -np.inf)), r"voltages = -inf at"),
    "overflow code": (volts(lambda v: put(v, 9.91e37)), r"voltages = 9.91e\+37 at \S+ of sample 1, which is not"),
    "overflow code, marked as saturated": (
        lambda r: replace(r, voltages=put(r.voltages, 9.909999530030929e37), saturated=r.voltages > -9),
        r"voltages = 9.91e\+37 at \S+ of sample 1, which is not plausible",
    ),
    "+50 V": (volts(lambda v: v + 50), r"voltages = 5\d\S* at \S+ of sample 0, which is not plausible"),
    "-50 V at one output": (volts(lambda v: put(v, -50.0)), r"voltages = -50 at \S+ of sample 1"),
    "rows": (volts(lambda v: v[:-1]), r"voltages = float64 of shape \(5, 3\)"),
    "columns": (volts(lambda v: v[:, :-1]), r"voltages = float64 of shape \(6, 2\)"),
    "one dimension": (volts(np.ravel), r"voltages = float64 of shape \(18,\)"),
    "list": (volts(lambda v: v.tolist()), r"voltages = \[\["),
    "complex": (volts(lambda v: v + 0j), "voltages = complex128"),
    "float32": (volts(lambda v: v.astype(np.float32)), "voltages = float32"),
    "text": (volts(lambda v: v.astype(str)), "voltages = <U"),
    "voltages None": (volts(lambda v: None), "voltages = None"),
    "str": (lambda read: "0.1 V", "a measurement = '0.1 V'"),
    "None": (lambda read: None, "a measurement = None; it must be a Readout"),
    "array": (lambda read: read.voltages, "a measurement = array"),
    "sigma nan": (lambda read: replace(read, voltage_sigma=np.nan), "voltage_sigma = nan"),
    "sigma negative": (lambda read: replace(read, voltage_sigma=-1.0), r"voltage_sigma = -1\.0"),
    "sigma None": (lambda read: replace(read, voltage_sigma=None), "voltage_sigma = None"),
    "sigma inf": (lambda read: replace(read, current_sigma=np.inf), "current_sigma = inf"),
    "sigma True": (lambda read: replace(read, current_sigma=True), "current_sigma = True"),
    "output currents shape": (
        lambda r: replace(r, output_currents=np.zeros((6, 4))),
        "output_currents = float64 of",
    ),
    "output currents nan": (
        lambda r: replace(r, output_currents=put(r.voltages, np.nan)),
        "output_currents = nan at",
    ),
    "output currents in uA": (
        lambda r: replace(r, output_currents=put(0 * r.voltages, 5.0)),
        "output_currents = 5 at .* not plausible",
    ),
    "source currents shape": (
        lambda r: replace(r, source_currents=r.voltages),
        "source_currents = float64 of shape",
    ),
    "source currents inf": (
        lambda r: replace(r, source_currents=put(r.source_currents, np.inf)),
        "source_currents = inf",
    ),
    "nodes shape": (lambda r: replace(r, nodes=r.voltages), "nodes = float64 of shape"),
    "nodes nan": (lambda r: replace(r, nodes=np.full((6, 14), np.nan)), "nodes = nan at"),
    "saturated ints": (lambda r: replace(r, saturated=np.zeros((6, 3), int)), "saturated = int64 of shape"),
    "saturated shape": (lambda r: replace(r, saturated=np.zeros(6, bool)), r"saturated = bool of shape \(6,\)"),
    "saturated nan": (
        lambda r: replace(r, saturated=r.voltages > -9, voltages=put(r.voltages, np.nan)),
        "= nan at",
    ),
}

PROGRAMS = {
    "None": (lambda done: None, "a result of programming = None"),
    "reached only": (lambda done: done.reached, "a result of programming = array"),
    "reached nan": (lambda done: replace(done, reached=put(done.reached, np.nan, 4)), "reached = nan S at"),
    "reached inf": (lambda done: replace(done, reached=put(done.reached, np.inf, 4)), "reached = inf S at"),
    "reached overflow code": (lambda done: replace(done, reached=put(done.reached, 9.9e37, 4)), "plausible up to"),
    "reached negative": (lambda done: replace(done, reached=put(done.reached, -1e-6, 4)), "reached = -1e-06 S at"),
    "reached shape": (
        lambda done: replace(done, reached=done.reached[:-1]),
        r"reached = float64 of shape \(29,\)",
    ),
    "reached list": (lambda done: replace(done, reached=done.reached.tolist()), r"reached = \["),
    "requested None": (lambda done: replace(done, requested=None), "requested = None"),
    "failed ints": (lambda done: replace(done, failed=done.failed.astype(int)), "failed = int64"),
    "failed shape": (lambda done: replace(done, failed=done.failed[:-1]), r"failed = bool of shape \(29,\)"),
    "failed None": (lambda done: replace(done, failed=None), "failed = None"),
}

SIDES = {
    "None": (lambda high, low, refused: None, "the nudged phases = None"),
    "pair": (lambda high, low, refused: (high, low), "the nudged phases = "),
    "no minus": (lambda high, low, refused: (high, None, refused), "minus = None; it must be a Readout"),
    "minus nan": (
        lambda high, low, refused: (high, volts(lambda v: v * np.nan)(low), None),
        r"minus\.voltages = nan",
    ),
    "refused ints": (lambda high, low, refused: (high, low, np.zeros(6, int)), "refused samples = int64"),
    "refused shape": (lambda high, low, refused: (high, low, np.zeros(3, bool)), "refused samples = bool of"),
}

WHOLES = {
    "Readout": (lambda whole: whole.free, "the phases of a sequence = "),
    "free": (lambda whole: replace(whole, free=None), "free = None"),
    "plus 50 V": (lambda whole: replace(whole, plus=volts(lambda v: v + 50)(whole.plus)), r"plus\.voltages = 5"),
    "minus": (lambda whole: replace(whole, minus=None), "minus = None"),
    "error": (lambda whole: replace(whole, error=whole.error[0]), r"error = float64 of shape \(3,\)"),
    "strength nan": (lambda whole: replace(whole, strength=np.full(6, np.nan)), "strength = nan"),
    "strength negative": (lambda whole: replace(whole, strength=-whole.strength), "strength = -0.1"),
    "strength None": (lambda whole: replace(whole, strength=None), "strength = None"),
}


STRENGTHS = {
    "nan": (lambda most: np.full(6, np.nan), "the maximum strength = nan for sample 0"),
    "negative": (lambda most: put(most, -1.0, 2), "the maximum strength = -1 for sample 2"),
    "shape": (lambda most: most[:-1], r"the maximum strength = float64 of shape \(5,\)"),
    "number": (lambda most: 1.0, r"the maximum strength = 1\.0"),
    "None": (lambda most: "None", "the maximum strength = 'None'"),
}

NUDGE_LIMITS = {
    "wider": (lambda limits: replace(limits, voltage=9.0), "limits of nudges with voltage = 9, wider than"),
    "wider nudge": (lambda limits: replace(limits, nudge=9.0, drop=9.0), "limits of nudges with drop = 9"),
    "dict": (lambda limits: {"voltage": 1.0}, "limits of nudges = {'voltage': 1.0}; they must be Limits"),
}

TRUE_OUTPUTS = {
    "nan": (lambda true: put(true, np.nan), r"true_outputs = nan at \S+ of sample 1"),
    "shape": (lambda true: true[0], r"true_outputs = float64 of shape \(3,\)"),
    "list": (lambda true: true.tolist(), r"true_outputs = \[\["),
}


def cases(table):
    return pytest.mark.parametrize(("change", "message"), table.values(), ids=table.keys())


def wrapped(network):
    return WrappedNetwork(WrappedNetwork(network))


@pytest.fixture(params=[lambda network: network, wrapped], ids=["plain", "wrapped"])
def opened(request, small, bench_limits):
    """Return a function that opens a broken network, and the network through which it is used."""

    def open_broken():
        broken = Broken(small[0], bench_limits)
        broken.program(small[1])
        return broken, request.param(broken)

    return open_broken


def refused(broken, call, message, what="returned"):
    """Assert that a call is one named error, after which the network is closed with its outputs off."""
    with pytest.raises(BackendError, match=rf"{__name__}\.Broken {what} .*{message}.* the network is closed"):
        call()
    assert broken.was_closed == 1
    with pytest.raises(NetworkError, match="closed"):
        broken.measure(np.zeros((1, broken.topology.n_inputs)))


@pytest.mark.share(33)
@cases(READOUTS)
@pytest.mark.parametrize("two_phase", [False, True])
def test_invalid_readout_is_one_named_error(opened, small, change, message, two_phase):
    broken, network = opened()
    broken.breaks = change
    phases = (small[2], hl.TargetError(small[3]), hl.ClampNudge(0.1))
    refused(broken, lambda: network.two_phase(*phases) if two_phase else network.measure(small[2]), message)
    assert network.measurements == 0, "the phase is void"
    assert network.closed


@cases(PROGRAMS)
def test_invalid_programming_result_is_one_named_error(opened, small, change, message):
    broken, network = opened()
    broken.programs = change
    refused(broken, lambda: network.program(small[1]), message)


@cases(SIDES)
def test_invalid_nudged_phases_are_one_named_error(opened, small, change, message):
    broken, network = opened()
    broken.sides = change
    phases = (small[2], hl.TargetError(small[3]), hl.ClampNudge(0.1))
    refused(broken, lambda: network.two_phase(*phases), message)


@cases(WHOLES)
def test_invalid_sequence_is_one_named_error(opened, small, change, message):
    broken, network = opened()
    broken.whole = change
    phases = (small[2], hl.TargetError(small[3]), hl.ClampNudge(0.1))
    refused(broken, lambda: network.two_phase(*phases), message)


@cases(STRENGTHS)
def test_invalid_maximum_strength_is_one_named_error(opened, small, change, message):
    broken, network = opened()
    broken.most = change
    phases = (small[2], hl.TargetError(small[3]), hl.ClampNudge())
    refused(broken, lambda: network.two_phase(*phases), message)


@cases(NUDGE_LIMITS)
def test_limits_of_nudges_wider_than_those_of_the_bench_are_one_named_error(opened, small, change, message):
    broken, network = opened()
    broken.narrowed = change
    phases = (small[2], hl.TargetError(small[3]), hl.ClampNudge())
    refused(broken, lambda: network.two_phase(*phases), message)


@cases(TRUE_OUTPUTS)
def test_invalid_true_outputs_are_one_named_error(opened, small, change, message):
    broken, network = opened()
    broken.true = change
    refused(broken, lambda: network.true_outputs(small[2]), message)


@pytest.mark.share(16)
@pytest.mark.parametrize("error", [ValueError("no\nvalue"), ZeroDivisionError(), OSError("gone"), KeyError(2)])
@pytest.mark.parametrize("hook", ["breaks", "programs", "sides", "most", "narrowed", "true"])
def test_foreign_error_of_a_backend_is_one_named_error(opened, small, error, hook):
    broken, network = opened()

    def fail(*_):
        raise error

    setattr(broken, hook, fail)
    calls = {
        "programs": lambda: network.program(small[1]),
        "breaks": lambda: network.measure(small[2]),
        "true": lambda: network.true_outputs(small[2]),
    }
    phases = (small[2], hl.TargetError(small[3]), hl.ClampNudge())
    text = " ".join(str(error).split())
    call = calls.get(hook, lambda: network.two_phase(*phases))
    refused(broken, call, f"{type(error).__name__}: {text}", "failed:")


def test_error_of_the_drivers_leaves_the_network_open(opened, small):
    broken, network = opened()

    def fail(_):
        raise NetworkError("no answer")

    broken.breaks = fail
    with pytest.raises(NetworkError, match=r"^no answer$"):
        network.measure(small[2])
    assert not network.closed


def test_error_in_the_error_signal_of_the_caller_is_not_that_of_the_backend(opened, small):
    network = opened()[1]

    def wrong(outputs):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        network.two_phase(small[2], wrong, hl.ClampNudge())
    assert not network.closed


def test_outputs_that_cannot_be_switched_off_after_an_invalid_readout_are_named(opened, small):
    broken, network = opened()

    def fail():
        raise OSError("port gone")

    broken.breaks, broken._close = (lambda read: None), fail
    message = "a measurement = None; .*; OUTPUTS MAY BE ON: the network cannot be closed: port gone"
    with pytest.raises(BackendError, match=message):
        network.measure(small[2])


class Wrong(WrappedNetwork):
    """A wrapper that returns one sample too few."""

    def _measure(self, inputs, drive):
        return super()._measure(inputs, drive).rows(slice(1, None))


def test_readout_that_a_wrapper_changes_is_checked_again(ideal_twin, small):
    with pytest.raises(BackendError, match=r"Wrong returned saturated = bool of shape \(5, 3\)"):
        Wrong(ideal_twin).measure(small[2])


def test_readout_that_a_wrapper_forwards_is_checked_once(ideal_twin, small, mocker):
    check = mocker.spy(hl.network.network.gate, "check_readout")
    wrapped(ideal_twin).measure(small[2])
    assert check.call_count == 1


@pytest.mark.parametrize(
    "flaws",
    [
        Imperfections(read_noise_V=2.0, current_noise_A=1e-3),
        Imperfections(adc_offset_V=0.1, dac_offset_V=0.1, adc_gain=0.3, dac_gain=0.1),
        Imperfections(adc_range_V=5.0, adc_bits=8, adc_offset_V=20.0),
        Imperfections(adc_range_V=0.01, adc_bits=4),
        Imperfections(stuck={0: 0.0}, settle_tau_s=1e-3),
    ],
    ids=["noise", "offsets and gains", "saturated far above the limit", "saturated", "open and slow"],
)
@pytest.mark.parametrize("nodes", [True, False])
def test_imperfect_bench_is_never_refused(small, flaws, nodes):
    limits = hl.Limits(0.5, 2.0, 0.2, 10e-3, (1e-6, 1e-4))
    twin = KirchhoffTwin(small[0], limits, flaws, node_readout=nodes, seed=1)
    twin.program(small[1])
    for nudge in (hl.ClampNudge(0.02), hl.CurrentNudge(1e-6), hl.ResistorNudge(0.02, 1e-4)):
        try:
            twin.two_phase(small[2], lambda volts: np.full_like(volts, 0.1), nudge)
        except hl.errors.LimitError:  # a nudge from a free output far outside the limits
            twin.measure(small[2])


def test_empty_batch_is_valid(ideal_twin):
    assert ideal_twin.measure(np.zeros((0, 4))).voltages.shape == (0, 3)
