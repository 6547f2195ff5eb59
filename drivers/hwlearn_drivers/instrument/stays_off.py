"""`StaysOff`: keeps a bench off after somebody else changed it or switched it off, until it is reconnected."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hwlearn_drivers.errors import HaltedError, OutputStateError


class StaysOff:
    """Remembers why a bench must stay off.

    Parameters
    ----------
    reasons : callable
        Returns, for each instrument, why this process was asked to switch it off, or None.
    """

    __slots__ = ("_error", "_reasons")

    def __init__(self, reasons: Callable[[], Iterable[str | None]]) -> None:
        self._reasons = reasons
        self._error: OutputStateError | HaltedError | None = None

    def because(self, error: OutputStateError | HaltedError) -> OutputStateError | HaltedError:
        """Return the error of this and all further measurements until `end`; the first one is kept."""
        if self._error is None:
            reason = next(filter(None, self._reasons()), None)
            if reason and not isinstance(error, HaltedError):
                error = HaltedError(f"outputs were switched off: {reason}")
            self._error = type(error)(
                f"{error}. The phase is void and all outputs are off. They stay off until the network is "
                "reconnected, or the bench is opened again to resume the run"
            )
        return self._error

    def check(self) -> None:
        """Refuse to go on if the bench must stay off.

        Raises
        ------
        OutputStateError, HaltedError
            As `because` returned it.
        """
        if self._error is not None:
            raise type(self._error)(str(self._error))

    @property
    def needed(self) -> bool:
        """Whether somebody else changed the bench or switched it off."""
        return self._error is not None

    def end(self) -> None:
        """Allow the bench again, because it was reconnected."""
        self._error = None
