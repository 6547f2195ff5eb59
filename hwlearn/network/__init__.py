"""Abstract base class `Network`, its limits and its nudges."""
