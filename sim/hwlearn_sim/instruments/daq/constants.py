"""Enumerations with the names and values of `nidaqmx.constants`, as far as the driver uses them."""

from __future__ import annotations

from enum import Enum


class TerminalConfiguration(Enum):
    """How an input is measured."""

    RSE = 10083
    NRSE = 10078
    DIFF = 10106
    PSEUDO_DIFF = 12529
    DEFAULT = -1


class AcquisitionType(Enum):
    """How many samples a task acquires."""

    FINITE = 10178


class TaskMode(Enum):
    """Transitions of a task."""

    TASK_COMMIT = 3
    TASK_RESERVE = 4


class LineGrouping(Enum):
    """Digital channels: one for each line, or one for all."""

    CHAN_PER_LINE = 0
    CHAN_FOR_ALL_LINES = 1


class VoltageUnits(Enum):
    """Units of a voltage channel."""

    VOLTS = 10348


class Edge(Enum):
    """Edge of a clock."""

    RISING = 10280
