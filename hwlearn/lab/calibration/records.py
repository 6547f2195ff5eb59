"""Conversion between estimates and sections of the calibration record."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import ConverterRecord, LineRecord
from hwlearn.calibration.estimation.excitation import Phase
from hwlearn.calibration.estimation.fits.converters import ConverterFit
from hwlearn.calibration.estimation.fits.edges import EdgeFit
from hwlearn.calibration.estimation.fits.wires import WireFit
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.unknowns import Unknowns
from hwlearn.calibration.verify import PredictionUncertainty
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.storage.atomic_file import write_atomically


def relative_sigmas(
    fit: ConverterFit, topology: Topology, drives: bool
) -> tuple[list[FloatArray], list[FloatArray], float]:
    """Return uncertainties of gains and offsets [input, drive, ADC] relative to their common part.

    Without a reference the common gain is a convention. Without a grounded node so is a common offset.

    Parameters
    ----------
    fit : ConverterFit
    topology : Topology
    drives : bool
        Whether the output drives were measured.

    Returns
    -------
    (list of ndarray, list of ndarray, float)
        Relative uncertainties of the gains, uncertainties of the offsets in volts, and the relative uncertainty of
        the common gain.
    """
    sizes = [topology.n_inputs, topology.n_outputs, topology.n_outputs]
    ends = np.cumsum(np.repeat(sizes, 2))
    places = [np.arange(end - size, end) for end, size in zip(ends, np.repeat(sizes, 2), strict=True)]
    gains, offsets = places[0::2], places[1::2]
    # derivative of all gains and offsets by a common factor of all true volts
    factor = np.zeros(len(fit.covariance))
    for block, values in zip(
        [*gains, *offsets],
        (1 + fit.dac_gain, 1 + fit.drive_gain, 1 + fit.adc_gain, fit.dac_offset, fit.drive_offset, fit.adc_offset),
        strict=True,
    ):
        factor[block] = values
    channels = (0, 1, 2) if drives else (0, 2)
    seen = np.concatenate([gains[k] for k in channels])
    of_factor = np.zeros(len(factor))
    of_factor[seen] = 1 / (len(seen) * factor[seen])
    shared = math.sqrt(max(0.0, float(of_factor @ fit.covariance @ of_factor)))
    without = np.eye(len(factor)) - np.outer(factor, of_factor)
    if topology.ground is None:
        shifted = np.concatenate([offsets[k] for k in channels])
        mean = np.zeros((len(factor), len(factor)))
        mean[np.ix_(shifted, shifted)] = 1 / len(shifted)
        without = without - mean @ without
    sigma = np.sqrt(np.maximum(np.diagonal(without @ fit.covariance @ without.T), 0.0))
    return [sigma[block] for block in gains], [sigma[block] for block in offsets], shared


def gain_sigmas(fit: EdgeFit) -> tuple[FloatArray, float]:
    """Return relative uncertainties (E,) of the gains, without an unknown common scale, and that of the scale."""
    own = np.sqrt(np.diagonal(fit.log_covariance)) if fit.scale_known else fit.shape_sigma
    return np.asarray(own), fit.scale_sigma


def converter_record(
    fit: ConverterFit, topology: Topology, drives: bool, voltage: float
) -> tuple[ConverterRecord, float]:
    """Return the section of the record, and the uncertainty of the worst channel in volts at full scale."""
    gains, offsets, common = relative_sigmas(fit, topology, drives)
    channels: Sequence[int] = (0, 1, 2) if drives else (0, 2)
    worst = max(float(np.hypot(gains[k] * voltage, offsets[k]).max()) for k in channels)
    driven: dict[str, Any] = {}
    if drives:
        driven = {
            "drive_gain": 1 + fit.drive_gain,
            "drive_gain_sigma": gains[1],
            "drive_offset_V": fit.drive_offset,
            "drive_offset_sigma_V": offsets[1],
        }
    section = ConverterRecord(
        input_gain=1 + fit.dac_gain,
        input_gain_sigma=gains[0],
        input_offset_V=fit.dac_offset,
        input_offset_sigma_V=offsets[0],
        reading_gain=1 + fit.adc_gain,
        reading_gain_sigma=gains[2],
        reading_offset_V=fit.adc_offset,
        reading_offset_sigma_V=offsets[2],
        common_gain_sigma=common,
        **driven,
    )
    return section, worst


def converter_fit(known: ConverterRecord) -> ConverterFit:
    """Return the converters of a record as a fit, for an estimate that uses them as known."""
    n_out = len(known.reading_gain)
    drive_gain = np.ones(n_out) if known.drive_gain is None else known.drive_gain
    drive_offset = np.zeros(n_out) if known.drive_offset_V is None else known.drive_offset_V
    nothing = np.full(n_out, 1e-9)  # not used by an estimate without output drives
    sigmas = [
        known.input_gain_sigma,
        known.input_offset_sigma_V,
        nothing if known.drive_gain_sigma is None else known.drive_gain_sigma,
        nothing if known.drive_offset_sigma_V is None else known.drive_offset_sigma_V,
        known.reading_gain_sigma,
        known.reading_offset_sigma_V,
    ]
    own = np.maximum(np.concatenate(sigmas), 1e-9)
    shared = np.concatenate(
        [
            known.input_gain,
            known.input_offset_V,
            drive_gain,
            drive_offset,
            known.reading_gain,
            known.reading_offset_V,
        ]
    )
    covariance = np.diag(own**2) + known.common_gain_sigma**2 * np.outer(shared, shared)
    return ConverterFit(
        dac_gain=known.input_gain - 1,
        dac_offset=known.input_offset_V,
        drive_gain=drive_gain - 1,
        drive_offset=drive_offset,
        adc_gain=known.reading_gain - 1,
        adc_offset=known.reading_offset_V,
        covariance=covariance,
    )


def wire_record(fit: EdgeFit, wires: WireFit) -> LineRecord:
    """Return the section ``lines`` of a crossbar with wire resistance."""
    found: dict[str, Any] = {}
    for line, ohm, sigma in zip(wires.lines, wires.ohm, wires.sigma_ohm, strict=True):
        found |= {f"{line}_ohm": float(ohm), f"{line}_sigma_ohm": float(sigma)}
    nothing = np.zeros(fit.model.layout.n_inputs)
    return LineRecord(
        source_ohm=wires.source_ohm if len(wires.source_ohm) else nothing,
        source_sigma_ohm=wires.source_sigma_ohm if len(wires.source_ohm) else nothing,
        chi=fit.chi,
        spread=wires.spread if math.isfinite(wires.spread) else None,
        segment_ohm=wires.segment_ohm if wires.is_possible else None,
        **found,
    )


def without_converter_sigmas(record: CalibrationRecord) -> CalibrationRecord:
    """Return the record with the uncertainties of its ADCs set to zero."""
    found = record.converters
    if found is None:
        return record
    none = np.zeros_like(found.reading_gain_sigma)
    return replace(record, converters=replace(found, reading_gain_sigma=none, reading_offset_sigma_V=none))


def save_covariance(path: Path, fit: EdgeFit) -> None:
    """Save the joint covariance of a fit in a file of its own, because it is too large to read."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        unknowns=fit.unknowns,
        covariance=fit.covariance,
        stuck=fit.stuck,
        gains=fit.gains,
        programming=fit.programming_variance,
    )
    write_atomically(path, buffer.getvalue())


