"""Members of a certified cover that it does not need.

Without a member, users change only where it was the best one, and there they go to its neighbours:
those that are as good as it at some corner weight. So a drop is certified on the corner weights of
the neighbours only, a few dozen instead of all members.
"""

from __future__ import annotations

import math
import time

import numpy as np

from palmfolio_palm.certificates.corners import CornersUnavailable, corners_of
from palmfolio_palm.covers.completion import violations
from palmfolio_palm.covers.cover_problem import CoverProblem
from palmfolio_palm.validation import BoolArray, FloatArray, IntArray

# Members within this of the best at a corner weight count as tied there. A wider tolerance costs
# time only: the result is certified as a whole.
_TIED = 1e-7
# Seconds past the time limit in which the certificate of what is left may be finished.
_CERTIFIED = 0.3
# Entries of a temporary array: 32 MB.
_BLOCK_ENTRIES = 4_000_000


def drop_unneeded(
    problem: CoverProblem,
    members: IntArray,
    covered: BoolArray,
    deadline: float = math.inf,
) -> IntArray:
    """An inclusion-minimal cover of the simplex inside the cover `members`.

    Fewer members are dropped when time runs out or corner weights cannot be enumerated.

    `covered` holds the rows of any demand: the only member that covers one of them is needed.
    """
    try:
        kept = _drop(problem, members, covered, deadline)
    except CornersUnavailable:
        return members
    if len(kept) == len(members):
        return members
    # Neighbours are found by a tolerance, so what is left is certified as a whole.
    left = violations(problem, kept, max(deadline, time.monotonic()) + _CERTIFIED)
    return kept if left.complete and len(left.weights) == 0 else members


def _drop(
    problem: CoverProblem,
    members: IntArray,
    covered: BoolArray,
    deadline: float,
) -> IntArray:
    began = time.monotonic()
    if began >= deadline:
        return members
    table = covered[:, members]
    count = table.sum(axis=1)
    is_kept = np.ones(len(members), dtype=bool)
    near: BoolArray | None = None
    for position in range(len(members))[::-1]:
        if time.monotonic() >= deadline or is_kept.sum() == 1:
            break
        column = table[:, position]
        if (column & (count == 1)).any():
            continue
        if near is None:
            near = _neighbours(problem.columns[members])
            # The certificate of what is left takes about as long.
            deadline -= time.monotonic() - began
        is_kept[position] = False
        around = np.flatnonzero(near[position] & is_kept)
        if _is_needed(problem, members[position], members[around], members[is_kept]):
            is_kept[position] = True
            continue
        count = count - column
        # Those around a member that is gone may have become neighbours.
        near[np.ix_(around, around)] = True
    return members[is_kept]


def _neighbours(rows: FloatArray) -> BoolArray:
    """(k, k) which members are tied for the best at some corner weight."""
    k = len(rows)
    W = corners_of(rows)
    near = np.zeros((k, k))
    block = max(1, _BLOCK_ENTRIES // k)
    for i in range(0, len(W), block):
        utility = W[i : i + block] @ rows.T
        tied = (utility >= utility.max(axis=1, keepdims=True) - _TIED).astype(np.float64)
        near += tied.T @ tied
    is_near: BoolArray = near > 0.0
    return is_near


def _is_needed(problem: CoverProblem, member: np.intp, around: IntArray, rest: IntArray) -> bool:
    """Whether the columns `rest` leave weights uncovered where `member` was best."""
    if len(around) == 0:
        # Nowhere best, as far as the corner weights tell.
        return len(violations(problem, rest).weights) > 0
    W = corners_of(problem.columns[around])
    reached = (W @ problem.columns[around].T).max(axis=1)
    W = W[W @ problem.columns[member] >= reached - _TIED]
    return len(W) > 0 and bool((problem.excess(rest, W) > 0.0).any())
