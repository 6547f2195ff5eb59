"""The complete state of a virtual instrument as plain values, to be compared before and after a use."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import numpy as np

_OPAQUE = (FunctionType, MethodType, BuiltinFunctionType, ModuleType, type, type(threading.Lock()))

_CACHES = ("_known", "_queries", "_chunks", "_root", "_tables")
"""Parsed messages and headers, and tables of Lua, which are made at first use and kept to be faster."""


def snapshot(thing: object) -> object:
    """Return everything that an object holds, to any depth, without code, locks and threads."""
    return _plain(thing, {})


def _plain(thing, seen):
    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes | bytearray):
        return repr(thing)
    if isinstance(thing, np.ndarray | np.generic):
        return repr(np.asarray(thing).tolist())
    if isinstance(thing, np.random.Generator):
        return repr(thing.bit_generator.state)
    if isinstance(thing, _OPAQUE) or type(thing).__module__ in ("_thread", "threading", "lupa", "functools"):
        return None
    if id(thing) in seen:
        return "seen before"
    seen[id(thing)] = thing  # kept alive, so that no other object gets its number
    if isinstance(thing, Mapping):
        return {repr(_plain(key, seen)): _plain(value, seen) for key, value in thing.items()}
    if isinstance(thing, list | tuple | deque | set | frozenset):
        items = sorted(thing, key=repr) if isinstance(thing, set | frozenset) else thing
        return [_plain(item, seen) for item in items]
    names = [*getattr(thing, "__dict__", {})]
    names += [
        name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ()) if hasattr(thing, name)
    ]
    return {name: _plain(getattr(thing, name), seen) for name in dict.fromkeys(names) if name not in _CACHES}


def differences(before: object, after: object, path: str = "") -> list[str]:
    """Return the paths at which two snapshots differ, with both values."""
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return [line for key in before for line in differences(before[key], after[key], f"{path}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for k, (a, b) in pairs for line in differences(a, b, f"{path}[{k}]")]
    return [] if before == after else [f"{path}: {before!r:.120} -> {after!r:.120}"]
