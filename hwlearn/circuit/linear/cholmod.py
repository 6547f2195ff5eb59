"""Sparse factors by CHOLMOD, which comes in the package cvxopt (extra ``fast``).

cvxopt is imported when CHOLMOD is first used. Every call holds the interpreter lock until it returns.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.linear.matrix import LowerPattern, SingularMatrix

_KEPT_FACTORS: Final = 1
"""Factors that no circuit uses any more and that the next circuit overwrites."""

_LOCK: Final = threading.Lock()


@cache
def is_installed() -> bool:
    """Return whether CHOLMOD can be used."""
    if importlib.util.find_spec("cvxopt") is None:
        return False
    try:
        _cvxopt()
    except ImportError:  # built for another system
        return False
    return True


class CholmodFactor:
    """A factored positive definite matrix; a `MatrixFactor`. It cannot be pickled."""

    def __init__(self, factor: object) -> None:
        self._factor = factor

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return volts (n, S) or (n,) for currents of the same shape; fastest with contiguous columns."""
        cvxopt, cholmod = _cvxopt()
        columns = cvxopt.matrix(currents)
        with _exclusively(cholmod):
            cholmod.solve(self._factor, columns)
        return np.asarray(columns).reshape(currents.shape, order="F")


class Analysis:
    """Order of elimination and places of the entries of a factor, for matrices with the same pattern.

    Parameters
    ----------
    pattern : LowerPattern
    n : int
        Number of rows.
    """

    def __init__(self, pattern: LowerPattern, n: int) -> None:
        cvxopt, _ = _cvxopt()
        self._pattern = pattern
        self._idle: list[object] = []
        ones = cvxopt.matrix(1.0, (len(pattern.rows), 1))
        self._matrix = cvxopt.spmatrix(ones, cvxopt.matrix(pattern.rows), cvxopt.matrix(pattern.columns), (n, n))

    def factor(self, between: FloatArray, diagonal: FloatArray) -> CholmodFactor:
        """Factor the matrix of conductances between free nodes (K,) and a diagonal (n,).

        Raises
        ------
        SingularMatrix
            If a pivot is zero or negative.
        """
        cvxopt, cholmod = _cvxopt()
        values = cvxopt.matrix(self._pattern.values(between, diagonal))
        with _exclusively(cholmod):
            self._matrix.V = values
            # a factor is overwritten by the next one, so each circuit in use needs its own; the analysis is in it
            numbers = self._idle.pop() if self._idle else cholmod.symbolic(self._matrix, uplo="L")
            try:
                cholmod.numeric(self._matrix, numbers)
            except ArithmeticError:
                raise SingularMatrix from None
        factor = CholmodFactor(numbers)
        weakref.finalize(factor, self._keep, numbers).atexit = False
        return factor

    def _keep(self, numbers: object) -> None:
        if len(self._idle) < _KEPT_FACTORS:
            self._idle.append(numbers)


@contextmanager
def _exclusively(cholmod: ModuleType) -> Iterator[None]:
    """Use CHOLMOD with its default options: other code in the process may have changed them.

    Circuits in other threads share options and matrices, and calls cannot overlap anyway.
    """
    with _LOCK:
        before = dict(cholmod.options)
        cholmod.options.clear()
        try:
            yield
        finally:
            cholmod.options.update(before)


@cache
def _cvxopt() -> tuple[ModuleType, ModuleType]:
    """Return the modules ``cvxopt`` and ``cvxopt.cholmod``."""
    return importlib.import_module("cvxopt"), importlib.import_module("cvxopt.cholmod")
