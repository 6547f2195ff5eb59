"""Checks of what a backend returns: type, shape, dtype, finiteness and plausibility, in one place.

A violation is one `BackendError` with the class of the network, the terminal and the value.

Readings are plausible up to bounds that no correct bench reaches. They find wrong units and wrong channels,
not small errors:

- volts: 4 x ``limits.voltage`` + 0.5 V + 10 x ``voltage_sigma``. The network is passive, so that true voltages are
  within ``limits.voltage``. The factor covers gain errors, 0.5 V covers offsets of converters, and the last term
  covers noise. A reading marked as saturated is at an end of the converter's range, which may be far above
  the limit: it must be at most 10 kV, which no converter reaches.
- amperes: 10 x ``limits.current`` + 1 uA + 10 x ``current_sigma``, and through a nudge resistor in addition the
  current of an implausible voltage. The noise of source currents is not stated, hence the larger factor.
- siemens: a million times ``limits.conductance``; a shorted edge is below it. Other values, such as gate voltages,
  must be accepted by the elements.

The usual case costs a few microseconds. What fails the quick checks is examined again value by value. One file
because everything that a backend returns is checked here.
"""

from __future__ import annotations

import math
from typing import Any, Final, NoReturn, Protocol

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray, square_sum
from hwlearn.circuit.topology import Topology
from hwlearn.device_access.access import DeviceAccess
from hwlearn.errors import MAY_BE_ON, BackendError
from hwlearn.network.limits import Limits
from hwlearn.network.readings import Programmed, Readout, TwoPhase
from hwlearn.units import ROUNDING

_MOST_CONVERTER_V: Final = 1e4
_SHORTED: Final = 1e6
_FLOAT: Final = np.dtype(np.float64)
_BOOL: Final = np.dtype(np.bool_)


class Checked(Protocol):
    """The network whose backend is checked."""

    topology: Topology
    limits: Limits

    def close(self) -> None:
        """Switch every output off."""


def check_readout(
    read: object, samples: int, network: Checked, siemens: FloatArray | float | None = None, phase: str = ""
) -> None:
    """Refuse an invalid `Readout`.

    Parameters
    ----------
    read : object
        What the backend returned.
    samples : int
        Number S of samples of the request.
    network : Checked
    siemens : ndarray or float, optional
        Conductances of the nudge resistors in this phase.
    phase : str
        What precedes the name of a value in messages, such as ``"plus."``.

    Raises
    ------
    BackendError
    """
    if type(read) is Readout or isinstance(read, Readout):
        top, limits = network.topology, network.limits
        outputs = (samples, top.n_outputs)
        most_V, most_A = 4 * limits.voltage + 0.5, 10 * limits.current + 1e-6
        saturated, pushed, drawn, nodes = read.saturated, read.output_currents, read.source_currents, read.nodes
        if (
            _is_within(read.voltages, outputs, most_V)
            and (pushed is None or _is_within(pushed, outputs, most_A))
            and (drawn is None or _is_within(drawn, (samples, top.n_inputs), most_A))
            and (nodes is None or _is_within(nodes, (samples, top.n_nodes), most_V))
            and (saturated is None or _is_array(saturated, outputs, _BOOL))
            and _is_sigma(read.voltage_sigma)
            and _is_sigma(read.current_sigma)
        ):
            return
        _examine_readout(read, samples, network, siemens, phase)
    else:
        refuse(network, f"{phase.rstrip('.') or 'a measurement'} = {shown(read)}; it must be a Readout")


def check_sides(
    sides: object, samples: int, network: Checked, siemens: FloatArray | None, symmetric: bool
) -> None:
    """Refuse an invalid result of `Network._measure_sides`.

    Raises
    ------
    BackendError
    """
    if not isinstance(sides, tuple) or len(sides) != 3:
        refuse(
            network, f"the nudged phases = {shown(sides)}; they must be (Readout, Readout or None, bool or None)"
        )
    high, low, refused = sides
    check_readout(high, samples, network, siemens, "plus.")
    _check_minus(low, samples, network, siemens, symmetric)
    if refused is not None and not _is_array(refused, (samples,), _BOOL):
        _refuse_array(network, "the refused samples", refused, (samples,), "bool")


