"""The state of the network of a training as arrays that a run stores, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwlearn.learning.records import NetworkState
from hwlearn.network.simulation import part, prefixed


def network_arrays(network: NetworkState) -> dict[str, np.ndarray]:
    """Return a state as arrays by name."""
    return {
        "reached": network.reached,
        "failed": network.failed,
        "measurements": np.array([network.measurements, network.epoch_measurements]),
        **prefixed("history", network.history),
        **prefixed("simulation", network.simulation or {}),
        **prefixed("watched", network.watched),
    }


def stored_network(arrays: Mapping[str, np.ndarray]) -> NetworkState:
    """Return the state that `network_arrays` stored."""
    measurements, epoch_measurements = arrays["measurements"].tolist()
    return NetworkState(
        arrays["reached"],
        arrays["failed"],
        measurements,
        epoch_measurements,
        part("history", arrays),
        part("simulation", arrays) or None,
        part("watched", arrays),
    )
