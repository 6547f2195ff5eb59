"""`StatusQueries`: the queries that read the state of a channel and change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwlearn_drivers.smu.operating_range import Quantity


@dataclass(frozen=True, slots=True)
class StatusQueries:
    """Queries of one channel, each of them a message of its own.

    Attributes
    ----------
    output : str
        0 or 1.
    function : str
        The quantity that it sources: a word, or 0 for current and 1 for voltage.
    levels, limits : mapping of Quantity to str
        Setpoint of the source of this quantity, and limit of this quantity.
    flags : mapping of str to str
        Queries of the whole instrument that answer 0 or 1, by what 1 means.
    """

    output: str
    function: str
    levels: Mapping[Quantity, str]
    limits: Mapping[Quantity, str]
    flags: Mapping[str, str] = field(default_factory=dict)