def check_two_phase(
    whole: object, samples: int, network: Checked, siemens: FloatArray | float | None, symmetric: bool
) -> None:
    """Refuse an invalid `TwoPhase`.

    Raises
    ------
    BackendError
    """
    if not isinstance(whole, TwoPhase):
        refuse(network, f"the phases of a sequence = {shown(whole)}; they must be a TwoPhase or None")
    check_readout(whole.free, samples, network, siemens, "free.")
    check_readout(whole.plus, samples, network, siemens, "plus.")
    _check_minus(whole.minus, samples, network, siemens, symmetric)
    outputs = network.topology.outputs
    _check_floats(network, "error", whole.error, (samples, len(outputs)), outputs)
    _check_floats(network, "strength", whole.strength, (samples,))
    negative = np.flatnonzero(whole.strength < 0)
    if negative.size:
        refuse(
            network, f"strength = {whole.strength[negative[0]]:g} for sample {negative[0]}; it must be 0 or more"
        )


def check_programmed(programmed: object, targets: FloatArray, network: Checked) -> None:
    """Refuse an invalid `Programmed` of the targets (E,).

    Raises
    ------
    BackendError
    """
    if not isinstance(programmed, Programmed):
        refuse(network, f"a result of programming = {shown(programmed)}; it must be a Programmed")
    shape = (network.topology.n_edges,)
    for name, values in (("requested", programmed.requested), ("reached", programmed.reached)):
        if values is targets:  # checked with the request
            continue
        if network.topology.has_three_terminals:
            _examine_values(network, name, values, shape)
            continue
        most_S = _SHORTED * network.limits.conductance[1]
        if not _is_conductance(values, shape, most_S):
            _examine_conductances(network, name, values, shape, most_S)
    if not _is_array(programmed.failed, shape, _BOOL):
        _refuse_array(network, "failed", programmed.failed, shape, "bool")


def check_true_outputs(true: object, samples: int, network: Checked) -> None:
    """Refuse true outputs that are neither None nor finite volts (S, n_out).

    Raises
    ------
    BackendError
    """
    if true is not None:
        outputs = network.topology.outputs
        _check_floats(network, "true_outputs", true, (samples, len(outputs)), outputs)


def check_strengths(most: object, samples: int, network: Checked) -> None:
    """Refuse maximum strengths that are not (S,) floats of at least 0; infinite is allowed.

    Raises
    ------
    BackendError
    """
    if not _is_array(most, (samples,), _FLOAT):
        _refuse_array(network, "the maximum strength", most, (samples,), "float64")
    assert isinstance(most, np.ndarray)
    wrong = np.flatnonzero(~(most >= 0))
    if wrong.size:
        k = int(wrong[0])
        refuse(network, f"the maximum strength = {most[k]:g} for sample {k}; it must be at least 0")


def check_nudge_limits(narrowed: object, network: Checked) -> None:
    """Refuse limits for choosing strengths that are wider than the limits of the network.

    Raises
    ------
    BackendError
    """
    if narrowed is not network.limits:
        check_limits(network, "limits of nudges", narrowed, network.limits)


def check_devices(access: object, network: Checked) -> None:
    """Refuse what is no `DeviceAccess` to the edges of the network.

    Raises
    ------
    BackendError
    """
    if not isinstance(access, DeviceAccess):
        refuse(network, f"device access = {shown(access)}; it must be a DeviceAccess or None")
    if access.n_edges != network.topology.n_edges:
        refuse(
            network,
            f"access to {access.n_edges} devices, but its topology has {network.topology.n_edges} edges",
        )


def check_limits(network: Checked, what: str, given: object, most: Limits) -> None:
    """Refuse limits of voltage, drop, nudge or current that are wider than others.

    Raises
    ------
    BackendError
    """
    if not isinstance(given, Limits):
        refuse(network, f"{what} = {shown(given)}; they must be Limits")
    for name in ("voltage", "drop", "nudge", "current"):
        value, allowed = getattr(given, name), getattr(most, name)
        if not value <= allowed * (1 + ROUNDING):
            refuse(network, f"{what} with {name} = {value:g}, wider than limits.{name} = {allowed:g}")


