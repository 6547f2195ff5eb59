"""`NudgingContract`: outputs float in the free phase, and every declared nudge moves them as it should."""

from __future__ import annotations

import numpy as np
import pytest

from hwlearn.arrays import FloatArray
from hwlearn.network.headroom import Headroom
from hwlearn.network.network import TargetError
from hwlearn.network.nudges import ClampNudge, CurrentNudge, DriveKind, Nudge, OutputDrive, ResistorNudge
from hwlearn.testing.refusals import RefusalsContract
from hwlearn.testing.subject import Exercise, model_outputs


class NudgingContract(RefusalsContract):
    """Tests of output drives and of `Network.two_phase`."""

    def test_outputs_float_in_the_free_phase(self) -> None:
        used = self.exercise()
        network, _, x, tolerance_V = used
        read = network.measure(x)
        if read.output_currents is not None and (np.abs(read.output_currents) > 6 * read.current_sigma).any():
            pytest.fail(f"currents into floating outputs: {np.abs(read.output_currents).max():.3g} A at most")
        for kind in sorted(network.nudges):
            floating = self._drive(used, kind, np.full(read.voltages.shape, np.nan))
            found = network.measure(x, floating).voltages
            self.check_same(found, read.voltages, tolerance_V, f"a {kind} drive with every output floating")

    def test_declared_drives_move_the_outputs_as_the_model(self) -> None:
        used = self.exercise()
        network, model, x, tolerance_V = used
        free = network.measure(x).voltages
        for kind in sorted(network.nudges):
            high, low = self._both(used, kind)
            found = network.measure(x, high).voltages - network.measure(x, low).voltages
            expected = model_outputs(model, network.topology, x, high) - model_outputs(
                model, network.topology, x, low
            )
            self.check_agrees(found, expected, 2 * tolerance_V, f"what a {kind} drive moves")
            self.check_same(network.measure(x).voltages, free, tolerance_V, f"the free phase after a {kind} drive")

    def test_clamped_outputs_read_their_setpoints(self) -> None:
        used = self.exercise()
        network, _, x, tolerance_V = used
        if "clamp" not in network.nudges:
            pytest.skip("this network cannot clamp")
        high, low = self._both(used, "clamp")
        moved = network.measure(x, high).voltages - network.measure(x, low).voltages
        wanted = high.values - low.values
        held = ~np.isnan(wanted)
        most = tolerance_V + 0.2 * self.accuracy * float(np.nanmax(np.abs(wanted)))
        self.check_same(moved[held][:, None], wanted[held][:, None], most, "clamped outputs")

    def test_two_phase_moves_outputs_against_and_along_the_error(self) -> None:
        used = self.exercise()
        network, _, x, tolerance_V = used
        for kind in sorted(network.nudges):
            nudge = self._bound(used, kind)
            free = network.measure(x).voltages
            span = 0.2 * float(np.abs(x).max())
            targets = free + span * np.random.default_rng(4).choice([-1.0, 1.0], free.shape)
            both = network.two_phase(x, TargetError(targets), nudge)
            self.check_same(both.error, both.free.voltages - targets, 1e-9, "the error of the free phase")
            self.check_same(both.free.voltages, free, tolerance_V, "the free phase")
            if both.minus is None:
                pytest.fail("a symmetric measurement has no phase along the error")
            if both.skipped.all():
                pytest.skip(f"the limits leave no headroom for a {kind} nudge")
            for phase, sign in ((both.plus, 1.0), (both.minus, -1.0)):
                moved = np.sum((phase.voltages - both.free.voltages) * both.error, axis=1)
                noise = tolerance_V * np.abs(both.error).sum(axis=1)
                wrong = ~both.skipped & (sign * moved > noise)
                if wrong.any():
                    name = "plus" if sign > 0 else "minus"
                    pytest.fail(
                        f"the {kind} nudge of phase {name!r} has the wrong sign in sample {wrong.argmax()}"
                    )
            difference = np.sum((both.plus.voltages - both.minus.voltages) * both.error, axis=1)
            small = np.abs(difference) <= tolerance_V * np.abs(both.error).sum(axis=1)
            if small[~both.skipped].all() and self._should_move(used, kind, both.error, both.strength):
                pytest.fail(f"the {kind} nudge moves no output: both phases read the same")

    def test_two_phase_skips_samples_without_an_error(self) -> None:
        used = self.exercise()
        network, _, x, _ = used
        for kind in sorted(network.nudges):
            both = network.two_phase(x, np.zeros_like, self._bound(used, kind))
            if not both.skipped.all():
                pytest.fail("samples without an error must have strength 0")
            if not np.array_equal(both.plus.voltages, both.free.voltages):
                pytest.fail("a skipped sample must repeat its free reading")

    def test_one_sided_measurement_has_no_minus_phase(self) -> None:
        used = self.exercise()
        network, _, x, _ = used
        for kind in sorted(network.nudges):
            targets = np.zeros((len(x), network.topology.n_outputs))
            if (
                network.two_phase(x, TargetError(targets), self._bound(used, kind), symmetric=False).minus
                is not None
            ):
                pytest.fail("a one-sided measurement has a phase along the error")

    def test_two_phase_counts_every_phase(self) -> None:
        used = self.exercise()
        network, _, x, _ = used
        for kind in sorted(network.nudges):
            counted: list[int] = []
            network.on_measured = counted.append
            before = network.measurements
            free = network.measure(x).voltages
            both = network.two_phase(x, TargetError(np.zeros_like(free)), self._bound(used, kind))
            network.on_measured = None
            wanted = 2 * len(x) + 2 * int((~both.skipped).sum())
            if network.measurements - before != wanted or sum(counted) != wanted:
                pytest.fail(
                    f"{wanted} samples were measured, measurements rose by {network.measurements - before} and "
                    f"on_measured was called with {counted}"
                )

    # --- drives -------------------------------------------------------------------------------------

    def _bound(self, used: Exercise, kind: DriveKind) -> Nudge:
        """Return a nudge of automatic strength, bound to the model."""
        nudges: dict[DriveKind, Nudge] = {"clamp": ClampNudge(), "current": CurrentNudge()}
        nudge = nudges.get(kind) or ResistorNudge(kappa=self.kappa(used.network))
        model = used.model
        impedance = model.output_impedance() if np.isinf(model.scale_V) else model.output_impedance(used.inputs)
        return nudge.bound(impedance, model.scale_V)

    def _both(self, used: Exercise, kind: DriveKind) -> tuple[OutputDrive, OutputDrive]:
        """Return two drives of opposite sign within the limits; every second output floats."""
        network, _, x, _ = used
        free = network.measure(x).voltages
        error = np.random.default_rng(5).choice([-1.0, 1.0], free.shape)
        error[np.arange(free.size).reshape(free.shape) % 2 == 1] = 0.0
        nudge = self._bound(used, kind)
        strength = nudge.strengths(Headroom(network.topology, network.limits, x), free, error)
        if not (strength > 0).any():
            pytest.skip(f"the limits leave no headroom for a {kind} drive; implement inputs(self)")
        sides = [nudge.drive(free, error, sign * 0.6 * strength) for sign in (1.0, -1.0)]
        return tuple(  # type: ignore[return-value]
            OutputDrive(side.kind, np.where(error == 0.0, np.nan, side.values), side.siemens) for side in sides
        )

    def _drive(self, used: Exercise, kind: DriveKind, values: FloatArray) -> OutputDrive:
        siemens = used.network.nudge_siemens
        kappa = np.full(values.shape[1], self.kappa(used.network)) if siemens is None else siemens
        return OutputDrive(kind, values, kappa if kind == "resistor" else None)

    def _should_move(self, used: Exercise, kind: DriveKind, error: FloatArray, strength: FloatArray) -> bool:
        """Return whether the model predicts a difference of the two phases that noise does not hide."""
        network, model, x, tolerance_V = used
        nudge = self._bound(used, kind)
        free = model_outputs(model, network.topology, x, None)
        high, low = (nudge.drive(free, error, sign * strength) for sign in (1.0, -1.0))
        moved = model_outputs(model, network.topology, x, high) - model_outputs(model, network.topology, x, low)
        return bool((np.abs(np.sum(moved * error, axis=1)) > 3 * tolerance_V * np.abs(error).sum(axis=1)).any())