def prediction_uncertainty(
    path: Path, network: CalibratedNetwork, gain: FloatArray
) -> PredictionUncertainty | None:
    """Return the uncertainty of predictions from a saved covariance; None without one for these gains.

    Parameters
    ----------
    path : Path
        File of `save_covariance`.
    network : CalibratedNetwork
        It converts inputs to setpoints.
    gain : ndarray, shape (E,)
        Gains of the record.

    Raises
    ------
    SetupError
        If the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in ("unknowns", "covariance", "stuck", "gains")}
            # files of earlier versions have no programming noise
            programming = kept["programming"] if "programming" in kept else np.zeros(len(arrays["gains"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SetupError(f"{path} is damaged ({error}); run the step edges again") from None
    if not np.array_equal(arrays["gains"], gain):
        return None
    topology = network.network.topology  # as declared: the wires are among the unknowns
    layout = Unknowns.of(topology)
    if len(arrays["unknowns"]) != layout.size:
        return None
    middle = math.sqrt(math.prod(network.limits.conductance))
    variance = np.zeros(layout.size)
    variance[layout.blocks["log_gain"]] = programming

    def jacobian(reached: FloatArray, inputs: FloatArray) -> FloatArray:
        model = EdgeModel(topology, layout, np.where(arrays["stuck"], middle, reached))
        phase = Phase("free", network.setpoints(inputs), np.full((len(inputs), topology.n_outputs), np.nan))
        return model.respond(arrays["unknowns"], phase, currents=False).d_volts

    return PredictionUncertainty(jacobian, arrays["covariance"], variance)
