"""Sweeps: a bench trained for many values of its keys, or any function of many points, in a durable table."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn.lab.sweeps.execution import execute as execute
    from hwlearn.lab.sweeps.sweep import Sweep as Sweep
    from hwlearn.lab.sweeps.sweep import open_sweep as open_sweep
    from hwlearn.lab.sweeps.table import PointTable as PointTable
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
