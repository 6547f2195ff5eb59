"""Invalid arguments of `Kirchhoff`: each error names the edge, sample or argument."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hwlearn import Kirchhoff, Topology
from hwlearn.errors import CircuitError

PAIR = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, names=["in", "mid", "zero"])


@pytest.mark.parametrize(
    ("conductances", "message"),
    [
        ([1e-3, -1e-3], r"negative conductance -0.001 S at edge 1 \(mid-zero\)"),
        ([0.0, 1e-3], r"zero conductance 0 S at edge 0 \(in-mid\)"),
        ([np.nan, 1e-3], r"NaN conductance nan S at edge 0 \(in-mid\)"),
        ([1e-3, np.inf], r"infinite conductance inf S at edge 1"),
        ([-1.0, -1.0], r"edge 0 \(in-mid\) \(and 1 more\)"),
        ([1e-3], r"shape \(2,\), one for each edge, got \(1,\)"),
        ([[1e-3, 1e-3]], r"got \(1, 2\)"),
        (1e-3, r"got \(\)"),
        (["a", "b"], r"conductances must be numbers"),
        ([1e-3, None], r"NaN conductance|must be numbers"),
    ],
)
def test_invalid_conductance_is_refused_with_its_edge(conductances, message: str):
    with pytest.raises(CircuitError, match=message):
        Kirchhoff(PAIR, conductances)


@pytest.mark.parametrize("value", [-1e-9, np.nan, np.inf])
def test_allow_open_accepts_only_zero(value: float):
    assert Kirchhoff(Topology(2, [(0, 1), (0, 1)], [0], [1]), [1.0, 0.0], allow_open=True).conductances[1] == 0
    with pytest.raises(CircuitError, match=r"edge 1 \(mid-zero\)"):
        Kirchhoff(PAIR, [1.0, value], allow_open=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: k.solve([[1.0, 2.0]]), r"inputs must have shape (samples, 1), got (1, 2)"),
        (lambda k: k.solve([[[1.0]]]), r"inputs must have shape (samples, 1), got (1, 1, 1)"),
        (lambda k: k.solve([["x"]]), r"inputs must be numbers"),
        (lambda k: k.solve([[np.nan]]), r"inputs contain NaN or infinity"),
        (lambda k: k.solve([[np.inf]]), r"inputs contain NaN or infinity"),
        (lambda k: k.solve([[1.0]], clamped=[[1.0, 2.0]]), r"clamped must have shape (samples, 1)"),
        (lambda k: k.solve([[1.0]], clamped=[[np.inf]]), r"clamped contain infinity"),
        (lambda k: k.solve([[1.0]], injected=[[np.inf]]), r"injected contain infinity"),
        (lambda k: k.solve([[1.0]], injected=[[0.0], [0.0]]), r"injected has 2 samples, inputs have 1"),
        (lambda k: k.gradient([[1.0]], [[1.0, 1.0]]), r"error must have shape (samples, 1)"),
        (lambda k: k.gradient([[1.0]], [[np.nan]]), r"error of sample 0 at output mid is NaN"),
        (lambda k: k.gradient([[np.nan]], [[1.0]]), r"inputs contain NaN"),
        (lambda k: k.adjoint([[1.0], [np.nan]]), r"error of sample 1 at output mid is NaN"),
    ],
)
def test_invalid_batches_are_refused(call, message: str):
    with pytest.raises(CircuitError, match=re.escape(message)):
        call(Kirchhoff(PAIR, [1e-3, 1e-3]))
