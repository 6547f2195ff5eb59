"""Power that a circuit dissipates in the free phase, and its exact gradient."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements.element import Element
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError


def dissipated_power(model: Kirchhoff, V: FloatArray) -> float:
    """Return the power in watts of all edges at node voltages V (S, N), mean over the samples."""
    return float(model.power(V).mean())


def power_gradient(model: Kirchhoff, V: FloatArray) -> FloatArray:
    """Return dP/d(theta) (E,) of the mean power of the free phase: watts per siemens.

    Parameters
    ----------
    model : Kirchhoff
        Of resistors, or of elements of two terminals.
    V : ndarray, shape (S, N)
        Node voltages of the free phase.

    Raises
    ------
    SetupError
        If edges have three terminals.

    Notes
    -----
    With drops v and currents I of the elements, ``P = sum_k v_k I_k``. Voltages of free nodes minimise the power
    of resistors, so that ``dP/dg_k = v_k^2``. Otherwise ``dP/dtheta_k = (v - B lam)_k dI_k/dtheta_k``, where lam
    are the adjoint voltages for dP/dV at the free nodes: ``sum_k B_kn (I_k + v_k dI_k/dv)``.
    """
    top = model.topology
    if top.elements is None:
        return np.asarray((model.drops(V) ** 2).mean(axis=0))
    if top.has_three_terminals:
        raise SetupError(
            "the gradient of the power is for elements of two terminals, and this network has transistors; remove "
            "the weight of the power"
        )
    elements = [*top.edge_elements, *top.fixed_edge_elements]
    v = V[:, top.all_edges[:, 0]] - V[:, top.all_edges[:, 1]]
    theta = model.all_values
    pull, own = np.empty_like(v), np.empty_like(v)  # dP/dv and the direct part of dP/dtheta of each edge
    for element in set(elements):
        some = np.array([one == element for one in elements])
        at, values = v[:, some], theta[some]
        if not isinstance(element, Element):
            raise SetupError(f"{element!r} has no law of its drop alone, so that the power has no gradient here")
        pull[:, some] = element.current(at, values) + at * element.slope(at, values)
        own[:, some] = at * element.sensitivity(at, values)
    whole = _all_nodes_read(model)
    slopes = np.zeros_like(V)
    np.add.at(slopes.T, top.all_edges[:, 0], pull.T)
    np.add.at(slopes.T, top.all_edges[:, 1], -pull.T)
    through = whole.gradient_at(V, slopes[:, whole.topology.outputs])
    return np.asarray(own[:, : top.n_edges].mean(axis=0) + through)


def _all_nodes_read(model: Kirchhoff) -> Kirchhoff:
    """Return the same circuit with every node that no source holds as an output, for its adjoint."""
    top = model.topology
    free = np.setdiff1d(np.arange(top.n_nodes), top.driven)
    whole = Topology(
        top.n_nodes,
        top.edges,
        top.inputs,
        free,
        top.ground,
        fixed_edges=top.fixed_edges,
        fixed_conductances=top.fixed_conductances,
        elements=top.edge_elements,
        fixed_elements=top.fixed_edge_elements if len(top.fixed_edges) else None,
    )
    return Kirchhoff(whole, model.values, allow_open=model.allow_open)
