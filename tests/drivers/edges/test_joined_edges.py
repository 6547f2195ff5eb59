"""Edges that several instruments set: each gets its own targets, and one that fails does not keep others open."""

import numpy as np
import pytest

from hwlearn.network.network import Programmed
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.edges.joined import JoinedEdges
from hwlearn_drivers.errors import LinkError


class Part(Edges):
    """Takes the targets with an error, or fails."""

    def __init__(self, error=0.0, fails=False):
        self.error, self.fails, self.calls = error, fails, []

    def _call(self, name):
        self.calls.append(name)
        if self.fails:
            raise LinkError(f"no answer to {name}")

    def program(self, conductances):
        self._call("program")
        return Programmed(conductances, conductances + self.error, np.full(len(conductances), self.error > 0))

    def check(self):
        self._call("check")

    def reconnect(self):
        self._call("reconnect")

    def close(self):
        self._call("close")


def joined(first, second):
    return JoinedEdges([(np.array([0, 3]), first), (np.array([1, 2]), second)])


def test_each_part_gets_its_targets_and_reports_what_its_edges_took():
    parts = Part(), Part(error=0.5)
    done = joined(*parts).program(np.array([1.0, 2.0, 3.0, 4.0]))
    assert done.reached.tolist() == [1.0, 2.5, 3.5, 4.0]
    assert done.failed.tolist() == [False, True, True, False]


@pytest.mark.parametrize("name", ["check", "reconnect", "close"])
def test_every_part_is_checked_reconnected_and_closed(name):
    parts = Part(), Part()
    getattr(joined(*parts), name)()
    assert [part.calls for part in parts] == [[name], [name]]


@pytest.mark.parametrize("broken", [0, 1])
def test_a_part_that_fails_does_not_keep_the_others_open(broken):
    parts = [Part(fails=k == broken) for k in range(2)]
    with pytest.raises(LinkError, match="no answer to close"):
        joined(*parts).close()
    assert [part.calls for part in parts] == [["close"], ["close"]]


def test_a_part_that_fails_ends_the_programming():
    with pytest.raises(LinkError, match="no answer to program"):
        joined(Part(), Part(fails=True)).program(np.ones(4))
