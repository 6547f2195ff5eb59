"""States of random generators and arrays of a simulation, to be stored and restored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = (1 << 64) - 1


def generator_states(generators: Sequence[np.random.Generator]) -> NDArray[np.uint64]:
    """Return the states (n, 6) of PCG64 generators: state and increment as two words each, and the spare word."""
    return np.array([_words(generator) for generator in generators], dtype=np.uint64).reshape(-1, 6)


def restore_generators(generators: Sequence[np.random.Generator], states: NDArray[np.uint64]) -> None:
    """Restore the states (n, 6) of generators.

    Raises
    ------
    ValueError
        If there are more or fewer states than generators.
    """
    if states.shape != (len(generators), 6):
        raise ValueError(
            f"{len(generators)} random generators need states ({len(generators)}, 6), got {states.shape}"
        )
    for generator, words in zip(generators, states.tolist(), strict=True):
        generator.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": words[0] << 64 | words[1], "inc": words[2] << 64 | words[3]},
            "has_uint32": words[4],
            "uinteger": words[5],
        }


def restored(present: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Return a copy of a stored array that replaces one of the same shape and type.

    Raises
    ------
    ValueError
        If shape or type are different.
    """
    if stored.shape != present.shape or stored.dtype != present.dtype:
        raise ValueError(
            f"an array {stored.dtype} {stored.shape} was stored, {present.dtype} {present.shape} is needed"
        )
    return stored.copy()


def _words(generator: np.random.Generator) -> list[int]:
    state = generator.bit_generator.state
    inner = state["state"]
    words = [word for number in (inner["state"], inner["inc"]) for word in (number >> 64, number & _WORD)]
    return [*words, state["has_uint32"], state["uinteger"]]
