"""Answers come from the journal while the requests are the same, and then from the hardware."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import RunError, SetupError
from hwlearn.lab.calibration.journal import Journal, JournaledNetwork
from hwlearn_sim import Imperfections, KirchhoffTwin

FACTS = {"topology": "t", "instruments": ["a"], "options": {"seed": 0}}


def procedure(network, small, parts=3):
    """Program and measure, free and clamped; return every number that was read."""
    _, g, x, y = small
    read = []
    for k in range(parts):
        read.append(network.program(g / (k + 1)).reached)
        read.append(network.measure(x).voltages)
        clamped = network.measure(x, hl.OutputDrive.clamp(np.where(y > 0, y, np.nan)))
        read += [clamped.voltages, clamped.output_currents, clamped.source_currents, clamped.saturated]
    return read


@pytest.fixture
def twin(small, wide_limits):
    """The small network with noise, so that no two answers are equal by chance."""
    return KirchhoffTwin(small[0], wide_limits, Imperfections(read_noise_V=1e-3, current_noise_A=1e-8))


class Stopped(Exception):
    """Raised in place of a killed process."""


def interrupted(twin, folder, small, after):
    """Run the procedure, stop it after some answers, and return the number of measured samples."""

    def stop():
        if network.answers == after:
            raise Stopped

    before = twin.measurements
    with Journal(folder, FACTS) as journal:
        network = JournaledNetwork(twin, journal, stop)
        with pytest.raises(Stopped):
            procedure(network, small)
    return twin.measurements - before


@pytest.mark.share(3)
@pytest.mark.parametrize("after", range(1, 9))
def test_nothing_is_measured_twice(twin, small, tmp_path, after):
    first = interrupted(twin, tmp_path / "j", small, after)
    with Journal(tmp_path / "j", FACTS) as journal:
        network = JournaledNetwork(twin, journal)
        whole = procedure(network, small)
        assert network.replayed == after
        assert first + network.fresh == 3 * 2 * len(small[2])
    # a complete journal gives every answer again, bit by bit
    count = twin.measurements
    with Journal(tmp_path / "j", FACTS) as journal:
        network = JournaledNetwork(twin, journal)
        again = procedure(network, small)
        assert network.fresh == 0
    assert twin.measurements == count
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(whole, again, strict=True))


def test_volatile_hardware_is_programmed_again(twin, small, tmp_path):
    _, g, _, _ = small
    interrupted(twin, tmp_path / "j", small, 4)  # the second configuration is programmed, not measured
    twin.program(np.full(small[0].n_edges, 5e-5))
    with Journal(tmp_path / "j", FACTS) as journal:
        procedure(JournaledNetwork(twin, journal), small, parts=2)
    assert np.allclose(twin.true_conductances, g / 2)


def test_different_request_discards_later_answers(twin, small, tmp_path):
    interrupted(twin, tmp_path / "j", small, 6)
    topology, g, x, y = small
    with Journal(tmp_path / "j", FACTS) as journal:
        network = JournaledNetwork(twin, journal)
        procedure(network, (topology, g, x + 1e-3, y))
        assert network.replayed == 1  # only the programming is the same
        assert journal.entries == 9


def test_rounding_does_not_make_a_request_different(twin, small, tmp_path):
    interrupted(twin, tmp_path / "j", small, 6)
    topology, g, x, y = small
    with Journal(tmp_path / "j", FACTS) as journal:
        network = JournaledNetwork(twin, journal)
        procedure(network, (topology, g * (1 + 1e-12), x * (1 + 1e-12), y))
        assert network.replayed == 6


def test_damaged_answer_is_measured_again(twin, small, tmp_path):
    interrupted(twin, tmp_path / "j", small, 6)
    path = tmp_path / "j" / "000002.npz"
    path.write_bytes(path.read_bytes()[:100])
    with Journal(tmp_path / "j", FACTS) as journal:
        network = JournaledNetwork(twin, journal)
        procedure(network, small)
        assert network.replayed == 2


def test_other_settings_start_again_and_other_hardware_is_refused(twin, small, tmp_path):
    interrupted(twin, tmp_path / "j", small, 6)
    with pytest.raises(SetupError, match=r"unfinished calibration in .* was made with another instrument"):
        Journal(tmp_path / "j", {**FACTS, "instruments": ["b"]})
    with Journal(tmp_path / "j", FACTS) as journal:
        assert journal.entries == 6
    with Journal(tmp_path / "j", {**FACTS, "options": {"seed": 1}}) as journal:
        assert journal.entries == 0


def test_journal_is_used_by_one_process_at_a_time(tmp_path):
    with Journal(tmp_path / "j", FACTS), pytest.raises(RunError, match="another process"):
        Journal(tmp_path / "j", FACTS)
    with Journal(tmp_path / "j", FACTS) as journal:
        journal.finish()
    assert not (tmp_path / "j").exists()


@pytest.mark.share(3)
@pytest.mark.parametrize("after", range(1, 9))
def test_noise_of_a_simulation_continues_after_the_last_stored_answer(small, wide_limits, tmp_path, after):
    def opened():
        flaws = Imperfections(read_noise_V=1e-3, write_noise=0.01, drift_per_sqrt_hour=3.0)
        return KirchhoffTwin(small[0], wide_limits, flaws)

    with Journal(tmp_path / "whole", FACTS) as journal:
        whole = procedure(JournaledNetwork(opened(), journal), small)
    interrupted(opened(), tmp_path / "j", small, after)
    with Journal(tmp_path / "j", FACTS) as journal:
        resumed = procedure(JournaledNetwork(opened(), journal), small)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(whole, resumed, strict=True))
