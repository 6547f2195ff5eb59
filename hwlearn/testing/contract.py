"""`NetworkContract`: the pytest class that a backend's own tests subclass."""

from __future__ import annotations

from hwlearn.testing.exits import ExitsContract
from hwlearn.testing.programming import ProgrammingContract
from hwlearn.testing.readings import ReadingsContract
from hwlearn.testing.use import UseContract


class NetworkContract(ReadingsContract, ProgrammingContract, UseContract, ExitsContract):
    """Tests of everything that `hwlearn.Network` promises; pytest collects them from a subclass.

    The author gives `make_network`, and says with the other methods what is known about the hardware of the tests,
    which may be a stand-in. What is not said is not checked, and the tests that need it are skipped.

    Examples
    --------
    A complete test file:

    >>> from hwlearn import Limits, Topology
    >>> from hwlearn_sim import KirchhoffTwin
    >>> class TestTwin(NetworkContract):
    ...     def make_network(self):
    ...         divider = Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)
    ...         return KirchhoffTwin(divider, Limits(1.0, 2.0, 0.2, 1e-3, (1e-5, 1e-4)))
    """
