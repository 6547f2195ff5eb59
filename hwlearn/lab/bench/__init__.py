"""Benches: the network, data and training that a bench file describes."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.bench.backends import backend_names, find_backend
    from hwlearn.lab.bench.bench import Bench, open_bench
    from hwlearn.lab.bench.evaluation import Evaluation

__all__ = [
    "Bench",
    "Evaluation",
    "backend_names",
    "find_backend",
    "open_bench",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "hwlearn.lab.bench.backends": ["backend_names", "find_backend"],
            "hwlearn.lab.bench.bench": ["Bench", "open_bench"],
            "hwlearn.lab.bench.evaluation": ["Evaluation"],
        },
    )
