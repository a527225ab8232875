"""Set cover on a finite (rows × columns) boolean matrix: heuristics, bounds and exact proofs.

Rows are demand, columns are policies; entry (i, j) says that column j covers row i.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array

from palmfolio_palm.validation import BoolArray, FloatArray, IntArray

# Rows that are compared with one another at a time; it bounds the memory.
_BLOCK = 512
# Columns above which dominated ones are not searched for: the search is quadratic in them.
_MAX_DOMINANCE = 3000


@dataclass(frozen=True, eq=False)
class ExactCover:
    """Outcome of `exact_cover`: a cover, a proof that none exists, or neither in time.

    Attributes:
        members: columns of a cover within the size asked for, or None.
        impossible: proven that no such cover exists.
    """

    members: IntArray | None
    impossible: bool


def greedy_columns(covered: BoolArray) -> IntArray:
    """Columns that cover every row, each covering most of what is left."""
    found = few_columns(covered, covered.shape[1])
    assert found is not None
    return found


def few_columns(covered: BoolArray, most: int) -> IntArray | None:
    """As `greedy_columns`, or None where these are more than `most`."""
    is_open = np.ones(len(covered), dtype=bool)
    gain = covered.sum(axis=0)
    chosen: list[int] = []
    while is_open.any():
        if len(chosen) == most:
            return None
        column = int(np.argmax(gain))
        chosen.append(column)
        closed = is_open & covered[:, column]
        gain = gain - covered[closed].sum(axis=0)
        is_open &= ~closed
    return np.array(chosen, dtype=np.intp)


def minimal_rows(covered: BoolArray) -> IntArray:
    """Indices of rows that contain no other row; of equal rows the first found is kept.

    Covering these rows covers all of them.
    """
    sizes = covered.sum(axis=1)
    order = np.argsort(sizes, kind="stable")
    kept: list[IntArray] = []
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        if kept:
            block = block[~contains_any(covered[block], covered[np.concatenate(kept)])]
        kept.append(block[~_contains_earlier(covered[block])])
    return np.concatenate(kept) if kept else np.empty(0, dtype=np.intp)


def contains_any(rows: BoolArray, others: BoolArray) -> BoolArray:
    """Which of `rows` contain (or equal) one of `others`, as sets of columns."""
    if not len(rows) or not len(others):
        return np.zeros(len(rows), dtype=bool)
    common = rows.astype(np.float32) @ others.astype(np.float32).T
    contains: BoolArray = (common >= others.sum(axis=1) - 0.5).any(axis=1)
    return contains


def _contains_earlier(rows: BoolArray) -> BoolArray:
    as_float = rows.astype(np.float32)
    inside = as_float @ as_float.T >= rows.sum(axis=1) - 0.5
    earlier = np.tri(len(rows), k=-1, dtype=bool)
    contains: BoolArray = (inside & earlier).any(axis=1)
    return contains


def distinct_columns(covered: BoolArray) -> IntArray:
    """Indices, increasing, of the first of every group of equal columns."""
    packed = np.ascontiguousarray(np.packbits(covered, axis=0).T)
    if packed.shape[1] == 0:
        return np.arange(min(1, covered.shape[1]), dtype=np.intp)
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    return np.sort(np.unique(keys, return_index=True)[1]).astype(np.intp)


def useful_columns(covered: BoolArray) -> IntArray:
    """Indices of columns that no other column matches on these rows; some optimum uses only them.

    Returns all distinct columns when there are too many to compare.
    """
    distinct = distinct_columns(covered)
    if len(distinct) > _MAX_DOMINANCE:
        return distinct
    complement = ~covered.T[distinct]
    # Column j is inside column i exactly when j's complement contains i's.
    return np.sort(distinct[minimal_rows(complement)])


def local_search(
    covered: BoolArray,
    k: int,
    rng: np.random.Generator,
    *,
    steps: int,
    out_of_time: Callable[[], bool],
) -> IntArray | None:
    """k or fewer columns that cover every row, or None when `steps` swaps find none.

    Row-weighting local search: swap out the column that is missed least, swap in one that covers
    an uncovered row, and make rows that stay uncovered heavier.
    """
    m, n = covered.shape
    members = list(greedy_columns(covered))
    if len(members) <= k:
        return np.array(members, dtype=np.intp)
    members = members[:k]
    table = covered.astype(np.float64)
    columns = np.ascontiguousarray(table.T)
    count = table[:, members].sum(axis=1)
    weight = np.ones(m)
    last_moved = np.full(n, -10)
    for step in range(steps):
        open_rows = np.flatnonzero(count == 0.0)
        if open_rows.size == 0:
            return np.array(members, dtype=np.intp)
        if out_of_time():
            break
        weight[open_rows] += 1.0
        loss = columns[members] @ (weight * (count == 1.0))
        loss[last_moved[members] >= step - 2] = np.inf
        out = members.pop(int(np.argmin(loss)))
        count -= columns[out]
        last_moved[out] = step
        open_rows = np.flatnonzero(count == 0.0)
        row = open_rows[int(rng.integers(open_rows.size))]
        choices = np.flatnonzero(covered[row])
        gain = columns[np.ix_(choices, open_rows)] @ weight[open_rows]
        gain[last_moved[choices] >= step - 2] *= 0.5
        into = int(choices[int(np.argmax(gain + 1e-6 * rng.random(gain.size)))])
        members.append(into)
        count += columns[into]
        last_moved[into] = step
    return None


def row_packing(covered: BoolArray) -> IntArray:
    """Rows no two of which share a column, few-column rows first; a cover needs one column each."""
    free = np.ones(covered.shape[1], dtype=bool)
    packed: list[int] = []
    for i in np.argsort(covered.sum(axis=1), kind="stable"):
        if free[covered[i]].all():
            free &= ~covered[i]
            packed.append(int(i))
    return np.array(packed, dtype=np.intp)


@dataclass(frozen=True, eq=False)
class FractionalCover:
    """Outcome of `fractional_cover`.

    Attributes:
        bound: valid lower bound on every cover's size, whatever the solver's accuracy.
        x: (n,) fractional cover, or None when the solver did not end in time.
        support: indices of the rows that make the bound.
    """

    bound: float
    x: FloatArray | None
    support: IntArray


def fractional_cover(covered: BoolArray, seconds: float) -> FractionalCover:
    """Solve the linear relaxation; when that takes too long the bound is a `row_packing`."""
    columns = distinct_columns(covered)
    every, covered = covered.shape[1], covered[:, columns]
    m, n = covered.shape
    matrix = csr_array(covered.astype(np.float64))
    solution = linprog(
        np.ones(n),
        A_ub=cast(Any, -matrix),  # scipy takes sparse matrices; its stubs do not know
        b_ub=-np.ones(m),
        bounds=(0.0, 1.0),
        method="highs",
        options={"time_limit": max(0.05, seconds)},
    )
    if solution.status != 0 or solution.x is None:
        packed = row_packing(covered)
        return FractionalCover(bound=float(len(packed)), x=None, support=packed)
    dual = np.clip(-solution.ineqlin.marginals, 0.0, None)
    load = float((covered.T @ dual).max())
    x = np.zeros(every)
    x[columns] = np.clip(solution.x, 0.0, 1.0)
    return FractionalCover(
        bound=float(dual.sum()) / max(load, 1.0),
        x=x,
        support=np.flatnonzero(dual > 1e-9),
    )


def round_up(bound: float) -> int:
    """The whole number that a lower bound on a whole number implies, safe against rounding."""
    return math.ceil(bound - 1e-6)


def exact_cover(covered: BoolArray, k: int, seconds: float) -> ExactCover:
    """Look for a cover with at most k columns by branch and bound (HiGHS) for some seconds."""
    columns = useful_columns(covered)
    reduced = covered[:, columns]
    reduced = reduced[minimal_rows(reduced)]
    n = len(columns)
    if n <= k:
        return ExactCover(members=columns, impossible=False)
    # Asking for at least k loses nothing, ends the search at the first cover of k columns, and
    # leaves the solver an objective to prune by, which a limit of at most k would not.
    solution = milp(
        np.ones(n),
        constraints=[
            LinearConstraint(csr_array(reduced.astype(np.float64)), 1.0, np.inf),
            LinearConstraint(csr_array(np.ones((1, n))), float(k), np.inf),
        ],
        integrality=np.ones(n, dtype=np.intp),
        bounds=Bounds(0.0, 1.0),
        options={"time_limit": max(0.05, seconds)},
    )
    bound = solution.mip_dual_bound
    if bound is not None and np.isfinite(bound) and round_up(bound) > k:
        return ExactCover(members=None, impossible=True)
    if solution.x is None or int((solution.x > 0.5).sum()) > k:
        return ExactCover(members=None, impossible=False)
    return ExactCover(members=columns[np.flatnonzero(solution.x > 0.5)], impossible=False)
