"""Energy and time of a training: heat and duration of every phase, update and programming."""

from hwlearn.learning.energy.dissipation import dissipated_power, power_gradient
from hwlearn.learning.energy.ledger import EnergyLedger, training_energy

__all__ = ["EnergyLedger", "dissipated_power", "power_gradient", "training_energy"]
