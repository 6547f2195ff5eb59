"""`TriggerRun`: a run of an instrument's trigger model, which stops wherever it waits for an event."""

from __future__ import annotations

from collections.abc import Callable, Generator

Steps = Generator[frozenset[str], None, None]
"""Steps of a run: yields the events, any one of which the run waits for."""


class TriggerRun:
    """A run of the trigger model.

    The steps of a run are an iterator that yields the events, any one of which it waits for: ``"bus"`` for a
    command trigger, ``"line 1"`` for a trigger line. Between two events the run takes no real time.

    Parameters
    ----------
    ended : callable
        Called whenever a run ends.

    Attributes
    ----------
    seen : set of str
        Events since the run began.
    """

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._steps: Steps | None = None
        self._awaited: frozenset[str] = frozenset()
        self.seen: set[str] = set()

    @property
    def waiting(self) -> bool:
        """Whether a run has begun and waits for an event."""
        return self._steps is not None

    def start(self, steps: Steps) -> None:
        """Begin a run, which proceeds to the first event that it waits for, or to its end."""
        self.abort()
        self.seen.clear()
        self._steps = steps
        self._proceed()

    def fire(self, event: str) -> None:
        """Report an event. A run that waits for it proceeds; otherwise the event is remembered during a run."""
        if self._steps is None:
            return
        self.seen.add(event)
        if event in self._awaited:
            self._proceed()

    def abort(self) -> None:
        """End the run."""
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()
            self._ended()

    def _proceed(self) -> None:
        steps = self._steps
        assert steps is not None
        try:
            self._awaited = next(steps)
        except StopIteration:
            self._steps = None
            self._ended()
        except BaseException:
            self._steps = None
            self._ended()
            raise
