"""`PairUse`: one thread at a time, over both copies of a pair."""

from __future__ import annotations

from contextlib import ExitStack

from hwlearn.exclusive import ExclusiveUse


class PairUse(ExclusiveUse):
    """Context of one call of a pair: its own, and those of both copies.

    Parameters
    ----------
    *copies : ExclusiveUse
        The contexts of the copies, entered in this order.
    """

    __slots__ = ("_copies", "_entered")

    def __init__(self, *copies: ExclusiveUse) -> None:
        super().__init__()
        self._copies, self._entered = copies, list[ExitStack]()

    def revoke(self, reason: str) -> None:
        """Refuse every further call, also of the copies."""
        super().revoke(reason)
        for copy in self._copies:
            copy.revoke(reason)

    def __enter__(self) -> None:
        super().__enter__()
        try:
            with ExitStack() as stack:
                for copy in self._copies:
                    stack.enter_context(copy)
                self._entered.append(stack.pop_all())
        except BaseException as error:
            super().__exit__(type(error), error, None)
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._entered.pop().close()
        finally:
            super().__exit__(kind, error, trace)
