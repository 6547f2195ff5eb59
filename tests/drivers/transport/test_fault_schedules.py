"""Random faults on every link of a bench: no reply is read by the wrong query, and all outputs end OFF.

Each schedule opens a small bench, measures and closes it. Meanwhile replies are late, fragmented, garbled or lost,
and instruments reset the connection, stop answering or disappear. Every undamaged reading must match the circuit.
At the end every output is off, or an error has named in capitals the outputs that MAY BE ON. The same with all
instruments behind one GPIB adapter, with faults on the bus and between host and adapter.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import HwlearnError
from hwlearn_drivers.smu.backend import SmuBackend
from hwlearn_sim.bench.bench import VirtualBench
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.placed import GpibPlace, PlacedAdapter, PlacedSmu
from hwlearn_sim.wire.faults import Faults

LIMITS = hl.Limits(voltage=0.5, drop=1.0, nudge=0.2, current=1e-3, conductance=(1e-5, 2e-4))
TIMEOUT_S = 0.06
LONGEST_CALL_S = 20.0
"""Far longer than all time-outs of one call; a call that takes longer is blocked."""

GRAPH = hl.Topology(4, [(0, 2), (1, 2), (2, 3), (0, 3)], inputs=[0, 1], outputs=[2], ground=3)
SIEMENS = 1e-4
KINDS = ("late", "fragmented", "dropped", "garbled", "reset")


class Schedule:
    """One random sequence of events; `run` raises AssertionError if a guarantee is violated."""

    def __init__(self, seed, adapter=None):
        self.rng = np.random.default_rng([seed, 77])
        self.errors, self.reads = "", 0
        self.vanished = False
        # some schedules have one kind of fault only, because a late or fragmented reply need not cause an error
        kinds = self.rng.choice(KINDS, self.rng.integers(1, 6), replace=False).tolist()
        total = 10 ** self.rng.uniform(-2.5, -0.7)
        rates = dict(zip(kinds, total * self.rng.dirichlet(np.ones(len(kinds))), strict=True))
        late_s = float(self.rng.uniform(0.2, 2.5)) * TIMEOUT_S
        models = self.rng.choice(["2400", "2450", "2612B", "B2902A"], 3)
        self.faults = [Faults(seed=int(self.rng.integers(2**31))) for _ in models]
        places = [None] * 3
        if adapter is not None:
            self.faults.append(Faults(seed=seed))
            shared = PlacedAdapter(adapter, faults=self.faults[3])
            places = [GpibPlace(shared, int(number)) for number in self.rng.choice(31, 3, replace=False)]
        placed = [
            PlacedSmu(f"smu{k}", model, (k,), faults=self.faults[k], gpib=places[k])
            for k, model in enumerate(models.tolist())
        ]
        self.bench = VirtualBench(GRAPH, placed, conductances=SIEMENS, meters=Meters(noise=0.0), seed=seed)
        self.rates, self.late_s = rates, late_s
        self.truth = hl.Kirchhoff(GRAPH, np.full(4, SIEMENS))

    def run(self):
        with self.bench:
            network = self._call(self._open)
            if network is not None:
                for _ in range(int(self.rng.integers(1, 9))):
                    self._disturb()
                    if self._call(lambda: self._measure(network)) is None:
                        break
                self._call(network.close)
        self._outputs_are_off_or_reported()

    def _open(self):
        channels = [
            {"address": placed["address"], "model": placed["model"], "node": placed["node"]}
            for placed in self.bench.instruments
        ]
        settings = SmuBackend.Settings(
            channels=channels, edges=SIEMENS, settle=0, slew_V_per_s=1e6, ramp_step=0.5, timeout=TIMEOUT_S
        )
        # half of the schedules start their faults before the bench is opened
        early = bool(self.rng.random() < 0.5)
        if early:
            self._start_faults()
        network = SmuBackend.open(settings, GRAPH, LIMITS)
        if not early:
            self._start_faults()
        return network

    def _start_faults(self):
        for faults in self.faults:
            faults._rates, faults._seconds = self.rates, self.late_s

    def _disturb(self):
        draw = self.rng.random()
        if draw < 0.05:
            self.faults[int(self.rng.integers(len(self.faults)))].muted = True
        elif draw < 0.1:
            self.vanished = True
            self.bench.close()

    def _measure(self, network):
        inputs = self.rng.uniform(-0.4, 0.4, (2, 2))
        drive = None
        if self.rng.random() < 0.5:
            drive = hl.OutputDrive.clamp(self.rng.uniform(-0.1, 0.1, (2, 1)))
        damaged = self._damaged()
        read = network.measure(inputs, drive)
        if self._damaged() == damaged:  # a damaged digit still reads as a number and cannot be detected
            V = self.truth.solve(inputs, clamped=None if drive is None else drive.values)
            expected = V[:, GRAPH.outputs]
            np.testing.assert_allclose(read.voltages, expected, atol=1e-3)
            np.testing.assert_allclose(read.source_currents, self.truth.source_currents(V), atol=1e-6)
            self.reads += any(faults.occurred for faults in self.faults)
        return True

    def _damaged(self):
        return sum(fault.kind == "garbled" for faults in self.faults for _, fault in faults.occurred)

    def _call(self, act):
        """Call ``act``, which may raise an HwlearnError, within the time limit; return None if it raised."""
        began = time.monotonic()
        try:
            return act()
        except HwlearnError as error:
            self.errors += f" {error}"
            return None
        finally:
            assert time.monotonic() - began < LONGEST_CALL_S, "a call is blocked"

    def _outputs_are_off_or_reported(self):
        deadline = time.monotonic() + 5
        while on := self._on():
            if "MAY BE ON" in self.errors:
                assert self.vanished, f"{on} was reachable, but stayed on: {self.errors}"
                return
            assert time.monotonic() < deadline, f"{on} still on, and not reported: {self.errors}"

    def _on(self):
        smus = [self.bench.instrument(f"smu{k}") for k in range(3)]
        return [channel.label for smu in smus for channel in smu.channels if channel.settings.output]


def run_all(seeds, adapter=None):
    """Run schedules in parallel, because they mostly wait.

    Return the violations by seed, and the number of correct measurements on benches that had faults before.
    """

    def one(seed):
        schedule = Schedule(seed, adapter)
        try:
            schedule.run()
        except AssertionError as error:
            return [(seed, str(error))], schedule.reads
        return [], schedule.reads

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(one, seeds))
    return [wrong for wrongs, _ in found for wrong in wrongs], sum(reads for _, reads in found)


def test_random_fault_schedules():
    wrong, _ = run_all(range(24))
    assert wrong == []


@pytest.mark.slow
def test_thousand_random_fault_schedules(figure, seeds):
    chosen = [1000 + seed for seed in seeds(1000, 120)]
    wrong, reads = run_all(chosen)
    figure(
        f"{len(chosen):,} random fault schedules: {len(wrong)} violations (required 0), {reads} measurements were "
        "correct after faults"
    )
    assert wrong == []
    assert reads > 50 or not seeds.full


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["prologix", "ar488"])
def test_random_fault_schedules_behind_one_adapter(figure, seeds, adapter):
    chosen = [5000 + seed for seed in seeds(500, 40)]
    wrong, reads = run_all(chosen, adapter)
    figure(
        f"{len(chosen):,} random fault schedules of three instruments behind one {adapter}: {len(wrong)} "
        f"violations (required 0), {reads} measurements were correct after faults"
    )
    assert wrong == []
    assert reads > 20 or not seeds.full
