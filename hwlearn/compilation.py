"""Functions compiled by numba, which comes with the optional extra ``fast``."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, Final

THREADS: Final = "HWLEARN_THREADS"
"""Environment variable: most threads of one calculation."""


def compiled(function: Callable[..., Any], *, contract: bool = False, reorder: bool = False) -> Any:
    """Return a compiled function that releases the interpreter lock; numba keeps the compiled code on disk.

    With ``contract`` products and sums may be rounded once, together; with ``reorder`` sums may also be added in
    another order, so that they use vector instructions. This module loads numba when the function is called.
    """
    fast = {"reassoc", "contract"} if reorder else {"contract"} if contract else False
    numba = importlib.import_module("numba")
    return numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=fast)(function)


def cores() -> int:
    """Return how many processor cores this process may use; at most ``$HWLEARN_THREADS``, if that is a number."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = os.environ.get(THREADS, "")
    return max(1, min(found, int(most))) if most.isdecimal() else found


@cache
def compiled_module(name: str) -> ModuleType | None:
    """Return a module of compiled functions; None without numba."""
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError):
        # RuntimeError: numba finds no folder for compiled code, and compiling in each process would take longer
        return None
