"""Fingerprint of a graph: a short hash that run folders and calibration files store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwlearn.arrays import FloatArray, IntArray

_ROWS_AT_ONCE: Final = 1 << 15  # so that the text of a block stays in the cache


def fingerprint(
    n_nodes: int,
    edges: IntArray,
    inputs: IntArray,
    outputs: IntArray,
    ground: int | None,
    fixed_edges: IntArray,
    fixed_conductances: FloatArray,
    elements: str | None,
) -> str:
    """Return 16 hexadecimal digits: the start of the SHA-256 of a text that lists the graph.

    Parameters
    ----------
    n_nodes : int
    edges, fixed_edges : ndarray of int, shape (E, 2) and (F, 2)
        Numbers of nodes, 0 to ``n_nodes - 1``.
    inputs, outputs : ndarray of int
    ground : int, optional
    fixed_conductances : ndarray, shape (F,)
        Siemens, positive and finite.
    elements : str, optional
        Text of the elements; None if all are resistors.
    """
    # stored values depend on this text: lists as Python prints them
    digest = hashlib.sha256()
    width = len(str(n_nodes))
    numbers = np.arange(n_nodes).astype(f"S{width}").view(np.uint8).reshape(n_nodes, width)
    parts: Iterable[Iterable[bytes]] = (
        [f"{n_nodes}|".encode()],
        _pairs(edges, numbers),
        [f"|{inputs.tolist()}|{outputs.tolist()}|{ground}|".encode()],
        _pairs(fixed_edges, numbers),
        [b"|", _numbers(fixed_conductances)],
        [] if elements is None else [b"|", elements.encode()],
    )
    for part in chain.from_iterable(parts):
        digest.update(part)
    return digest.hexdigest()[:16]


def _pairs(pairs: IntArray, numbers: NDArray[np.uint8]) -> Iterator[bytes]:
    """Yield the text of ``pairs.tolist()`` in pieces, from the characters (n_nodes, width) of all numbers.

    Printing the list takes several times as long.
    """
    yield b"["
    width = numbers.shape[1]
    for start in range(0, len(pairs), _ROWS_AT_ONCE):
        some = pairs[start : start + _ROWS_AT_ONCE]
        text = np.zeros((len(some), 2 * width + 6), dtype=np.uint8)
        text[:, 0] = ord("[")
        text[:, 1 : 1 + width] = numbers[some[:, 0]]
        text[:, 1 + width : 3 + width] = list(b", ")
        text[:, 3 + width : -3] = numbers[some[:, 1]]
        text[:, -3:] = list(b"], ")
        if start + len(some) == len(pairs):
            text[-1, -2:] = 0
        yield text[text > 0].tobytes()  # shorter numbers end with zeros
    yield b"]"


def _numbers(values: FloatArray) -> bytes:
    """Return the text of ``values.tolist()``; many fixed edges have few different conductances."""
    different, which = np.unique(values, return_inverse=True)
    texts = [repr(value) for value in different.tolist()]
    return f"[{', '.join(map(texts.__getitem__, which.tolist()))}]".encode()
