"""Switch matrices on disturbed connections: relays are never taken for what they are not, and OFF opens them."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from exit_paths import ENDINGS, POSIX
from matrix_rig import CARDS, matrix_rig

from hwlearn.errors import HwlearnError
from hwlearn_drivers.errors import OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.transport.connector import Connector
from hwlearn_sim.placed import RelayParts

KINDS = ("late", "fragmented", "dropped", "garbled", "reset")


def schedule(rig, seed):
    """Change relays while replies are disturbed; return how many changes failed."""
    rng = np.random.default_rng(seed)
    failed, faults = 0, rig.bench.faults("mat1")
    matrix = rig.open(Connector())
    usual_s = matrix.transport.timeout_s
    every = [rig.point(row, column) for row in range(3) for column in range(1, 5)]
    try:
        for _ in range(4):
            wanted = {point for point in every if rng.random() < 0.4}
            for _ in range(int(rng.integers(3))):
                faults.inject(str(rng.choice(KINDS)), seconds=0.02)
            matrix.transport.timeout_s = 0.1
            try:
                known = matrix.closed()
                matrix.change(known - wanted, wanted - known)
            except HwlearnError:
                failed += 1
                faults.clear()
                matrix.transport.timeout_s = usual_s
                matrix.halt()  # first, as on every exit path
                if matrix.needs_reconnect:
                    matrix.reconnect()
                else:
                    matrix.start_again()
                assert rig.relays.closed == set()
            else:
                assert rig.relays.closed == wanted
    finally:
        faults.clear()
        matrix.transport.timeout_s = usual_s
        matrix.close()
    assert rig.relays.closed == set()
    return failed


@pytest.mark.parametrize("model", ["707B", "B2200A"])
def test_disturbed_replies_are_never_taken_for_the_state(model):
    with matrix_rig(model) as rig:
        assert sum(schedule(rig.fresh(), seed) for seed in range(2)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("model", CARDS)
def test_disturbed_replies_of_250_schedules(model):
    with matrix_rig(model) as rig:
        assert sum(schedule(rig.fresh(), seed) for seed in range(250)) > 100


@pytest.mark.parametrize("model", ["707B", "B2200A"])
def test_connection_that_is_reset_is_opened_once_more_to_send_off(model):
    with matrix_rig(model) as rig:
        matrix = rig.open()
        matrix.change((), [rig.point(0, 1)])
        rig.bench.faults("mat1").inject("reset")
        with pytest.raises(ConnectionError):
            matrix.closed()
        matrix.halt()
        assert matrix.needs_reconnect
        deadline = time.monotonic() + 5.0
        while rig.relays.closed and time.monotonic() < deadline:
            time.sleep(0.001)  # OFF is write-only
        assert rig.relays.closed == set()
        matrix.reconnect()
        matrix.close()


def test_peer_that_is_gone_is_named_in_capitals():
    with matrix_rig() as rig:
        matrix = rig.open()
        matrix.change((), [rig.point(0, 1)])
        rig.bench.close()
        with pytest.raises(OutputsMayBeOnError, match=r"EVERY RELAY OF MODEL 707B AT .* by hand"):
            matrix.close()


def test_exit_of_the_program_opens_every_relay():
    with matrix_rig() as rig:
        matrix = rig.open()
        matrix.change((), [rig.point(0, 1)])
        open_outputs.halt_open("the program ended")  # what interpreter exit and signals do
        matrix.reconnect()
        assert rig.relays.closed == set()
        matrix.close()


def test_exception_opens_every_relay():
    with matrix_rig() as rig:
        matrix = rig.open()
        matrix.change((), [rig.point(0, 1)])
        with pytest.raises(KeyError), matrix:
            raise KeyError
        assert rig.relays.closed == set()


@pytest.mark.parametrize(("model", "settle_s"), [("707B", 0.0), ("B2200A", 0.0), ("7001", 0.08)])
def test_reading_after_a_change_sees_settled_relays(model, settle_s):
    slow = RelayParts(operate_s=0.03, bounce_s=0.03, release_s=0.03, emf_V=0.0)
    real = model != "7001"  # which answers before its relays have settled
    with (
        matrix_rig(model, slow, real_time=real) as rig,
        rig.open(use=replace(rig.use, settle_s=settle_s)) as matrix,
    ):
        smu = rig.bench.instrument("smu1").channels[0]
        rig.drive(0, 0.5)
        matrix.change((), [rig.point(0, 1), rig.point(2, 4)])
        first = smu.operating_point.amperes
        matrix.change([rig.point(0, 1)], [rig.point(0, 2)])
        second = smu.operating_point.amperes
        time.sleep(0.1)
        assert smu.operating_point.amperes == second
        assert first != second
        assert min(abs(first), abs(second)) > 1e-5


PROGRAM = """
import signal, sys
from hwlearn_drivers.matrix.matrix import MatrixUse
from hwlearn_drivers.matrix.registry import open_matrix
from hwlearn_drivers.roles.values import Crosspoint
{before}
smu = open_matrix({address!r}, {model!r}, MatrixUse({cards!r}, 200.0))
smu.change((), [Crosspoint({row!r}, "1"), Crosspoint({row!r}, "2")])
print("closed", flush=True)
{ending}
"""


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("model", ["707B", "B2200A"])
def test_every_exit_path_of_a_program_opens_every_relay(model, ending):
    before, after, code = ENDINGS[ending]
    with matrix_rig(model) as rig:
        program = PROGRAM.format(
            before=before, address=rig.address, model=model, cards=rig.cards, row=rig.rows[0], ending=after
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert ended.returncode == code, ended.stderr
        assert ended.stdout == "closed\n"
        deadline = time.monotonic() + 5.0
        while rig.relays.closed and time.monotonic() < deadline:
            time.sleep(0.001)
        assert rig.relays.closed == set()
        assert rig.relays.moves == 4
