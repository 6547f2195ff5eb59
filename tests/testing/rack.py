"""A small backend with a stand-in of its hardware, and copies of it with one bug each.

One file because each bug is a change of one step of the correct backend above it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import hwlearn as hl
from hwlearn.errors import NetworkError
from hwlearn.testing import NetworkContract

LIMITS = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1e-3, conductance=(1e-5, 1e-4))
TOPOLOGY = hl.Topology.random(9, 16, inputs=3, outputs=3, seed=4)
NOISE_V = 1e-4


class Silent(NetworkError):
    """The rack did not answer."""


class Rack:
    """The hardware: sources at the inputs, clamps at the outputs, programmable edges."""

    def __init__(self, stuck=()):
        self.on, self.answers = False, True
        self.levels = np.zeros(TOPOLOGY.n_inputs)
        self.clamps = np.full(TOPOLOGY.n_outputs, np.nan)
        self.siemens = np.full(TOPOLOGY.n_edges, 3e-5)
        self.stuck = list(stuck)
        self.heard = []
        self.noise = np.random.default_rng(8)

    def send(self, command, value=None):
        """Execute a command that has no answer."""
        self.heard.append(command)
        if command == "off":
            self.on = False
        elif command == "on":
            self.on = True
        elif command == "levels":
            self.levels = np.array(value)
        elif command == "clamps":
            self.clamps = np.array(value)
        elif command == "edges":
            keep = self.siemens[self.stuck].copy()
            self.siemens = np.array(value)
            self.siemens[self.stuck] = keep

    def ask(self, question):
        """Return the answer to a query."""
        self.heard.append(question)
        if not self.answers:
            raise Silent("the rack does not answer")
        if question == "on?":
            return self.on
        if question == "edges?":
            return self.siemens.copy()
        if not self.on:
            return np.zeros(TOPOLOGY.n_outputs)
        held = None if np.isnan(self.clamps).all() else self.clamps[None]
        V = hl.Kirchhoff(TOPOLOGY, self.siemens).solve(self.levels[None], clamped=held)
        return V[0, TOPOLOGY.outputs] + NOISE_V * self.noise.standard_normal(TOPOLOGY.n_outputs)


class RackNetwork(hl.Network):
    """A correct network on the rack. Bugs override one of its steps."""

    sigma = NOISE_V

    def __init__(self, rack):
        super().__init__(TOPOLOGY, LIMITS, nudges=("clamp",), resolution=1e-6)
        self.rack = rack

    def _measure(self, inputs, drive):
        try:
            self.switch_on()
            rows = [self.sample(x, None if drive is None else drive.values[s]) for s, x in enumerate(inputs)]
            return self.readout(np.array(rows).reshape(len(inputs), TOPOLOGY.n_outputs))
        except BaseException:
            self.all_off()
            raise

    def switch_on(self):
        self.rack.send("on")

    def sample(self, x, clamps):
        self.levels(x)
        self.clamps(clamps)
        return self.read()

    def levels(self, x):
        self.rack.send("levels", x)

    def clamps(self, volts):
        self.rack.send("clamps", np.full(TOPOLOGY.n_outputs, np.nan) if volts is None else volts)

    def read(self):
        return self.rack.ask("volts?")

    def readout(self, volts):
        return hl.Readout(volts, voltage_sigma=self.sigma)

    def _program(self, conductances):
        self.rack.send("edges", conductances)
        reached = self.rack.ask("edges?")
        return hl.Programmed(conductances, reached, ~np.isclose(reached, conductances, rtol=1e-3))

    def all_off(self):
        self.rack.send("off")

    def _switch_off(self):
        self.all_off()

    def _close(self):
        self.all_off()
        if self.rack.answers and self.rack.ask("on?"):
            raise NetworkError("OUTPUTS MAY BE ON: the rack")


class RackContract(NetworkContract):
    """The contract of a kind of rack network."""

    kind = RackNetwork
    stuck = ()
    off_within_s = 0.0

    def make_network(self):
        return self.kind(Rack(self.stuck))

    def outputs_on(self, network):
        return network.rack.on

    def hardware_state(self, network):
        rack = network.rack
        return rack.on, rack.levels.tolist(), np.nan_to_num(rack.clamps, nan=9e9).tolist(), rack.siemens.tolist()

    def stop_answering(self, network):
        network.rack.answers = False
        return True

    def stuck_edges(self, network):
        return list(self.stuck)


# --- one bug each -----------------------------------------------------------------------------------


class WrongShape(RackNetwork):
    def readout(self, volts):
        return super().readout(volts.T)


class NoBatchOfNothing(RackNetwork):
    def readout(self, volts):
        return super().readout(volts.mean(axis=0) + np.zeros_like(volts) if len(volts) else volts[:, :1])


class NaN(RackNetwork):
    def read(self):
        volts = super().read()
        volts[0] = np.nan
        return volts


class Millivolts(RackNetwork):
    """A reading below 0.1 V is returned in millivolts: the meter changed its range."""

    def read(self):
        volts = super().read()
        return np.where(np.abs(volts) < 0.05, 10 * volts, volts)


class Kilovolts(RackNetwork):
    def readout(self, volts):
        return super().readout(1e-3 * volts)


class ClippedLevels(RackNetwork):
    def levels(self, x):
        super().levels(np.clip(x, -0.5, 0.5))


class SwappedChannels(RackNetwork):
    def read(self):
        return super().read()[[1, 0, 2]]


class SwappedInputs(RackNetwork):
    def levels(self, x):
        super().levels(x[[1, 0, 2]])


class LostSign(RackNetwork):
    def read(self):
        return np.abs(super().read())


class StaleReading(RackNetwork):
    last = None

    def read(self):
        now = super().read()
        before, self.last = self.last, now
        return now if before is None else before


class LateLevels(RackNetwork):
    """The first sample of each batch is read before its levels are set."""

    def _measure(self, inputs, drive):
        found = super()._measure(inputs, drive)
        if not len(inputs):
            return found
        volts = found.voltages.copy()
        volts[0] = self.first
        return self.readout(volts)

    def switch_on(self):
        super().switch_on()
        self.first = self.read()


class OneBuffer(RackNetwork):
    buffer = np.zeros((1000, TOPOLOGY.n_outputs))

    def readout(self, volts):
        self.buffer[: len(volts)] = volts
        return super().readout(self.buffer[: len(volts)])


class ChangesInputs(RackNetwork):
    def _measure(self, inputs, drive):
        inputs *= 1.0
        inputs[inputs > 0] += 1e-9
        return super()._measure(inputs, drive)


class UnderstatedNoise(RackNetwork):
    sigma = NOISE_V / 10


class DrivenOutputs(RackNetwork):
    """Outputs are held at 0 V in the free phase."""

    def clamps(self, volts):
        super().clamps(np.zeros(TOPOLOGY.n_outputs) if volts is None else volts)


class ClampStays(RackNetwork):
    """The clamps of the last nudged phase stay on in the free phase."""

    def clamps(self, volts):
        if volts is not None:
            super().clamps(volts)


class FloatingIsZero(RackNetwork):
    def clamps(self, volts):
        super().clamps(None if volts is None else np.nan_to_num(volts))


class NudgeSign(RackNetwork):
    def clamps(self, volts):
        super().clamps(None if volts is None else -volts)


class NudgeIgnored(RackNetwork):
    def clamps(self, volts):
        super().clamps(None)


class LimitsIgnored(RackNetwork):
    def _check_request(self, inputs, drive):
        pass


class ClipsInsteadOfRefusing(RackNetwork):
    def measure(self, inputs, drive=None):
        most = self.limits.voltage
        return super().measure(np.clip(inputs, -most, most), drive)


class RefusesLate(RackNetwork):
    """The limits are checked after the levels are set."""

    def _check_request(self, inputs, drive):
        self.rack.send("levels", np.asarray(inputs)[-1])
        super()._check_request(inputs, drive)


class WiderLimits(RackNetwork):
    def __init__(self, rack):
        super().__init__(rack)
        self.limits = replace_voltage(self.limits, 2.0)


class UndeclaredNudge(RackNetwork):
    def _check_request(self, inputs, drive):
        if drive is None or drive.kind == "clamp":
            super()._check_request(inputs, drive)


class ClampBeyondLimits(RackNetwork):
    def _check_request(self, inputs, drive):
        super()._check_request(inputs, None if drive is not None and drive.kind == "clamp" else drive)


class ProgramBeyondLimits(RackNetwork):
    def program(self, conductances):
        with self.reserved():
            return self._program(np.clip(np.asarray(conductances, dtype=float), *self.limits.conductance))


class NotProgrammed(RackNetwork):
    """One edge is never programmed, and reported as reached."""

    def _program(self, conductances):
        sent = conductances.copy()
        sent[5] = 3e-5
        self.rack.send("edges", sent)
        return hl.Programmed(conductances, conductances.copy(), np.zeros(len(sent), dtype=bool))


class StuckEdgesReached(RackNetwork):
    def _program(self, conductances):
        super()._program(conductances)
        return hl.Programmed(conductances, conductances.copy(), np.zeros(len(conductances), dtype=bool))


class SwappedEdges(RackNetwork):
    def _program(self, conductances):
        order = np.arange(len(conductances))
        order[[2, 3]] = 3, 2
        done = super()._program(conductances[order])
        return replace(done, requested=conductances, reached=done.reached[order])


class NothingReached(RackNetwork):
    """Each edge gets half of its target, which is neither reported nor failed."""

    def _program(self, conductances):
        done = super()._program(0.5 * conductances)
        return replace(done, requested=conductances, failed=np.zeros(len(conductances), dtype=bool))


class OnAfterOpening(RackNetwork):
    def __init__(self, rack):
        super().__init__(rack)
        self.switch_on()


class OnAfterClose(RackNetwork):
    def _close(self):
        pass


class OnAfterSwitchOff(RackNetwork):
    def _switch_off(self):
        pass


class OnAfterError(RackNetwork):
    def _measure(self, inputs, drive):
        self.switch_on()
        rows = [self.sample(x, None if drive is None else drive.values[s]) for s, x in enumerate(inputs)]
        return self.readout(np.array(rows).reshape(len(inputs), TOPOLOGY.n_outputs))


class OnAfterInterrupt(RackNetwork):
    """Errors switch off, Ctrl-C does not."""

    def _measure(self, inputs, drive):
        try:
            self.switch_on()
            rows = [self.sample(x, None if drive is None else drive.values[s]) for s, x in enumerate(inputs)]
        except Exception:
            self.all_off()
            raise
        return self.readout(np.array(rows).reshape(len(inputs), TOPOLOGY.n_outputs))


class SwallowsInterrupt(RackNetwork):
    def sample(self, x, clamps):
        try:
            return super().sample(x, clamps)
        except KeyboardInterrupt:
            return super().sample(x, clamps)


class ClosesOnInterrupt(RackNetwork):
    def _measure(self, inputs, drive):
        try:
            return super()._measure(inputs, drive)
        except KeyboardInterrupt:
            self.close()
            raise


class OffAfterQuery(RackNetwork):
    def all_off(self):
        if self.rack.ask("on?"):
            super().all_off()


class StaysOffAfterSwitchOff(RackNetwork):
    was_off = False

    def switch_on(self):
        if not self.was_off:
            super().switch_on()

    def _switch_off(self):
        super()._switch_off()
        self.was_off = True


class ClosesTwice(RackNetwork):
    def close(self):
        self._close()
        if self.on_closed is not None:
            self.on_closed(True)
        super().close()


class WorksAfterClose(RackNetwork):
    def _check_open(self):
        pass


class CountsTwice(RackNetwork):
    def _count(self, samples):
        super()._count(2 * samples)


class NoLock(RackNetwork):
    def measure(self, inputs, drive=None):
        return self._measure(np.asarray(inputs), drive)


def replace_voltage(limits, volts):
    return hl.Limits(volts, limits.drop, limits.nudge, limits.current, limits.conductance)
