"""`ProgrammingContract`: edges get the conductances that are reported, or are reported as failed."""

from __future__ import annotations

import numpy as np
import pytest

from hwlearn.arrays import FloatArray
from hwlearn.network.network import Network
from hwlearn.testing.subject import Subject, model_outputs


class ProgrammingContract(Subject):
    """Tests of `Network.program`."""

    def test_edges_reach_their_targets_or_are_reported_as_failed(self) -> None:
        network = self.opened()
        low, high = network.limits.ranges(network.topology).ends
        step = network.conductance_step_S
        for targets in (low, high, self.random_values(network, 0)):
            done = network.program(targets)
            if not np.array_equal(done.requested, targets):
                pytest.fail("Programmed.requested differs from the targets of the request")
            off = np.abs(done.reached - targets)
            allowed = self.accuracy * targets + (0.0 if step is None else step)
            silent = np.flatnonzero((off > allowed) & ~done.failed)
            if silent.size:
                k = int(silent[0])
                unit = network.topology.parameter(k).unit
                pytest.fail(
                    f"edge {k} reached {done.reached[k]:.3g} {unit} instead of {targets[k]:.3g} {unit} and is not "
                    f"reported as failed ({silent.size} such edges)"
                )
            if not network.has_fixed_edges and done.failed.all():
                pytest.fail("every edge failed; has_fixed_edges must say so")

    def test_edges_that_cannot_be_programmed_are_reported_as_failed(self) -> None:
        network = self.opened()
        stuck = list(range(network.topology.n_edges)) if network.has_fixed_edges else self.stuck_edges(network)
        if not stuck:
            pytest.skip("every edge of this network can be programmed")
        # an edge that cannot move can be at one of two targets, not at both
        reports = [network.program(end).failed for end in network.limits.ranges(network.topology).ends]
        silent = [k for k in stuck if not (reports[0][k] or reports[1][k])]
        if silent:
            pytest.fail(f"the edges {silent} cannot be programmed, and are reported as reached at both ends")

    def test_each_edge_changes_the_outputs_as_the_model(self) -> None:
        network = self.opened()
        if network.has_fixed_edges:
            pytest.skip("the edges of this network are fixed")
        x = self.chosen_inputs(network)
        ranges = network.limits.ranges(network.topology)
        middle = ranges.at(np.full(network.topology.n_edges, 0.5), ranges.is_log)
        tolerance_V = self.tolerance_V(network, x)
        tested = np.random.default_rng(6).permutation(network.topology.n_edges)[: self.edges_tested]
        for k in sorted(tested.tolist()):
            found, expected, failed = self._effect(network, x, middle, k)
            size = float(np.sqrt(np.mean(expected**2)))
            if failed or size < 3 * tolerance_V:
                continue
            along = float(np.sum(found * expected) / np.sum(expected**2))
            off = float(np.sqrt(np.mean((found - along * expected) ** 2)))
            if abs(along - 1) > 2 * self.accuracy or off > 2 * self.accuracy * size + tolerance_V:
                (low, high), unit = ranges.ends, network.topology.parameter(k).unit
                pytest.fail(
                    f"edge {k} was programmed from {low[k]:.3g} to {high[k]:.3g} {unit} and reported as reached; "
                    f"the outputs changed by {along:.2f} of what that does in the model, and by {off:.3g} V "
                    "otherwise"
                )

    def test_program_does_not_change_its_argument(self) -> None:
        network = self.opened()
        targets = self.random_values(network, 0)
        given = targets.copy()
        network.program(given)
        if not np.array_equal(given, targets):
            pytest.fail("program() changed the array of targets that it was given")

    def test_earlier_result_of_programming_does_not_change(self) -> None:
        network = self.opened()
        done = network.program(self.random_values(network, 0))
        before = done.requested.copy(), done.reached.copy(), done.failed.copy()
        network.program(self.random_values(network, 1))
        after = done.requested, done.reached, done.failed
        if not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
            pytest.fail("a later program() changed the result of an earlier one; return copies")

    def test_access_to_devices_fits_the_network(self) -> None:
        network = self.opened()
        access = network.devices  # its number of devices is checked there
        if access is None:
            pytest.skip("this network gives no access to single devices")
        if network.devices is not access:
            pytest.fail("devices must be the same object each time")

    def _effect(
        self, network: Network, x: FloatArray, middle: FloatArray, edge: int
    ) -> tuple[FloatArray, FloatArray, bool]:
        """Return measured and expected change (S, n_out) of the outputs by one edge, and whether it failed."""
        measured, expected, failed = [], [], False
        for end in network.limits.ranges(network.topology).ends:
            targets = middle.copy()
            targets[edge] = end[edge]
            done = network.program(targets)
            failed = failed or bool(done.failed[edge])
            measured.append(network.measure(x).voltages)
            expected.append(model_outputs(self.model(network, done.reached), network.topology, x, None))
        return measured[1] - measured[0], expected[1] - expected[0], failed
