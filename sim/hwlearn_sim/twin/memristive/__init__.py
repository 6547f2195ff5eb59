"""Simulated networks of memristive devices that are programmed by pulses."""

from hwlearn_sim.twin.memristive.devices import MemristorArray, Memristors
from hwlearn_sim.twin.memristive.twin import MemristiveTwin

__all__ = ["MemristiveTwin", "MemristorArray", "Memristors"]
