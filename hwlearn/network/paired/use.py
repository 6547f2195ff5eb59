"""`PairUse`: one thread at a time, over both copies of a pair."""

from __future__ import annotations

from collections.abc import Sequence

from hwlearn.exclusive import ExclusiveUse


class PairUse(ExclusiveUse):
    """Context of one call of a pair: its own, and those of both copies.

    Parameters
    ----------
    *copies : ExclusiveUse
        The contexts of the copies, entered in this order.
    """

    __slots__ = ("_copies",)

    def __init__(self, *copies: ExclusiveUse) -> None:
        super().__init__()
        self._copies = copies

    def revoke(self, reason: str) -> None:
        """Refuse every further call, also of the copies."""
        super().revoke(reason)
        for copy in self._copies:
            copy.revoke(reason)

    def __enter__(self) -> None:
        super().__enter__()
        entered: list[ExclusiveUse] = []
        try:
            for copy in self._copies:
                copy.__enter__()
                entered.append(copy)
        except BaseException as error:
            self._leave(entered, type(error), error, None)
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._leave(self._copies, kind, error, trace)

    def _leave(
        self, copies: Sequence[ExclusiveUse], kind: object, error: BaseException | None, trace: object
    ) -> None:
        """Leave the contexts of some copies, the last one first, then the own one, also if one raises."""
        if not copies:
            super().__exit__(kind, error, trace)
            return
        try:
            copies[-1].__exit__(kind, error, trace)
        finally:
            self._leave(copies[:-1], kind, error, trace)
