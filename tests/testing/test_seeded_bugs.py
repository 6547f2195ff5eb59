"""The contract passes a correct backend, and fails one for each kind of bug; which tests find it is stated."""

import contextlib

import pytest
import rack
from rack import RackContract

import hwlearn as hl

BUGS = {
    rack.WrongShape: "readings_have_one_row_per_sample",
    rack.NoBatchOfNothing: "empty_batch_gives_no_readings",
    rack.NaN: "readings_have_one_row_per_sample",
    rack.Millivolts: "readings_agree_with_the_reported_conductances",
    rack.Kilovolts: "readings_agree_with_the_reported_conductances",
    rack.ClippedLevels: "ohmic_outputs_follow_sign_and_size_of_the_inputs",
    rack.SwappedChannels: "readings_agree_with_the_reported_conductances",
    rack.SwappedInputs: "readings_agree_with_the_reported_conductances",
    rack.LostSign: "ohmic_outputs_follow_sign_and_size_of_the_inputs",
    rack.StaleReading: "reading_does_not_depend_on_the_other_samples",
    rack.LateLevels: "reading_does_not_depend_on_the_other_samples",
    rack.OneBuffer: "earlier_readout_does_not_change",
    rack.ChangesInputs: "inputs_are_not_changed",
    rack.UnderstatedNoise: "stated_noise_is_not_below_the_measured_noise",
    rack.DrivenOutputs: "outputs_float_in_the_free_phase",
    rack.ClampStays: "declared_drives_move_the_outputs_as_the_model",
    rack.FloatingIsZero: "outputs_float_in_the_free_phase",
    rack.NudgeSign: "clamped_outputs_read_their_setpoints",
    rack.NudgeIgnored: "declared_drives_move_the_outputs_as_the_model",
    rack.LimitsIgnored: "inputs_beyond_the_voltage_limit_are_refused",
    rack.ClipsInsteadOfRefusing: "inputs_beyond_the_voltage_limit_are_refused",
    rack.RefusesLate: "inputs_beyond_the_voltage_limit_are_refused",
    rack.WiderLimits: "opened_network_has_valid_properties",
    rack.UndeclaredNudge: "drives_that_are_not_declared_are_refused",
    rack.ClampBeyondLimits: "drives_beyond_a_limit_are_refused",
    rack.ProgramBeyondLimits: "values_beyond_the_limits_are_refused",
    rack.NotProgrammed: "each_edge_changes_the_outputs_as_the_model",
    rack.StuckEdgesReached: "edges_that_cannot_be_programmed_are_reported_as_failed",
    rack.SwappedEdges: "each_edge_changes_the_outputs_as_the_model",
    rack.NothingReached: "edges_reach_their_targets_or_are_reported_as_failed",
    rack.OnAfterOpening: "outputs_are_off_after_opening",
    rack.OnAfterClose: "outputs_are_off_after_close",
    rack.OnAfterSwitchOff: "outputs_can_be_switched_off_and_on_again",
    rack.OnAfterError: "outputs_are_off_if_the_hardware_stops_answering_during_a_measurement",
    rack.OnAfterInterrupt: "outputs_are_off_after_an_interrupt_during_a_measurement",
    rack.SwallowsInterrupt: "outputs_are_off_after_an_interrupt_during_a_measurement",
    rack.ClosesOnInterrupt: "outputs_are_off_after_an_interrupt_during_a_measurement",
    rack.OffAfterQuery: "outputs_are_off_if_the_hardware_answers_nothing",
    rack.StaysOffAfterSwitchOff: "outputs_can_be_switched_off_and_on_again",
    rack.ClosesTwice: "closed_network_refuses_requests",
    rack.WorksAfterClose: "closed_network_refuses_requests",
    rack.CountsTwice: "measurements_are_counted",
    rack.NoLock: "second_thread_is_refused",
}


class TestCorrectRack(RackContract):
    rows, big_batch, repeats, interrupts = 4, 20, 24, 4

    def limits(self):
        return rack.LIMITS


@pytest.mark.slow
class TestRackWithStuckEdges(RackContract):
    stuck = (3, 7)


def failing_tests(contract, names=None):
    """Return the names of the tests of a contract that fail, each run on an object of its own."""
    every = [name.removeprefix("test_") for name in sorted(dir(contract)) if name.startswith("test_")]
    failed = []
    for name in every if names is None else names:
        test = contract()
        try:
            getattr(test, f"test_{name}")()
        except pytest.skip.Exception:
            continue
        except (Exception, pytest.fail.Exception):
            failed.append(name)
        finally:
            with contextlib.suppress(Exception):  # a network with a bug may not close
                test.close_networks()
    return failed


def contract_of(network):
    """Return a small contract of a kind of rack network."""

    class Small(RackContract):
        kind = network
        rows, big_batch, repeats, interrupts = 4, 20, 24, 4
        stuck = (3, 7) if network is rack.StuckEdgesReached else ()

        def limits(self):
            return rack.LIMITS

    return Small


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_contract_finds_bug(bug):
    name = BUGS[bug]
    assert failing_tests(contract_of(bug), [name]) == [name]


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_all_tests_that_find_a_bug(bug, figure):
    failed = failing_tests(contract_of(bug))
    assert BUGS[bug] in failed
    figure(f"contract: {bug.__name__} is found by {len(failed)} tests, such as {BUGS[bug]}")


def test_every_class_with_a_bug_is_tested():
    bugs = {one for one in vars(rack).values() if isinstance(one, type) and issubclass(one, rack.RackNetwork)}
    assert bugs - {rack.RackNetwork} == set(BUGS)
    assert issubclass(rack.RackNetwork, hl.Network)
