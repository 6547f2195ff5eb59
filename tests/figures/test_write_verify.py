"""Write-verify on arrays of 32 x 32: 1 % tolerance, 5 % cycle-to-cycle noise, 2 % stuck devices, disturb.

Devices differ by 20 %, and readings have 0.3 % noise. Results are judged by the true conductances, which
write-verify cannot read. Disturbed neighbours are counted twice: those found off their target during writing, and
those off their target at the end.
"""

from dataclasses import replace

import numpy as np
import pytest
from combinations import pairwise

from hwlearn.device_access import PulseLimits
from hwlearn.write_verify import PulseSchedule, WriteSettings, write_verify
from hwlearn_sim.devices import (
    DeviceArray,
    DeviceReadout,
    Failing,
    SinhIV,
    SoftBounds,
    SoftBoundsLaw,
    Vteam,
    VteamLaw,
)

LIMITS = PulseLimits(voltage=1.1, current=1e-3, width=(1e-7, 1e-4), pulses=1000, read_voltage=0.1)
SCHEDULES = {
    "soft bounds": PulseSchedule((0.5, 1.1), (0.5, 1.1), (1e-6, 1e-6)),
    "VTEAM": PulseSchedule((0.6, 1.1), (0.6, 1.1), (1e-6, 1e-4)),
}


def make(kind, seed, size=32, scheme="V/2", iv=None, soft=None, vteam=None, limits=LIMITS, **failing):
    drawn, cycles, faults, reads, wanted = np.random.default_rng(seed).spawn(5)
    n = size * size
    if kind == "soft bounds":
        law = SoftBoundsLaw() if soft is None else soft
        devices = SoftBounds(law, n, drawn, cycles, device_spread=0.2, cycle_spread=0.05)
    else:
        devices = Vteam(
            VteamLaw() if vteam is None else vteam, n, drawn, cycles, device_spread=0.2, cycle_spread=0.05
        )
    faulty = Failing(devices, faults, **{"stuck_fraction": 0.02, "between": (2e-6, 6e-5), **failing})
    array = DeviceArray(faulty, (size, size), limits, reads, scheme=scheme, readout=DeviceReadout(0.003, iv=iv))
    return array, faulty, np.exp(wanted.uniform(np.log(5e-6), np.log(4e-5), n))


def judged(kind, seed, schedule=None, **more):
    """Write an array; return the report and the results in true conductances."""
    array, faulty, targets = make(kind, seed, **more)
    report = write_verify(
        array, targets, WriteSettings(schedule=SCHEDULES[kind] if schedule is None else schedule)
    )
    healthy = ~(faulty.stuck | faulty.worn)
    there = np.abs(array.true_apparent(LIMITS.read_voltage) / targets - 1) <= 0.01
    return {
        "report": report,
        "faulty": faulty,
        "healthy": int(healthy.sum()),
        "reached": float(np.mean((report.reached & there)[healthy])),
        "wrong": int(np.sum(report.reached & ~there)),
        "missed": int(np.sum(faulty.stuck & ~report.stuck)),
        "accused": int(np.sum((report.stuck | report.worn) & healthy)),
        "median": float(np.median(report.pulses[healthy])),
        "most": int(report.pulses[healthy].max()),
        "disturbed": float(np.mean(report.disturbed[healthy] > 0)),
    }


def line(what, r):
    return (
        f"write-verify, {what}: {r['reached']:.2%} of healthy devices reached (required 99 %), "
        f"{r['missed']} stuck missed, {r['accused']} accused, median {r['median']:g} pulses (most {r['most']}); "
        f"disturbed during writing {r['disturbed']:.2%}, at the end {r['wrong'] / r['healthy']:.2%} "
        "(required < 1 %)"
    )


@pytest.mark.share(1)
@pairwise(1, kind=list(SCHEDULES), scheme=["V/2", "V/3"])
def test_small_arrays_are_written(kind, scheme):
    r = judged(kind, 1, size=12, scheme=scheme)
    assert r["reached"] >= 0.99
    assert r["missed"] == r["accused"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("scheme", ["V/2", "V/3"])
def test_full_arrays_are_written(kind, scheme, figure, seeds):
    for seed in seeds.first(3, 1):
        r = judged(kind, seed, scheme=scheme)
        figure(line(f"{kind} 32 x 32, {scheme}, seed {seed}", r))
        assert r["faulty"].stuck.sum() == 20
        assert r["reached"] >= 0.99
        assert r["missed"] == r["accused"] == 0
        assert r["disturbed"] < 0.01
        assert r["wrong"] / r["healthy"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        # half the voltage makes 1/80 of the step, so 62 half-selections make three quarters of one. Full amplitude
        # and short widths are used, because half-selection has a larger relative effect at a smaller amplitude
        (
            "soft bounds",
            {
                "soft": SoftBoundsLaw(set_scale=0.125, reset_scale=0.125),
                "schedule": PulseSchedule((1.1, 1.1), (1.1, 1.1), (1e-9, 1e-6)),
                "limits": replace(LIMITS, width=(1e-9, 1e-6)),
            },
        ),
        # half the voltage is above the threshold of one device in eleven
        ("VTEAM", {"vteam": VteamLaw(v_off=0.58, v_on=-0.58)}),
    ],
)
def test_disturbed_devices_are_counted_and_corrected(kind, more, figure):
    r = judged(kind, 0, **more)
    figure(line(f"{kind} 32 x 32 of easily disturbed devices, V/2", r))
    assert r["disturbed"] > 0
    assert r["reached"] >= 0.99
    assert r["missed"] == r["accused"] == 0
    assert r["wrong"] / r["healthy"] < 0.01


@pytest.mark.slow
def test_worn_devices_are_detected_and_nonlinear_devices_written(figure):
    r = judged("soft bounds", 5, iv=SinhIV(0.3), endurance=40, endurance_spread=0.7, counting_V=0.6)
    report, faulty = r["report"], r["faulty"]
    # a device that wore out with its last pulse, at its target, cannot be detected
    away = faulty.worn & ~report.reached
    figure(
        line("soft bounds with sinh I-V, worn out after 40 pulses", r)
        + f"; {np.sum(report.worn & away)} of {np.sum(away)} found that wore out away from their target"
    )
    assert r["accused"] == r["missed"] == 0
    assert away.sum() > 5
    np.testing.assert_array_equal(report.worn, away)
    assert r["reached"] >= 0.99
