"""Fixture that follows a table of messages, replies and errors on a virtual instrument."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

Step = str | tuple[str, str | int | list[float]]
"""A message and what it causes: the reply as text or as numbers, or the only error. A bare one causes none."""


@pytest.fixture
def follow() -> Callable[[object, Sequence[Step]], None]:
    """Return a function that sends the messages of a table and compares replies and errors."""
    return _follow


def _follow(one, steps) -> None:
    for step in steps:
        message, expected = step if isinstance(step, tuple) else (step, None)
        reply = one.instrument.execute(message.encode()).decode("latin-1").rstrip("\n")
        errors = one.errors()
        if isinstance(expected, int):
            assert errors == [expected], f"{message!r} caused {errors}"
            continue
        assert errors == [], f"{message!r} caused {errors}"
        if expected is None:
            assert reply == "" or "?" in message, f"{message!r} was answered"
        elif isinstance(expected, str):
            assert reply == expected, message
        else:
            numbers = [float(text) for text in reply.replace(";", ",").split(",")]
            assert numbers == pytest.approx(expected, rel=1e-6, abs=1e-12), message
