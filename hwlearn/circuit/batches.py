"""Checks of batches: float arrays with the sample axis first; errors name the argument that does not fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError


def batch(values: ArrayLike, columns: int, what: str) -> FloatArray:
    """Return values as a float array (S, columns); one sample may be given without the sample axis.

    Raises
    ------
    CircuitError
        If they have another shape or are not numbers; ``what`` names them.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(f"{what} must be numbers, shape (samples, {columns})") from error
    if array.ndim == 1:
        array = array[None, :]
    if array.ndim != 2 or array.shape[1] != columns:
        raise CircuitError(f"{what} must have shape (samples, {columns}), got {np.shape(values)}")
    return array


def gradient_batch(topology: Topology, inputs: ArrayLike, error: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return inputs (S, n_in) in volts and errors (S, n_out) of a gradient.

    Raises
    ------
    CircuitError
        If a shape does not fit, a value is not finite, or there is no sample.
    """
    x = batch(inputs, topology.n_inputs, "inputs")
    check_inputs(x)
    if not len(x):
        raise CircuitError("no samples: the mean gradient over an empty batch does not exist")
    return x, checked_errors(error, topology, len(x))


def checked_errors(values: ArrayLike, topology: Topology, samples: int | None) -> FloatArray:
    """Return errors (S, n_out) without NaN; the message names sample and output."""
    error = outputs_batch(values, topology, "error", samples)
    if np.isnan(error).any():
        sample, k = np.argwhere(np.isnan(error))[0]
        raise CircuitError(
            f"error of sample {sample} at output {topology.names[topology.outputs[k]]} is NaN; remove samples "
            "without a valid reading from the batch"
        )
    return error


def check_inputs(x: FloatArray) -> None:
    """Refuse input volts that are not finite."""
    if not np.isfinite(x).all():
        raise CircuitError("inputs contain NaN or infinity; every input voltage must be a number")


def outputs_batch(values: ArrayLike, topology: Topology, what: str, samples: int | None) -> FloatArray:
    """Return values (S, n_out); one sample is used for all samples, NaN is allowed."""
    array = batch(values, topology.n_outputs, what)
    if np.isinf(array).any():
        raise CircuitError(f"{what} contain infinity")
    if samples is not None and len(array) != samples:
        if len(array) != 1:
            raise CircuitError(f"{what} has {len(array)} samples, inputs have {samples}")
        array = np.broadcast_to(array, (samples, array.shape[1]))
    return array
