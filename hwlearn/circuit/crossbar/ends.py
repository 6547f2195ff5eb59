"""Check the arguments for the ends of a crossbar's lines, and group samples that hold the same ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.crossbar.lines import Ends
from hwlearn.errors import CircuitError


@dataclass(frozen=True, eq=False)
class HeldEnds:
    """Volts at all ends, NaN at floating ends, and injected amperes; each (S, M) or (S, N)."""

    left: FloatArray
    right: FloatArray | None
    top: FloatArray | None
    bottom: FloatArray | None
    injected: FloatArray | None
    columns: int

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.left)

    def patterns(self, ideal_rows: bool, ideal_columns: bool) -> Iterator[tuple[IntArray | slice, Ends, Ends]]:
        """Yield groups of samples that hold the same ends, with the ends of their rows and columns.

        Raises
        ------
        CircuitError
            If both ends of an ideal line are held.
        """
        S, M = self.left.shape
        if all(end is None for end in (self.right, self.top, self.bottom, self.injected)) and not (
            np.isnan(self.left).any()
        ):
            yield slice(0, S), *self._default()  # the common case, without the general search below
            return
        none, zero = np.full((S, M), np.nan), np.zeros((S, self.columns))
        right = none if self.right is None else self.right
        top = np.full((S, self.columns), np.nan) if self.top is None else self.top
        bottom = zero if self.bottom is None else self.bottom
        injected = zero if self.injected is None else self.injected
        held = [~np.isnan(volts) for volts in (self.left, right, top, bottom)]
        for ideal, one, other, line in (
            (ideal_rows, held[0], held[1], "row"),
            (ideal_columns, held[2], held[3], "column"),
        ):
            if ideal and (one & other).any():
                sample, k = np.argwhere(one & other)[0]
                raise CircuitError(
                    f"both ends of {line} {k} are held in sample {sample}, but its wire_resistance is 0; hold one"
                )
        flat = np.concatenate(held, axis=1)
        if not S or (flat == flat[0]).all():
            groups: list[IntArray | slice] = [slice(0, S)]
        else:
            _, which = np.unique(flat, axis=0, return_inverse=True)
            groups = [np.flatnonzero(which.ravel() == k) for k in range(which.max() + 1)]
        for samples in groups:
            at = 0 if not S else samples.start if isinstance(samples, slice) else int(samples[0])
            masks = [mask[at] if S else np.zeros(mask.shape[1], dtype=bool) for mask in held]
            yield (
                samples,
                _ends(masks[0], masks[1], self.left[samples], right[samples], None),
                _ends(masks[2], masks[3], top[samples], bottom[samples], injected[samples]),
            )

    def _default(self) -> tuple[Ends, Ends]:
        """Return the ends of rows held at the left and of columns grounded at the bottom."""
        S, M = self.left.shape
        N, no, yes = self.columns, np.zeros, np.ones
        return (
            Ends(yes(M, dtype=bool), no(M, dtype=bool), self.left, no((S, M)), no((S, M))),
            Ends(no(N, dtype=bool), yes(N, dtype=bool), no((S, N)), no((S, N)), no((S, N))),
        )


def _ends(
    first_held: BoolArray, last_held: BoolArray, first: FloatArray, last: FloatArray, injected: FloatArray | None
) -> Ends:
    amperes = np.zeros(last.shape) if injected is None else injected
    if first_held.all() and not last_held.any():
        return Ends(first_held, last_held, first, np.zeros(last.shape), amperes)
    if last_held.all() and not first_held.any():
        return Ends(first_held, last_held, np.zeros(first.shape), last, np.zeros(last.shape))
    return Ends(first_held, last_held, first, last, amperes).driven(first, last, amperes)


def held_ends(
    size: tuple[int, int],
    left: ArrayLike,
    right: ArrayLike | None,
    top: ArrayLike | None,
    bottom: ArrayLike | None,
    floating_rows: ArrayLike | None,
    injected: ArrayLike | None,
) -> HeldEnds:
    """Return the checked ends of a crossbar; the arguments are those of `solve_crossbar`.

    Raises
    ------
    CircuitError
        If a shape is wrong, a value is infinite, or the voltage of a row that does not float is NaN.
    """
    M, N = size
    volts = batch(left, M, "row_voltages")
    S = len(volts)
    if floating_rows is not None:
        loose = np.asarray(floating_rows)
        if loose.dtype != bool or loose.shape not in ((M,), (S, M)):
            raise CircuitError(f"floating_rows must be bool, shape ({M},) or ({S}, {M}), got {loose.shape}")
        volts = np.where(loose, 0.0, volts)
    if not np.isfinite(volts).all():
        sample, m = np.argwhere(~np.isfinite(volts))[0]
        raise CircuitError(
            f"row_voltages has {volts[sample, m]} V at row {m} of sample {sample}; it must be finite"
        )
    if floating_rows is not None:
        volts[np.broadcast_to(loose, volts.shape)] = np.nan
    amperes = _optional(injected, N, S, "injected")
    return HeldEnds(
        volts,
        _optional(right, M, S, "right_voltages"),
        _optional(top, N, S, "top_voltages"),
        _optional(bottom, N, S, "bottom_voltages"),
        None if amperes is None else np.nan_to_num(amperes, nan=0.0),
        N,
    )


def _optional(values: ArrayLike | None, lines: int, samples: int, what: str) -> FloatArray | None:
    if values is None:
        return None
    array = batch(values, lines, what)
    if np.isinf(array).any():
        sample, k = np.argwhere(np.isinf(array))[0]
        raise CircuitError(f"{what} is infinite at {k} of sample {sample}; it must be finite, or NaN for none")
    if len(array) != samples:
        if len(array) != 1:
            raise CircuitError(f"{what} has {len(array)} samples, row_voltages has {samples}")
        array = np.broadcast_to(array, (samples, lines))
    return array
