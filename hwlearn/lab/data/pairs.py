"""Pairs of outputs of a bench file: ``data.output_pairs`` names outputs by number or by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from hwlearn.circuit.topology import Topology
from hwlearn.errors import DataError, closest
from hwlearn.learning.output_pairs import OutputPairs

_SHOWN: Final = 6
"""So many outputs or pairs are listed."""


def read_pairs(
    given: Literal["consecutive"] | Sequence[Sequence[int | str]] | None, topology: Topology
) -> OutputPairs | None:
    """Return the pairs of outputs that ``data.output_pairs`` describes; None if each output is scored by itself.

    Parameters
    ----------
    given : "consecutive", list of [plus, minus], or None
        Numbers from 0 in the order of the network's outputs, or names of nodes.
    topology : Topology

    Raises
    ------
    DataError
        If an output does not exist, is paired with itself, a pair is given twice, or there is none.
    """
    if given is None:
        return None
    try:
        if given == "consecutive":
            return OutputPairs.consecutive(topology.n_outputs)
        pairs = OutputPairs([(_output(plus, topology), _output(minus, topology)) for plus, minus in given])
    except DataError as error:
        raise DataError(f"data.output_pairs: {error}") from None
    return pairs


def pair_name(pairs: OutputPairs, k: int, topology: Topology) -> str:
    """Return the name of a pair: ``"O+ - O-"``."""
    plus, minus = (topology.names[topology.outputs[output]] for output in pairs.pairs[k])
    return f"{plus} - {minus}"


def pairs_text(pairs: OutputPairs, topology: Topology) -> str:
    """Return the pairs, and the outputs in none of them, in a line for a person."""
    names = [pair_name(pairs, k, topology) for k in range(min(len(pairs), _SHOWN))]
    alone = [topology.names[topology.outputs[output]] for output in pairs.unpaired(topology.n_outputs)]
    unscored = f"; read, but not scored: {_listed(alone)}" if alone else ""
    return f"pairs of outputs: {_listed(names, len(pairs))}{unscored}"


def _output(given: int | str, topology: Topology) -> int:
    """Return the number of an output, given by number or by the name of its node."""
    outputs = topology.outputs.tolist()
    if isinstance(given, int):
        if 0 <= given < len(outputs):
            return given
        node = f"; node {given} is output {outputs.index(given)}" if given in outputs else ""
        raise DataError(
            f"there is no output {given}: outputs are numbered 0 to {len(outputs) - 1} in the order of the "
            f"network's outputs{node}"
        )
    names = [topology.names[node] for node in outputs]
    if given in names:
        return names.index(given)
    what = f"node {given!r} is no output" if given in topology.names else f"there is no output {given!r}"
    raise DataError(f"{what}{closest(given, names)}; the outputs are: {_listed(names)}")


def _listed(names: Sequence[str], number: int | None = None) -> str:
    """Return the first names as text, and their number if there are more."""
    number = len(names) if number is None else number
    return ", ".join(names[:_SHOWN]) + (f", ... ({number} in all)" if number > _SHOWN else "")
