"""pytest fixtures that serve virtual instruments to a test of any program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hwlearn_sim.bench.bench import VirtualBench


@pytest.fixture
def virtual_bench() -> Iterator[Callable[..., VirtualBench]]:
    """Return a function that serves a `hwlearn_sim.VirtualBench` until the test ends, and returns it.

    It takes what `VirtualBench` takes: a topology, a list of instruments, and their conductances.
    """
    from hwlearn_sim.bench.bench import VirtualBench

    with ExitStack() as stack:

        def serve(*arguments: Any, **options: Any) -> VirtualBench:
            return stack.enter_context(VirtualBench(*arguments, **options))

        yield serve


@pytest.fixture
def virtual_smu() -> Iterator[Callable[..., str]]:
    """Return a function that serves one source-measure unit until the test ends, and returns its VISA address.

    It takes what `VirtualBench.of` takes: the model, and the resistances in ohm at its channels.
    """
    from hwlearn_sim.bench.bench import VirtualBench

    with ExitStack() as stack:

        def serve(model: str, **options: Any) -> str:
            return stack.enter_context(VirtualBench.of(model, **options)).address("smu")

        yield serve
