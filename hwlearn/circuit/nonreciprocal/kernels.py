"""Operating points and gradients of circuits of transistors and resistors, by functions that numba compiles.

Importing this module loads numba. Eight samples are computed side by side, as lanes, innermost in memory. The
equations of a transistor are those of `Transistors`, the search is that of `Newton` without its last resort. The
matrix is factored without pivots: its rows and columns have an order of little fill-in, and all entries of a row
of L and U, fill-in included, have fixed places. A lane with a pivot that is not positive is given up.

``lanes`` is a tuple of 1 or `LANES` numbers. Its length is known when a function is compiled, once for each.

One file because numba notices changes only in the file of the function that it compiles.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.compilation import compiled

LANES = 8
STORED = 11
"""Numbers in each lane that are kept of a transistor in a step."""

# places in `io`, the numbers of one transistor in each lane: what goes in, junctions, what comes out
_VA, _VB, _DD, _DS, _U, _GATE = 0, 1, 2, 3, 4, 5
_JD, _JS, _YD, _YS, _BD, _BS = 6, 7, 8, 9, 10, 11
_ID, _IS, _DDA, _DDB, _DSA, _DSB, _TD, _TS = 12, 13, 14, 15, 16, 17, 18, 19
_U0, _PD, _PS = 20, 21, 22
_NUMBERS = 23

GROUND, DRAIN, SOURCE, FLOATING = 0, 1, 2, 3
"""Connections of body and gate."""

SETTLED = 1e-11
NEAR = 1e-4
CONTRACTION = 1e-2
REACH = 4.0
MOST_EXPONENT = 300.0
_RELAXATIONS = 25
_FEW = 8  # for each lane
_SHARE = 20  # nodes are solved alone if they have at most 1 / _SHARE of the ends of all transistors
_LEAST_EXPONENT = -40.0  # below, exp adds nothing to 1 in double precision

# of exp: its series, and the logarithm of 2 in two parts, the first short enough that its multiples are exact
_SERIES = tuple(1.0 / math.factorial(k) for k in range(13, -1, -1))
_TWOS_PER_E = 1.0 / math.log(2.0)
_LN2_HIGH = math.floor(math.log(2.0) * 2.0**32) / 2.0**32
_LN2_LOW = float(Fraction("0.693147180559945309417232121458176568") - Fraction(_LN2_HIGH))
_LOWEST_POWER = 60
_POWERS = 2.0 ** np.arange(-_LOWEST_POWER, 440.0)


def _junctions(lanes: Any, io: FloatArray, numbers: FloatArray, e: int, jumps: bool, far: BoolArray) -> None:
    """Replace the voltages from the body in _JD and _JS by currents, with slopes in _YD and _YS.

    _BD and _BS hold where the junctions were linearised before, and then where they are. Powers of e are computed
    here, all lanes side by side: the nearest power of 2 from a table, times a series of the rest.
    """
    L = len(lanes)
    L = len(lanes)
    saturation, gmin, nVt = numbers[e, 7], numbers[e, 8], numbers[e, 9]
    leaps = False
    for s in range(2 * L):
        v = io[_JD * L + s]
        leaps |= (v - io[_BD * L + s] > nVt) & (v > nVt)
    if leaps:
        for s in range(2 * L):
            v, before = io[_JD * L + s], io[_BD * L + s]
            at = v
            if v - before > nVt and v > nVt:
                base = max(before, 0.0)
                at = base + nVt * math.log1p((v - base) / nVt)
                if abs(at - v) > 1e-12 * (1.0 + abs(v)):
                    far[s % L] = True
            io[_BD * L + s] = at
    else:
        for s in range(2 * L):
            io[_BD * L + s] = io[_JD * L + s]
    least = -3.0 if jumps else _LEAST_EXPONENT
    for s in range(2 * L):
        v, at = io[_JD * L + s], io[_BD * L + s]
        u = at / nVt
        inside = u if u > _LEAST_EXPONENT else _LEAST_EXPONENT  # also where u is not a number
        inside = inside if inside < MOST_EXPONENT else MOST_EXPONENT
        twos = np.floor(inside * _TWOS_PER_E + 0.5)
        rest = (inside - twos * _LN2_HIGH) - twos * _LN2_LOW
        series = _SERIES[0]
        for factor in _SERIES[1:]:
            series = series * rest + factor
        rise = series * _POWERS[int(twos) + _LOWEST_POWER]
        blocks = u <= least
        slope = gmin if blocks else saturation / nVt * rise + gmin
        current = -saturation if blocks else saturation * ((rise - 1.0) + rise * (u - inside))
        io[_JD * L + s] = (current + gmin * at) + slope * (v - at)
        io[_YD * L + s] = slope


def _from_body(lanes: Any, io: FloatArray, body: int) -> None:
    """Put the voltages from the body to both ends of the channel where `_junctions` expects them."""
    L = len(lanes)
    L = len(lanes)
    if body == GROUND:
        for s in range(L):
            io[_JD * L + s] = io[_DD * L + s] - io[_VA * L + s]
            io[_JS * L + s] = io[_DS * L + s] - io[_VB * L + s]
    elif body == DRAIN:
        for s in range(L):
            io[_JD * L + s] = io[_DD * L + s]
            io[_JS * L + s] = (io[_VA * L + s] - io[_VB * L + s]) + io[_DS * L + s]
    elif body == SOURCE:
        for s in range(L):
            io[_JD * L + s] = (io[_VB * L + s] - io[_VA * L + s]) + io[_DD * L + s]
            io[_JS * L + s] = io[_DS * L + s]
    else:
        for s in range(L):
            io[_JD * L + s] = (io[_U * L + s] - io[_VA * L + s]) + io[_DD * L + s]
            io[_JS * L + s] = (io[_U * L + s] - io[_VB * L + s]) + io[_DS * L + s]


def _transistor(lanes: Any, io: FloatArray, numbers: FloatArray, e: int, body: int, gate: int) -> None:
    """Compute one transistor in all lanes, with junctions linearised.

    In: volts of a, b (_VA, _VB), drops (_DD, _DS), floating body (_U), gate (_GATE), junctions (_JD ... _YS).
    Out: currents through the resistances (_ID, _IS), their derivatives by a and b (_DDA ... _DSB) and by the gate
    (_TD, _TS); of a floating body its voltage after the step and the shares of both ends (_U0, _PD, _PS).
    """
    L = len(lanes)
    L = len(lanes)
    beta, vto, gamma = numbers[e, 0], numbers[e, 1], numbers[e, 2]
    phi, root, lambda_ = numbers[e, 3], numbers[e, 4], numbers[e, 5]
    r, t = numbers[e, 10], numbers[e, 11]
    for s in range(L):
        va, vb, dd, ds = io[_VA * L + s], io[_VB * L + s], io[_DD * L + s], io[_DS * L + s]
        drain, source = va - dd, vb - ds
        at_body = 0.0
        if body == DRAIN:
            at_body = va
        elif body == SOURCE:
            at_body = vb
        elif body == FLOATING:
            at_body = io[_U * L + s]
        at_gate = io[_GATE * L + s]
        if gate == DRAIN:
            at_gate = at_gate + va
        elif gate == SOURCE:
            at_gate = at_gate + vb
        reverses = drain < source
        low = drain if reverses else source
        across = abs(drain - source)
        bias = at_body - low
        blocks = bias <= 0.0
        arg = math.sqrt(phi - (bias if blocks else 0.0))
        line = root - bias / (2.0 * root)
        line = line if line > 0.0 else 0.0
        by_body = gamma / (2.0 * (arg if blocks else root))
        by_body = by_body if (blocks or line > 0.0) else 0.0
        arg = arg if blocks else line
        above = at_gate - low - vto - gamma * (arg - root)
        above = above if above > 0.0 else 0.0
        inside = above if above < across else across
        gain = beta * (1.0 + lambda_ * across)
        shape = inside * (above - 0.5 * inside)
        current = gain * shape
        gm = gain * inside
        gds = gain * (above - inside) + beta * lambda_ * shape
        gmb = gm * by_body
        at_low = gds + gm + gmb
        by_drain = at_low if reverses else gds
        by_source = -(gds if reverses else at_low)
        current = -current if reverses else current
        gm = -gm if reverses else gm
        gmb = -gmb if reverses else gmb
        jd, js, yd, ys = io[_JD * L + s], io[_JS * L + s], io[_YD * L + s], io[_YS * L + s]
        if body == FLOATING:
            whole = 1.0 / (yd + ys)
            pd, ps = yd * whole, ys * whole
            missing = (jd + js) * whole
            through = yd * ps
            cd = current - gmb * missing + (pd * js - ps * jd)
            cs = -cd
            dd_d = by_drain + gmb * pd + through
            dd_s = by_source + gmb * ps - through
            ds_d, ds_s = -dd_d, -dd_s
            det = 0.0
            ca_d, cb_d, ca_s, cb_s = dd_d, dd_s, ds_d, ds_s
        else:
            pd, ps, missing = 0.0, 0.0, 0.0
            cd, cs = current - jd, -current - js
            dd_d, dd_s, ds_d, ds_s = by_drain + yd, by_source, -by_drain, ys - by_source
            det = by_drain * ys - yd * by_source + yd * ys
            ca_d, cb_d, ca_s, cb_s = dd_d, dd_s, ds_d, ds_s
            if body == DRAIN:
                ca_d = by_drain + gmb
                ca_s = ca_s - (gmb + ys)
            elif body == SOURCE:
                cb_d = cb_d + (gmb - yd)
                cb_s = -by_source - gmb
        if gate == DRAIN:
            ca_d, ca_s = ca_d + gm, ca_s - gm
        elif gate == SOURCE:
            cb_d, cb_s = cb_d + gm, cb_s - gm
        w_dd, w_ds, w_sd, w_ss = ds_s * t, -dd_s * t, -ds_d * r, dd_d * r
        whole = 1.0 / (1.0 + w_dd + w_ss + r * t * det)
        w_dd, w_ds, w_sd, w_ss = (1.0 + w_dd) * whole, w_ds * whole, w_sd * whole, (1.0 + w_ss) * whole
        kd = cd + dd_d * dd + dd_s * ds
        ks = cs + ds_d * dd + ds_s * ds
        io[_ID * L + s] = w_dd * kd + w_ds * ks
        io[_IS * L + s] = w_sd * kd + w_ss * ks
        io[_DDA * L + s] = w_dd * ca_d + w_ds * ca_s
        io[_DDB * L + s] = w_dd * cb_d + w_ds * cb_s
        io[_DSA * L + s] = w_sd * ca_d + w_ss * ca_s
        io[_DSB * L + s] = w_sd * cb_d + w_ss * cb_s
        io[_TD * L + s] = (w_dd - w_ds) * gm
        io[_TS * L + s] = (w_sd - w_ss) * gm
        io[_U0 * L + s] = -missing
        io[_PD * L + s] = pd
        io[_PS * L + s] = ps


def _factor(
    lanes: Any, LU: FloatArray, starts: IntArray, columns: IntArray, diagonal: IntArray, w: FloatArray
) -> None:
    """Factor in place: rows of L (diagonal 1) and U; the diagonal holds the inverses of the pivots."""
    L = len(lanes)
    L = len(lanes)
    n = len(diagonal)
    for i in range(n):
        first, middle, last = starts[i], diagonal[i], starts[i + 1]
        for p in range(first, last):
            at = columns[p]
            for s in range(L):
                w[at, s] = LU[p, s]
        for p in range(first, middle):
            k = columns[p]
            d = diagonal[k]
            for s in range(L):
                LU[p, s] = w[k, s] * LU[d, s]
            if L == 8:  # unrolled, all read before any is written, so that they are computed side by side
                l0, l1, l2, l3 = LU[p, 0], LU[p, 1], LU[p, 2], LU[p, 3]
                l4, l5, l6, l7 = LU[p, 4], LU[p, 5], LU[p, 6], LU[p, 7]
                for q in range(d + 1, starts[k + 1]):
                    at = columns[q]
                    w0, w1 = w[at, 0] - l0 * LU[q, 0], w[at, 1] - l1 * LU[q, 1]
                    w2, w3 = w[at, 2] - l2 * LU[q, 2], w[at, 3] - l3 * LU[q, 3]
                    w4, w5 = w[at, 4] - l4 * LU[q, 4], w[at, 5] - l5 * LU[q, 5]
                    w6, w7 = w[at, 6] - l6 * LU[q, 6], w[at, 7] - l7 * LU[q, 7]
                    w[at, 0], w[at, 1], w[at, 2], w[at, 3] = w0, w1, w2, w3
                    w[at, 4], w[at, 5], w[at, 6], w[at, 7] = w4, w5, w6, w7
            else:
                for q in range(d + 1, starts[k + 1]):
                    at = columns[q]
                    for s in range(L):
                        w[at, s] -= LU[p, s] * LU[q, s]
        for s in range(L):
            LU[middle, s] = 1.0 / w[i, s]
        for p in range(middle + 1, last):
            at = columns[p]
            for s in range(L):
                LU[p, s] = w[at, s]


def _solve(
    lanes: Any, LU: FloatArray, starts: IntArray, columns: IntArray, diagonal: IntArray, y: FloatArray
) -> None:
    """Replace currents y (n, L) by voltages."""
    L = len(lanes)
    L = len(lanes)
    n = len(diagonal)
    for i in range(n):
        for p in range(starts[i], diagonal[i]):
            at = columns[p]
            for s in range(L):
                y[i, s] -= LU[p, s] * y[at, s]
    for i in range(n - 1, -1, -1):
        d = diagonal[i]
        for p in range(d + 1, starts[i + 1]):
            at = columns[p]
            for s in range(L):
                y[i, s] -= LU[p, s] * y[at, s]
        for s in range(L):
            y[i, s] *= LU[d, s]


def _solve_transposed(
    lanes: Any, LU: FloatArray, starts: IntArray, columns: IntArray, diagonal: IntArray, y: FloatArray
) -> None:
    """Replace currents y (n, L) by the voltages of the transposed equations."""
    L = len(lanes)
    L = len(lanes)
    n = len(diagonal)
    for i in range(n):
        d = diagonal[i]
        for s in range(L):
            y[i, s] *= LU[d, s]
        for p in range(d + 1, starts[i + 1]):
            at = columns[p]
            for s in range(L):
                y[at, s] -= LU[p, s] * y[i, s]
    for i in range(n - 1, -1, -1):
        for p in range(starts[i], diagonal[i]):
            at = columns[p]
            for s in range(L):
                y[at, s] -= LU[p, s] * y[i, s]


def _load(
    lanes: Any,
    e: int,
    V: FloatArray,
    inner: FloatArray,
    before: FloatArray,
    nodes: IntArray,
    links: IntArray,
    gates: FloatArray,
    io: FloatArray,
) -> None:
    """Put terminals, inner unknowns, junctions and gate of a transistor into `io`."""
    L = len(lanes)
    L = len(lanes)
    a, b = nodes[0, e], nodes[1, e]
    for s in range(L):
        io[_VA * L + s] = V[a, s]
        io[_VB * L + s] = V[b, s]
        io[_DD * L + s] = inner[e, 0, s]
        io[_DS * L + s] = inner[e, 1, s]
        io[_BD * L + s] = before[e, 0, s]
        io[_BS * L + s] = before[e, 1, s]
        io[_GATE * L + s] = gates[e]
    if links[e, 0] == FLOATING:
        for s in range(L):
            io[_U * L + s] = inner[e, 2, s]
    _from_body(lanes, io, links[e, 0])


def _begin(
    lanes: Any, V: FloatArray, inner: FloatArray, before: FloatArray, edges: Any, io: FloatArray, warm: bool
) -> None:
    """Fill the unknowns inside and the junctions for the start of a search; `warm` keeps the unknowns."""
    L = len(lanes)
    L = len(lanes)
    nodes, _, _, numbers, links, gates = edges
    for e in range(nodes.shape[1]):
        if not warm:
            inner[e] = 0.0
            if links[e, 0] == FLOATING:
                for s in range(L):
                    inner[e, 2, s] = min(V[nodes[0, e], s], V[nodes[1, e], s])
        _load(lanes, e, V, inner, before, nodes, links, gates, io)
        for s in range(L):
            before[e, 0, s] = min(io[_JD * L + s], numbers[e, 6])
            before[e, 1, s] = min(io[_JS * L + s], numbers[e, 6])


def _evaluate(
    lanes: Any,
    e: int,
    V: FloatArray,
    inner: FloatArray,
    before: FloatArray,
    nodes: IntArray,
    numbers: FloatArray,
    links: IntArray,
    gates: FloatArray,
    io: FloatArray,
    far: BoolArray,
) -> None:
    """Evaluate a transistor; `io` holds the results."""
    L = len(lanes)
    L = len(lanes)
    _load(lanes, e, V, inner, before, nodes, links, gates, io)
    _junctions(lanes, io, numbers, e, links[e, 2] != 0, far)
    for s in range(L):
        before[e, 0, s] = io[_BD * L + s]
        before[e, 1, s] = io[_BS * L + s]
    _transistor(lanes, io, numbers, e, links[e, 0], links[e, 1])


def _add(
    lanes: Any,
    e: int,
    ends: IntArray,
    places: IntArray,
    links: IntArray,
    io: FloatArray,
    F: FloatArray,
    LU: FloatArray,
    fresh: bool,
) -> None:
    """Add a transistor to the currents F that leave the free nodes, and to the matrix if `fresh`."""
    L = len(lanes)
    L = len(lanes)
    a, b = ends[e, 0], ends[e, 1]
    aa, ab, ba, bb = places[e, 0], places[e, 1], places[e, 2], places[e, 3]
    body = links[e, 0]
    if body == DRAIN:  # what leaves at one end enters at the other
        for s in range(L):
            F[a, s] -= io[_IS * L + s]
            F[b, s] += io[_IS * L + s]
        if fresh:
            for s in range(L):
                LU[aa, s] -= io[_DSA * L + s]
                LU[ab, s] -= io[_DSB * L + s]
                LU[ba, s] += io[_DSA * L + s]
                LU[bb, s] += io[_DSB * L + s]
    elif body == SOURCE:
        for s in range(L):
            F[a, s] += io[_ID * L + s]
            F[b, s] -= io[_ID * L + s]
        if fresh:
            for s in range(L):
                LU[aa, s] += io[_DDA * L + s]
                LU[ab, s] += io[_DDB * L + s]
                LU[ba, s] -= io[_DDA * L + s]
                LU[bb, s] -= io[_DDB * L + s]
    else:
        for s in range(L):
            F[a, s] += io[_ID * L + s]
            F[b, s] += io[_IS * L + s]
        if fresh:
            for s in range(L):
                LU[aa, s] += io[_DDA * L + s]
                LU[ab, s] += io[_DDB * L + s]
                LU[ba, s] += io[_DSA * L + s]
                LU[bb, s] += io[_DSB * L + s]


def _add_resistors(lanes: Any, V: FloatArray, resistors: Any, F: FloatArray, LU: FloatArray, fresh: bool) -> None:
    """Add the resistors to the currents, and to the matrix if `fresh`."""
    L = len(lanes)
    L = len(lanes)
    nodes, ends, places, siemens = resistors
    for e in range(nodes.shape[1]):
        g = siemens[e]
        a, b = nodes[0, e], nodes[1, e]
        for s in range(L):
            current = g * (V[a, s] - V[b, s])
            F[ends[e, 0], s] += current
            F[ends[e, 1], s] -= current
        if fresh:
            for s in range(L):
                LU[places[e, 0], s] += g
                LU[places[e, 1], s] -= g
                LU[places[e, 2], s] -= g
                LU[places[e, 3], s] += g


def _move_inside(
    lanes: Any,
    e: int,
    step: FloatArray,
    inner: FloatArray,
    ends: IntArray,
    numbers: FloatArray,
    links: IntArray,
    out: FloatArray,
    first: int,
    share: FloatArray,
    moved: FloatArray,
) -> None:
    """Move the unknowns inside a transistor for the steps (n + 1, L) of the free nodes; note the longest."""
    L = len(lanes)
    L = len(lanes)
    a, b = ends[e, 0], ends[e, 1]
    r, t = numbers[e, 10], numbers[e, 11]
    floats = links[e, 0] == FLOATING
    for s in range(L):
        da, db = step[a, s], step[b, s]
        drain = r * (out[first + s] + out[first + 2 * L + s] * da + out[first + 3 * L + s] * db) - inner[e, 0, s]
        source = (
            t * (out[first + L + s] + out[first + 4 * L + s] * da + out[first + 5 * L + s] * db) - inner[e, 1, s]
        )
        inner[e, 0, s] += share[s] * drain
        inner[e, 1, s] += share[s] * source
        moved[s] = max(moved[s], max(abs(drain), abs(source)))
        if floats:
            at_body = (
                out[first + 8 * L + s]
                + out[first + 9 * L + s] * (da - drain)
                + out[first + 10 * L + s] * (db - source)
            )
            inner[e, 2, s] += share[s] * at_body
            moved[s] = max(moved[s], abs(at_body))


def _terms(lanes: Any, V: FloatArray, circuit: Any, stored: FloatArray, size: FloatArray) -> None:
    """Add the absolute terms of the current of every free node to `size` (n + 1, L)."""
    L = len(lanes)
    L = len(lanes)
    edges, resistors = circuit[0], circuit[1]
    nodes, ends, _, _, links, gates = edges
    for e in range(nodes.shape[1]):
        a, b, body, first = nodes[0, e], nodes[1, e], links[e, 0], e * STORED * L
        gate = abs(gates[e])
        for s in range(L):
            va, vb = abs(V[a, s]), abs(V[b, s])
            drain = (
                abs(stored[first + s]) + abs(stored[first + 2 * L + s]) * va + abs(stored[first + 3 * L + s]) * vb
            )
            drain += abs(stored[first + 6 * L + s]) * gate
            source = (
                abs(stored[first + L + s])
                + abs(stored[first + 4 * L + s]) * va
                + abs(stored[first + 5 * L + s]) * vb
            )
            source += abs(stored[first + 7 * L + s]) * gate
            size[ends[e, 0], s] += source if body == DRAIN else drain
            size[ends[e, 1], s] += drain if body == SOURCE else source
    nodes, ends, _, siemens = resistors
    for e in range(nodes.shape[1]):
        for s in range(L):
            term = 2.0 * siemens[e] * (abs(V[nodes[0, e], s]) + abs(V[nodes[1, e], s]))
            size[ends[e, 0], s] += term
            size[ends[e, 1], s] += term


def _relax(
    lanes: Any,
    i: int,
    wanted: BoolArray,
    V: FloatArray,
    inner: FloatArray,
    before: FloatArray,
    circuit: Any,
    drive: FloatArray,
    loads: FloatArray,
    size: FloatArray,
    io: FloatArray,
    step: FloatArray,
    numbers: FloatArray,
    around: FloatArray,
) -> None:
    """Solve the equation of free node i alone, its neighbours held, in the wanted lanes.

    Newton's method in a bracket. `step` (n + 1, L) is zero before and after, `numbers` (7, L) is any; `around`
    holds the transistors of the node.
    """
    L = len(lanes)
    edges, resistors, _, free, _, near = circuit
    nodes, ends, _, parameters, links, gates = edges
    starts, touching, starts_ohmic, touching_ohmic = near
    node = free[i]
    low, high, into, slope, share, moved, most = (
        numbers[0],
        numbers[1],
        numbers[2],
        numbers[3],
        numbers[4],
        numbers[5],
        numbers[6],
    )
    far = np.zeros(L, np.bool_)
    low[:] = -np.inf
    high[:] = np.inf
    for s in range(L):
        share[s] = 1.0 if wanted[s] else 0.0
    for _ in range(_RELAXATIONS):
        far[:] = False
        for s in range(L):
            into[s] = drive[i, s] - loads[i, s] * V[node, s]
            slope[s] = loads[i, s]
        for m in range(starts[i], starts[i + 1]):
            e = touching[m]
            _evaluate(lanes, e, V, inner, before, nodes, parameters, links, gates, io, far)
            first = (m - starts[i]) * STORED * L
            for k in range(STORED * L):
                around[first + k] = io[_ID * L + k]
            is_a, body = ends[e, 0] == i, links[e, 0]
            takes_drain = (is_a and body != DRAIN) or (not is_a and body == SOURCE)
            sign = -1.0 if (is_a and body == DRAIN) or (not is_a and body == SOURCE) else 1.0
            current = _ID if takes_drain else _IS
            by = (_DDA if is_a else _DDB) if takes_drain else (_DSA if is_a else _DSB)
            for s in range(L):
                into[s] -= sign * io[current * L + s]
                slope[s] += sign * io[by * L + s]
        for m in range(starts_ohmic[i], starts_ohmic[i + 1]):
            e = touching_ohmic[m]
            other = resistors[0][1, e] if resistors[0][0, e] == node else resistors[0][0, e]
            for s in range(L):
                into[s] -= resistors[3][e] * (V[node, s] - V[other, s])
                slope[s] += resistors[3][e]
        finished = True
        for s in range(L):
            step[i, s] = 0.0
            if not wanted[s]:
                continue
            v = V[node, s]
            change = into[s] / slope[s]
            if not abs(change) < np.inf:
                wanted[s] = False
                share[s] = 0.0
                continue
            if not far[s]:
                if into[s] > 0.0:
                    low[s] = max(low[s], v)
                else:
                    high[s] = min(high[s], v)
                if v + change > high[s] or v + change < low[s]:
                    change = 0.5 * (low[s] + high[s]) - v
            most[s] = REACH * max(size[s], 1e-3)
            change = min(max(change, -most[s]), most[s])
            step[i, s] = change
            V[node, s] = v + change
            finished = finished and not far[s] and abs(change) <= 1e-9 * size[s]
        for m in range(starts[i], starts[i + 1]):
            first = (m - starts[i]) * STORED * L
            _move_inside(lanes, touching[m], step, inner, ends, parameters, links, around, first, share, moved)
        if finished:
            break
    step[i] = 0.0


def _relax_few(
    lanes: Any,
    V: FloatArray,
    inner: FloatArray,
    before: FloatArray,
    circuit: Any,
    drive: FloatArray,
    loads: FloatArray,
    over: BoolArray,
    step: FloatArray,
    still: FloatArray,
    moved: FloatArray,
    size: FloatArray,
    io: FloatArray,
    numbers: FloatArray,
    around: FloatArray,
) -> None:
    """Solve the nodes alone whose steps were by far the longest, if they are few.

    At a node behind transistors at their threshold the square law has a double zero, to which the steps of all
    nodes would lead slowly, or beyond which nothing conducts.
    """
    L = len(lanes)
    n, starts = len(circuit[3]), circuit[5][0]
    few, count, transistors = np.zeros(_FEW * L, np.int64), 0, 0
    for i in range(n):
        long = False
        for s in range(L):
            long = long or (not over[s] and abs(step[i, s]) > 0.1 * moved[s] and moved[s] > NEAR * size[s])
        if long:
            transistors += starts[i + 1] - starts[i]
            if count == _FEW * L or _SHARE * transistors > starts[n]:
                return
            few[count] = i
            count += 1
    wanted = np.zeros(L, np.bool_)
    for k in range(count):
        for s in range(L):
            wanted[s] = not over[s] and abs(step[few[k], s]) > 0.1 * moved[s]
        _relax(lanes, few[k], wanted, V, inner, before, circuit, drive, loads, size, io, still, numbers, around)


def _search(
    lanes: Any,
    V: FloatArray,
    inner: FloatArray,
    before: FloatArray,
    circuit: Any,
    drive: FloatArray,
    loads: FloatArray,
    steps: int,
    work: Any,
    found: FloatArray,
) -> None:
    """Find the operating points of one block of lanes.

    Parameters
    ----------
    V : ndarray, shape (N, L)
        Held nodes at their voltages, the others where the search begins; changed in place.
    inner, before : ndarray, shapes (K, 3, L), (K, 2, L)
        Unknowns inside, and where junctions were linearised; changed in place.
    circuit : tuple
        Transistors, resistors, places of the matrix, free nodes; see `Compiled`.
    drive, loads : ndarray, shape (n, L)
        Amperes into the free nodes, and siemens from them to ground.
    found : ndarray, shape (2, L)
        Estimated errors: the last step, and the effect of rounding; NaN for a lane that is given up.
    """
    L = len(lanes)
    L = len(lanes)
    edges, resistors, matrix, free, signs, _ = circuit
    nodes, ends, places, parameters, links, gates = edges
    starts, columns, diagonal = matrix
    LU, F, size_of, w, stored, io, still, scratch, around = work
    n, K = len(free), edges[0].shape[1]
    numbers = np.zeros((6, L))
    moved, share, last, size, worst = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    last[:] = np.inf
    over, far = np.zeros(L, np.bool_), np.zeros(L, np.bool_)
    found[:] = np.nan
    fresh, kept = True, False
    for _ in range(steps):
        F[:] = 0.0
        far[:] = False
        if fresh:
            LU[:] = 0.0
        for e in range(K):
            _evaluate(lanes, e, V, inner, before, nodes, parameters, links, gates, io, far)
            _add(lanes, e, ends, places, links, io, F, LU, fresh)
            for m in range(STORED * L):
                stored[e * STORED * L + m] = io[_ID * L + m]
        _add_resistors(lanes, V, resistors, F, LU, fresh)
        for i in range(n):
            for s in range(L):
                F[i, s] = drive[i, s] - F[i, s] - loads[i, s] * V[free[i], s]
        F[n] = 0.0
        if fresh:
            for i in range(n):
                for s in range(L):
                    LU[diagonal[i], s] += loads[i, s]
            _factor(lanes, LU, starts, columns, diagonal, w)
            for i in range(n):
                for s in range(L):
                    if not LU[diagonal[i], s] > 0.0:
                        over[s] = True
        _solve(lanes, LU, starts, columns, diagonal, F)
        moved[:] = 0.0
        size[:] = 0.0
        for i in range(n):
            for s in range(L):
                moved[s] = max(moved[s], abs(F[i, s]))
        for i in range(len(V)):
            for s in range(L):
                size[s] = max(size[s], abs(V[i, s]))
        for s in range(L):
            share[s] = min(1.0, REACH * max(size[s], 1e-3) / max(moved[s], 1e-300))
            if over[s]:
                share[s] = 0.0
        for i in range(n):
            for s in range(L):
                V[free[i], s] += share[s] * F[i, s]
        worst[:] = moved
        for e in range(K):
            _move_inside(lanes, e, F, inner, ends, parameters, links, stored, e * STORED * L, share, worst)
        near, finished = True, True
        for s in range(L):
            if over[s]:
                continue
            if not worst[s] < np.inf:
                over[s] = True
                continue
            if not far[s] and worst[s] <= SETTLED * size[s]:
                over[s] = True
                found[0, s] = worst[s]
                continue
            finished = False
            near = near and not far[s] and worst[s] <= NEAR * size[s]
            near = near and not (kept and worst[s] > CONTRACTION * last[s])
        last[:] = moved
        kept, fresh = near, not near
        if finished:
            break
        if not near:
            _relax_few(
                lanes, V, inner, before, circuit, drive, loads, over, F, still, moved, size, io, scratch, around
            )
    size_of[:] = 0.0
    _terms(lanes, V, circuit, stored, size_of)
    worst[:] = 0.0
    for k in range(signs.shape[1]):
        for i in range(n):
            for s in range(L):
                F[i, s] = size_of[i, s] * signs[i, k]
        _solve(lanes, LU, starts, columns, diagonal, F)
        for i in range(n):
            for s in range(L):
                worst[s] = max(worst[s], abs(F[i, s]))
    found[1] = worst
    for e in range(K):
        highest = MOST_EXPONENT * edges[3][e, 9]
        for s in range(L):
            if before[e, 0, s] > highest or before[e, 1, s] > highest:
                found[0, s] = np.nan


def search(
    lanes: Any,
    V: FloatArray,
    inner: FloatArray,
    warm: bool,
    circuit: Any,
    drive: FloatArray,
    loads: FloatArray,
    steps: int,
    found: FloatArray,
) -> None:
    """Find the operating points of blocks of lanes, (blocks, ..., L); see `_search`.

    `inner` has one block for each, or a single one that all use. `drive` and `loads` may have a single block.
    """
    L = len(lanes)
    L = len(lanes)
    edges, _, matrix, free, _, near = circuit
    K, n = edges[0].shape[1], len(free)
    LU, F, size_of = np.empty((len(matrix[1]) + 1, L)), np.empty((n + 1, L)), np.empty((n + 1, L))
    w, stored, io = np.empty((n, L)), np.empty(K * STORED * L), np.zeros(_NUMBERS * L)
    most = 0
    for i in range(n):
        most = max(most, near[0][i + 1] - near[0][i])
    still, scratch = np.zeros((n + 1, L)), np.empty((7, L))
    work = (LU, F, size_of, w, stored, io, still, scratch, np.empty(most * STORED * L))
    before = np.empty((K, 2, L))
    for k in range(len(V)):
        inside = inner[min(k, len(inner) - 1)]
        _begin(lanes, V[k], inside, before, edges, io, warm)
        at = min(k, len(drive) - 1)
        _search(lanes, V[k], inside, before, circuit, drive[at], loads[at], steps, work, found[k])


def _largest(lanes: Any, V: FloatArray, size: FloatArray) -> None:
    """Put the largest voltage of each lane of V (N, L) into `size` (L,)."""
    L = len(lanes)
    L = len(lanes)
    size[:] = 0.0
    for i in range(len(V)):
        for s in range(L):
            size[s] = max(size[s], abs(V[i, s]))


def _settle(
    lanes: Any, e: int, V: FloatArray, inner: FloatArray, before: FloatArray, edges: Any, io: FloatArray, work: Any
) -> bool:
    """Find the unknowns inside a transistor at V (N, L); `io` holds its results. False if they do not settle."""
    L = len(lanes)
    L = len(lanes)
    nodes, ends, _, numbers, links, gates = edges
    far, moved, share, still, size = work
    for _ in range(60):
        far[:] = False
        moved[:] = 0.0
        _evaluate(lanes, e, V, inner, before, nodes, numbers, links, gates, io, far)
        _move_inside(lanes, e, still, inner, ends, numbers, links, io, _ID * L, share, moved)
        settled = True
        for s in range(L):
            settled = settled and not far[s] and moved[s] <= SETTLED * size[s]
        if settled:
            return True
    return False


def currents(lanes: Any, V: FloatArray, inner: FloatArray, warm: bool, circuit: Any, leaving: FloatArray) -> bool:
    """Add the currents that leave every node into the edges to `leaving` (blocks, N, L).

    Returns False if the unknowns inside do not settle.
    """
    L = len(lanes)
    L = len(lanes)
    edges, resistors = circuit[0], circuit[1]
    nodes, _, _, _, links, _ = edges
    K = nodes.shape[1]
    io, before, size = np.zeros(_NUMBERS * L), np.empty((K, 2, L)), np.zeros(L)
    work = (np.zeros(L, np.bool_), np.zeros(L), np.ones(L), np.zeros((len(circuit[3]) + 1, L)), size)
    for k in range(len(V)):
        inside = inner[min(k, len(inner) - 1)]
        _begin(lanes, V[k], inside, before, edges, io, warm)
        _largest(lanes, V[k], size)
        for e in range(K):
            if not _settle(lanes, e, V[k], inside, before, edges, io, work):
                return False
            a, b, body = nodes[0, e], nodes[1, e], links[e, 0]
            for s in range(L):
                drain, source = io[_ID * L + s], io[_IS * L + s]
                if body == DRAIN:
                    drain = -source
                elif body == SOURCE:
                    source = -drain
                leaving[k, a, s] += drain
                leaving[k, b, s] += source
        for e in range(resistors[0].shape[1]):
            a, b = resistors[0][0, e], resistors[0][1, e]
            for s in range(L):
                current = resistors[3][e] * (V[k, a, s] - V[k, b, s])
                leaving[k, a, s] += current
                leaving[k, b, s] -= current
    return True


def gradient(
    lanes: Any,
    V: FloatArray,
    inner: FloatArray,
    warm: bool,
    circuit: Any,
    e_in: FloatArray,
    totals: FloatArray,
    of_resistors: FloatArray,
) -> bool:
    """Add sum over lanes of lam_a dI_a/dvalue + lam_b dI_b/dvalue to `totals` (K,) and `of_resistors` (R,).

    `e_in` (blocks, n, L) are the errors as currents into the free nodes; lanes with zeros add nothing. Returns
    False if the unknowns inside do not settle, or a pivot is not positive.
    """
    L = len(lanes)
    L = len(lanes)
    edges, resistors, matrix, free, _, _ = circuit
    starts, columns, diagonal = matrix
    nodes, ends, places, _, links, _ = edges
    K, n = nodes.shape[1], len(free)
    LU, F, still = np.empty((len(matrix[1]) + 1, L)), np.empty((n + 1, L)), np.zeros((n + 1, L))
    w, stored, io = np.empty((n, L)), np.empty(K * STORED * L), np.zeros(_NUMBERS * L)
    before, size = np.empty((K, 2, L)), np.zeros(L)
    work = (np.zeros(L, np.bool_), np.zeros(L), np.ones(L), still, size)
    for k in range(len(V)):
        inside = inner[min(k, len(inner) - 1)]
        _begin(lanes, V[k], inside, before, edges, io, warm)
        _largest(lanes, V[k], size)
        LU[:] = 0.0
        F[:] = 0.0
        for e in range(K):
            if not _settle(lanes, e, V[k], inside, before, edges, io, work):
                return False
            _add(lanes, e, ends, places, links, io, F, LU, True)
            for m in range(STORED * L):
                stored[e * STORED * L + m] = io[_ID * L + m]
        _add_resistors(lanes, V[k], resistors, F, LU, True)
        _factor(lanes, LU, starts, columns, diagonal, w)
        for i in range(n):
            for s in range(L):
                if not (LU[diagonal[i], s] > 0.0 and LU[diagonal[i], s] < np.inf):
                    return False
        F[:n] = e_in[k]
        F[n] = 0.0
        _solve_transposed(lanes, LU, starts, columns, diagonal, F)
        F[n] = 0.0
        for e in range(K):
            a, b, body, first = ends[e, 0], ends[e, 1], links[e, 0], e * STORED * L
            total = 0.0
            for s in range(L):
                drain, source = stored[first + 6 * L + s], stored[first + 7 * L + s]
                if body == DRAIN:
                    drain = -source
                elif body == SOURCE:
                    source = -drain
                total += F[a, s] * drain + F[b, s] * source
            totals[e] += total
        for e in range(resistors[0].shape[1]):
            a, b = resistors[0][0, e], resistors[0][1, e]
            for s in range(L):
                lam = F[resistors[1][e, 0], s] - F[resistors[1][e, 1], s]
                of_resistors[e] += lam * (V[k, a, s] - V[k, b, s])
    return True


_junctions = compiled(_junctions, contract=True)
_from_body = compiled(_from_body)
_transistor = compiled(_transistor, contract=True)
_factor = compiled(_factor, contract=True)
_solve = compiled(_solve, contract=True)
_solve_transposed = compiled(_solve_transposed, contract=True)
_load = compiled(_load)
_begin = compiled(_begin)
_evaluate = compiled(_evaluate)
_add = compiled(_add)
_add_resistors = compiled(_add_resistors)
_move_inside = compiled(_move_inside)
_terms = compiled(_terms)
_search = compiled(_search)
_relax = compiled(_relax)
_relax_few = compiled(_relax_few)
_largest = compiled(_largest)
_settle = compiled(_settle)
search = compiled(search)
currents = compiled(currents)
gradient = compiled(gradient)
