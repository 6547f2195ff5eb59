"""`SwitchedOff`: how OFF reached one instrument; `SwitchOffError`: it did not reach all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hwlearn.errors import HwlearnError

Way = Literal["direct", "owner", "direct and owner", "owner ended"]
"""``direct``: sent by this process. ``owner``: sent, on request, by the process that uses the instrument.
``owner ended``: that process did not confirm, was ended, and OFF was then sent by this one."""


@dataclass(frozen=True, slots=True)
class SwitchedOff:
    """An instrument that has received OFF.

    Attributes
    ----------
    instrument : str
        Its address.
    way : str
        See `Way`.
    note : str
        Which process owns the instrument, and what it answered; empty if none does.
    outputs : tuple of str
        Names of the outputs that OFF was sent to; empty if the backend does not say.
    """

    instrument: str
    way: Way
    note: str = ""
    outputs: tuple[str, ...] = ()


class SwitchOffError(HwlearnError, RuntimeError):
    """OFF did not reach every output.

    Attributes
    ----------
    done : tuple of SwitchedOff
        The instruments that have received it.
    """

    def __init__(self, message: str, done: Sequence[SwitchedOff] = ()) -> None:
        super().__init__(message)
        self.done: tuple[SwitchedOff, ...] = tuple(done)