def failure(network: Checked, error: Exception) -> BackendError:
    """Return the error of a backend that failed with an error that is none of this package."""
    return BackendError(
        f"the network {_name(network)} failed: {type(error).__name__}: {_one_line(error)}; the phase is void and "
        "the network is closed; correct the backend, then open the bench again"
    )


def closed(network: Checked, error: BackendError) -> BackendError:
    """Close a network, outputs off; return the error, with what went wrong if the network cannot be closed."""
    try:
        network.close()
    except Exception as unsafe:  # a backend may raise anything
        text = _one_line(unsafe) or type(unsafe).__name__
        text = text if MAY_BE_ON in text else f"{MAY_BE_ON}: the network cannot be closed: {text}"
        return BackendError(f"{error}; {text}")
    return error


def _check_minus(
    low: object, samples: int, network: Checked, siemens: FloatArray | float | None, symmetric: bool
) -> None:
    if symmetric:
        check_readout(low, samples, network, siemens, "minus.")
    elif low is not None:
        refuse(network, f"minus = {shown(low)}; it must be None in a one-sided measurement")


# --- quick checks -----------------------------------------------------------------------------------


def _is_array(values: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return isinstance(values, np.ndarray) and values.shape == shape and bool(values.dtype == dtype)


def _is_within(values: FloatArray, shape: tuple[int, ...], most: float) -> bool:
    """Return whether this is a float64 array of this shape with finite values of at most this magnitude."""
    if type(values) is not np.ndarray or values.shape != shape or values.dtype != _FLOAT:
        return False
    # every value is within the bound if the sum of squares is; one call without a copy, and false for NaN
    if square_sum(values.ravel("K")) <= most * most:
        return True
    return not values.size or bool(values.max() <= most and values.min() >= -most)


def _is_conductance(values: FloatArray, shape: tuple[int, ...], most: float) -> bool:
    """Return whether this is a float64 array of this shape with values from 0 to a bound, by a quick check."""
    if not (isinstance(values, np.ndarray) and values.shape == shape and values.dtype == _FLOAT):
        return False
    return not values.size or bool(values.min() >= 0.0 and square_sum(values) <= most * most)


def _is_sigma(sigma: object) -> bool:
    if type(sigma) is float:
        return 0.0 <= sigma < math.inf
    return isinstance(sigma, np.floating | int) and not isinstance(sigma, bool) and 0.0 <= float(sigma) < math.inf


# --- examination of what failed a quick check -------------------------------------------------------


def _examine_readout(
    read: Readout, samples: int, network: Checked, siemens: FloatArray | float | None, phase: str
) -> None:
    """Raise an error that names the value; return if the readout is valid by the exact bounds."""
    top, limits = network.topology, network.limits
    outputs = (samples, len(top.outputs))
    for name, sigma in (("voltage_sigma", read.voltage_sigma), ("current_sigma", read.current_sigma)):
        if not _is_sigma(sigma):
            refuse(network, f"{phase}{name} = {shown(sigma)}; it must be a number of at least 0")
    if read.saturated is not None and not _is_array(read.saturated, outputs, _BOOL):
        _refuse_array(network, f"{phase}saturated", read.saturated, outputs, "bool")
    most_V = 4 * limits.voltage + 0.5 + 10 * float(read.voltage_sigma)
    kappa = 0.0 if siemens is None else float(np.max(siemens))
    most_A = 10 * limits.current + 1e-6 + 10 * float(read.current_sigma) + kappa * most_V
    allowed = f"limits.voltage = {limits.voltage:g} V"
    _check_floats(network, f"{phase}voltages", read.voltages, outputs, top.outputs)
    _check_bound(network, f"{phase}voltages", read.voltages, top.outputs, most_V, read.saturated, allowed)
    if read.nodes is not None:
        every = np.arange(top.n_nodes)
        _check_floats(network, f"{phase}nodes", read.nodes, (samples, top.n_nodes), every)
        skipped = None
        if read.saturated is not None:  # the other nodes of such a sample may be at an end of the range too
            skipped = np.broadcast_to(read.saturated.any(axis=1, keepdims=True), read.nodes.shape)
        _check_bound(network, f"{phase}nodes", read.nodes, every, most_V, skipped, allowed)
    allowed = f"limits.current = {limits.current:g} A"
    for name, amperes, at in (
        ("output_currents", read.output_currents, top.outputs),
        ("source_currents", read.source_currents, top.inputs),
    ):
        if amperes is not None:
            _check_floats(network, f"{phase}{name}", amperes, (samples, len(at)), at)
            _check_bound(network, f"{phase}{name}", amperes, at, most_A, None, allowed)


def _examine_conductances(
    network: Checked, name: str, values: FloatArray, shape: tuple[int, ...], most: float
) -> None:
    if not _is_array(values, shape, _FLOAT):
        _refuse_array(network, name, values, shape, "float64")
    wrong = np.flatnonzero(~((values >= 0) & (values <= most)))
    if wrong.size:
        where = f"{name} = {values[wrong[0]]:g} S at {network.topology.edge_name(int(wrong[0]))}"
        refuse(network, f"{where}; it must be finite and at least 0, and is plausible up to {most:.3g} S")


def _examine_values(network: Checked, name: str, values: FloatArray, shape: tuple[int, ...]) -> None:
    """Refuse values that the elements do not accept."""
    if not _is_array(values, shape, _FLOAT):
        _refuse_array(network, name, values, shape, "float64")
    for parameter, edges in network.topology.parameters:
        wrong = edges[~parameter.accepts(values[edges])]
        if wrong.size:
            where = (
                f"{name} = {values[wrong[0]]:g} {parameter.unit} at {network.topology.edge_name(int(wrong[0]))}"
            )
            refuse(network, f"{where}; a {parameter.name} must be {parameter.allowed}")


def _check_floats(
    network: Checked, name: str, values: object, shape: tuple[int, ...], nodes: IntArray | None = None
) -> None:
    """Refuse anything but finite float64 values of this shape; columns are terminals if nodes are given."""
    if not _is_array(values, shape, _FLOAT):
        _refuse_array(network, name, values, shape, "float64")
    assert isinstance(values, np.ndarray)
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        where = tuple(wrong[0].tolist())
        refuse(network, f"{name} = {values[where]} at {_place(network, where, nodes)}; it must be finite")


def _check_bound(
    network: Checked,
    name: str,
    values: FloatArray,
    nodes: IntArray,
    most: float,
    skipped: BoolArray | None,
    limit: str,
) -> None:
    """Refuse values above the bound, except skipped ones that a converter can have."""
    over = np.abs(values) > most
    if skipped is not None:
        over &= ~skipped | (np.abs(values) > _MOST_CONVERTER_V)
    if over.any():
        where = tuple(np.argwhere(over)[0].tolist())
        refuse(
            network,
            f"{name} = {values[where]:g} at {_place(network, where, nodes)}, "
            f"which is not plausible: with {limit} at most {most:.3g} is",
        )


def _place(network: Checked, where: tuple[int, ...], nodes: IntArray | None) -> str:
    if nodes is not None:
        return f"{network.topology.names[nodes[where[1]]]} of sample {where[0]}"
    return f"index {where[0]}"


def _refuse_array(network: Checked, name: str, values: object, shape: tuple[int, ...], kind: str) -> NoReturn:
    got = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else shown(values)
    refuse(network, f"{name} = {got}; it must be a numpy array of {kind} with shape {shape}")


def refuse(network: Checked, what: str) -> NoReturn:
    """Raise the `BackendError` of a network that returned something invalid."""
    raise BackendError(
        f"the network {_name(network)} returned {what}; the phase is void and the network is closed; "
        "correct the backend, then open the bench again"
    )


def _name(network: object) -> str:
    kind = type(network)
    return f"{kind.__module__}.{kind.__qualname__}"


def shown(value: object) -> str:
    """Return the value for a message: one line, at most 80 characters."""
    try:
        text = repr(value)
    except Exception:  # an object of a plugin
        text = f"an object of {_name(value)}"
    return " ".join(f"{text:.80}".split())


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
