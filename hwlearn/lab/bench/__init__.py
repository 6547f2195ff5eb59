"""Benches: the network, data and training that a bench file describes."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.bench.backends import backend_names as backend_names
    from hwlearn.lab.bench.backends import find_backend as find_backend
    from hwlearn.lab.bench.bench import Bench as Bench
    from hwlearn.lab.bench.bench import open_bench as open_bench
    from hwlearn.lab.bench.evaluation import Evaluation as Evaluation
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
