"""Energy and time of a training: heat and duration of every phase, update and programming."""

from hwlearn.learning.energy.dissipation import dissipated_power, power_gradient
from hwlearn.learning.energy.ledger import EnergyLedger, energy_text, training_energy

__all__ = ["EnergyLedger", "dissipated_power", "energy_text", "power_gradient", "training_energy"]
