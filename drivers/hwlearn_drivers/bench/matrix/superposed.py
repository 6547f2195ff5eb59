"""Outputs of samples with many voltages, composed from measurements with one input at a voltage at a time.

On ohmic edges the outputs are linear in the inputs. Each input is measured at plus and minus its largest voltage
of the batch, all others at 0 V: half the difference is the response, half the sum is the offset of the readings.
Pure: no instrument is involved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.network.network import Readout


@dataclass(frozen=True, eq=False, slots=True)
class SingleInputs:
    """The measurements from which the samples of a batch are composed.

    Attributes
    ----------
    used : ndarray of int, shape (m,)
        Inputs that are not 0 V in every sample.
    levels : ndarray, shape (m,)
        Largest magnitude in volts of each of them.
    requests : ndarray, shape (2 m, n_in)
        Volts to measure: each of them at plus, then at minus its level.
    """

    used: IntArray
    levels: FloatArray
    requests: FloatArray

    @classmethod
    def of(cls, inputs: FloatArray) -> SingleInputs:
        """Return the measurements for samples (S, n_in)."""
        largest = np.abs(inputs).max(axis=0)
        used = np.flatnonzero(largest)
        requests = np.zeros((2 * len(used), inputs.shape[1]))
        rows = np.arange(len(used))
        requests[2 * rows, used] = largest[used]
        requests[2 * rows + 1, used] = -largest[used]
        return cls(used, largest[used], requests)

    def outputs(self, inputs: FloatArray, volts: FloatArray) -> FloatArray:
        """Return the outputs (S, n_out) of samples (S, n_in), from the readings (2 m, n_out) of the requests."""
        plus, minus = volts[0::2], volts[1::2]
        response = 0.5 * (plus - minus) / self.levels[:, None]
        return np.asarray(0.5 * (plus + minus).mean(axis=0) + inputs[:, self.used] @ response)

    def sigma(self, inputs: FloatArray, voltage_sigma: float) -> FloatArray:
        """Return the standard uncertainty (S,) of the outputs, from that of one reading.

        A response has the uncertainty of a reading divided by sqrt(2) times its level; the offset is a mean of all
        2 m readings and independent of the responses. Errors of samples of one batch are correlated.
        """
        shares = ((inputs[:, self.used] / self.levels) ** 2).sum(axis=1)
        return np.asarray(voltage_sigma * np.sqrt(0.5 * shares + 0.5 / len(self.used)))

    def saturated(self, inputs: FloatArray, saturated: BoolArray) -> BoolArray:
        """Return which outputs (S, n_out) depend on a saturated reading, of (2 m, n_out)."""
        either = saturated[0::2] | saturated[1::2]
        return np.asarray((inputs[:, self.used] != 0) @ either > 0)


def with_composed(found: Readout, single: SingleInputs, inputs: FloatArray, many: BoolArray) -> Readout:
    """Return the readout of a batch, part of which is composed.

    Parameters
    ----------
    found : Readout
        Of the requests of ``single``, followed by the samples that were measured directly.
    single : SingleInputs
    inputs : ndarray, shape (S, n_in)
        All samples.
    many : ndarray of bool, shape (S,)
        Those that are composed.
    """
    first = len(single.requests)
    volts = np.empty((len(inputs), found.voltages.shape[1]))
    saturated = np.zeros(volts.shape, dtype=np.bool_)
    volts[many] = single.outputs(inputs[many], found.voltages[:first])
    volts[~many] = found.voltages[first:]
    if found.saturated is not None:
        saturated[many] = single.saturated(inputs[many], found.saturated[:first])
        saturated[~many] = found.saturated[first:]
    return Readout(
        volts,
        output_currents=np.zeros(volts.shape),  # the outputs float
        saturated=saturated,
        voltage_sigma=max(found.voltage_sigma, float(single.sigma(inputs[many], found.voltage_sigma).max())),
    )
