"""`SerialLine`: the RS-232 interface of a series of instruments, as its manual describes it."""

from __future__ import annotations

from dataclasses import dataclass

from hwlearn.errors import SetupError


@dataclass(frozen=True, slots=True)
class SerialLine:
    """Baud rates and line ends of the RS-232 interface of a series of instruments.

    Attributes
    ----------
    rates : tuple of int
        Baud rates that it has.
    usual : int
        Baud rate set at the factory.
    any_line_end : bool
        Whether the user chooses the end of its replies, CR, LF or both.
    menu : str
        Where a person finds the settings on the instrument, and what they must be.
    """

    rates: tuple[int, ...]
    usual: int = 9600
    any_line_end: bool = False
    menu: str = ""

    def checked(self, model: str, address: str, baud: int | None) -> int:
        """Return the baud rate to open a port with: the one that is set, else the usual one.

        Raises
        ------
        SetupError
            If the instrument does not have this rate.
        """
        if baud is None:
            return self.usual
        if baud not in self.rates:
            rates = ", ".join(map(str, self.rates))
            raise SetupError(
                f"baud = {baud} for the {model} at {address}: on RS-232 it has {rates}; it is set to {self.usual} "
                "at the factory"
            )
        return baud

    def advice(self, model: str, baud: int) -> str:
        """Return what to try if nothing answers at a baud rate."""
        return (
            f"nothing was understood at {baud} baud; a {model} is set to {self.usual} at the factory; compare "
            f"baud in [backend] with {self.menu}"
        )
