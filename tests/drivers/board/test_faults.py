"""Random faults on the wire: no wrong reading is accepted, and no output stays on."""

import random
from contextlib import suppress

import numpy as np
import pytest
from board_rig import FLAWED, graph
from short_waits import short_waits

import hwlearn as hl
from hwlearn.errors import HwlearnError
from hwlearn_drivers.board import board as board_module
from hwlearn_drivers.board.backend import BoardBackend
from hwlearn_drivers.errors import OutputsMayBeOnError

LIMITS = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1e-3, conductance=(1.5e-5, 2e-4))


def inject_fault(rig, dice):
    """Inject one fault into the next messages."""
    kind = dice.choice(["lost", "deaf", "mute", "spoilt", "dropped", "stale", "reset", "tripped"])
    if kind == "lost":
        rig.lost_after = dice.randrange(400)
    elif kind == "deaf":
        rig.deaf_after = dice.randrange(400)
    elif kind == "mute":
        rig.mute = True
    elif kind == "spoilt":
        rig.flip = dice.randrange(400)
    elif kind == "dropped":
        rig.drop()
    elif kind == "stale":
        rig.answer_instead[b"SEQ:"] = (
            b"1\n" + bytes(dice.randrange(256) for _ in range(dice.randrange(60))) + b"\n"
        )
    elif kind == "reset":
        rig.native.power_on()
    else:
        rig.do("SOUR:VOLT 0,0.5")
        rig.advance(5.0)
    return kind


def end_fault(rig):
    rig.lost_after = rig.deaf_after = rig.flip = None
    rig.mute = False
    rig.answer_instead.clear()


@pytest.mark.share(3)
@pytest.mark.parametrize("seed", range(12))
def test_random_faults_give_no_wrong_reading(board_rig, seed, monkeypatch):
    monkeypatch.setattr(board_module, "START_S", 2.0)
    check_schedule(board_rig, seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_many_random_faults_give_no_wrong_reading(board_rig, part, monkeypatch, seeds):
    monkeypatch.setattr(board_module, "START_S", 2.0)
    for seed in seeds(48, 12)[part::4]:
        check_schedule(board_rig, 12 + seed)


def check_schedule(board_rig, seed):
    """Measure six batches, each with a random fault; every reading is right, and outputs are off after each."""
    dice, rng = random.Random(seed), np.random.default_rng(seed)
    rig = board_rig(record=FLAWED)
    table = BoardBackend.Settings(address=rig.address, timeout=2.0)
    network = BoardBackend.open(table, graph(), LIMITS)
    network.program(np.full(14, 1e-4))
    edges = rig.native.edge_codes().tolist()
    right = 0
    for _ in range(6):
        x, y = rng.uniform(-0.5, 0.5, (12, 3)), rng.uniform(-0.1, 0.1, (12, 2))
        kind = inject_fault(rig, dice)
        try:
            with short_waits(network.board.transport, seconds=0.25):
                phases = network.two_phase(x, hl.TargetError(y), hl.ResistorNudge(0.25, 1e-4))
        except HwlearnError:
            end_fault(rig)
            rig.wait_until(lambda: rig.is_safe)
            network.reconnect()
            assert rig.native.edge_codes().tolist() == edges
            phases = network.two_phase(x, hl.TargetError(y), hl.ResistorNudge(0.25, 1e-4))
        end_fault(rig)
        true = rig.model.solve(x)[:, graph().outputs]
        np.testing.assert_allclose(phases.free.voltages, true, atol=2e-4, err_msg=kind)
        pushed = phases.plus.voltages - phases.minus.voltages
        assert (pushed * (y - true) >= -2e-4).all(), kind
        right += 1
        assert rig.is_safe
    assert right == 6
    with suppress(OutputsMayBeOnError):
        network.close()
    rig.wait_until(lambda: rig.is_safe)
