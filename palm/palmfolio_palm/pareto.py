"""Filters that keep the policies which can matter."""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.validation import BoolArray, FloatArray, IntArray, check_values

# Rows that are compared with one another at a time, and kept rows that they are compared with: both
# bound the memory of the comparison.
_BLOCK, _KEPT_BLOCK = 256, 2048


def pareto(V: ArrayLike) -> IntArray:
    """Indices, increasing, of the rows of `V` (n, d) that no other row dominates.

    A row dominates another when it is at least as large everywhere and larger somewhere. Of equal
    rows only the first is kept.

    Raises:
        ValueError: naming `V`; values outside [0, 1] are allowed.

    Example:
        >>> pareto([[1, 0], [0, 1], [0, 0.5], [1, 0]]).tolist()
        [0, 1]
    """
    return pareto_rows(check_values(V, shifted=True))


def pareto_rows(values: FloatArray) -> IntArray:
    """As `pareto`, for values that were checked already."""
    n, d = values.shape
    if d <= 3:
        return _swept(values)
    # A dominating row has the larger sum in exact arithmetic; the lexicographic order that
    # follows the sum keeps the claim true when rounding ties two sums.
    keys = (np.arange(n), *(-values.T), -values.sum(axis=1))
    order = np.lexsort(keys)
    kept = np.empty((0, values.shape[1]))
    kept_indices: list[IntArray] = []
    for start in range(0, n, _BLOCK):
        block = order[start : start + _BLOCK]
        block = block[~_covered(values[block], kept)]
        rows = values[block]
        within = (rows[None, :, :] >= rows[:, None, :]).all(axis=2)
        equal = within & within.T
        later = np.tri(len(block), k=-1, dtype=bool)
        block = block[~((within & ~equal) | (equal & later)).any(axis=1)]
        kept = np.concatenate([kept, values[block]])
        kept_indices.append(block)
    return np.sort(np.concatenate(kept_indices)).astype(np.intp)


def _swept(values: FloatArray) -> IntArray:
    """`pareto_rows` over at most three traits, in n·log n steps instead of n².

    Rows are met in an order in which whoever dominates a row comes before it. Then a row is kept
    unless one before it is as good on the other two traits, and of these only the best pairs count.
    """
    padded = np.zeros((len(values), 3))
    padded[:, : values.shape[1]] = values
    order = np.lexsort((np.arange(len(values)), *(-padded.T[::-1])))
    seconds: list[float] = []  # rising, while the thirds fall
    thirds: list[float] = []
    kept: list[int] = []
    rows = padded[order, 1:].tolist()
    for index, (second, third) in zip(order.tolist(), rows, strict=True):
        at = bisect.bisect_left(seconds, second)
        if at < len(seconds) and thirds[at] >= third:
            continue
        kept.append(index)
        last = at + (at < len(seconds) and seconds[at] == second)
        first = at
        while first > 0 and thirds[first - 1] <= third:
            first -= 1
        seconds[first:last] = [second]
        thirds[first:last] = [third]
    return np.sort(np.array(kept, dtype=np.intp))


def _covered(rows: FloatArray, kept: FloatArray) -> BoolArray:
    """Which rows are matched or dominated by one of `kept`."""
    covered = np.zeros(len(rows), dtype=bool)
    for start in range(0, len(kept), _KEPT_BLOCK):
        block = kept[start : start + _KEPT_BLOCK]
        open_rows = np.flatnonzero(~covered)
        if open_rows.size == 0:
            break
        above = np.ones((open_rows.size, len(block)), dtype=bool)
        for axis in range(rows.shape[1]):
            above &= block[None, :, axis] >= rows[open_rows, axis, None]
        covered[open_rows] = above.any(axis=1)
    return covered
