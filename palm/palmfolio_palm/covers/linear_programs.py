"""Covers without corner weights, where these are too many: one linear program per candidate.

A candidate that is within the target of some members at every weight stays so when members are
added, so one pass over the candidates completes any portfolio.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from palmfolio_palm.certificates.maximisers import additive_maximiser
from palmfolio_palm.covers.cover_problem import CoverProblem
from palmfolio_palm.validation import BoolArray, FloatArray, IntArray

# Seconds that `complete` has past the time limit. The alternative is to make every open candidate
# a member; a few seconds of linear programs leave most of them out.
GRACE = 3.0
# Entries of a temporary array: 32 MB.
_ENTRIES = 4_000_000


def complete(
    problem: CoverProblem, members: IntArray, out_of_time: Callable[[], bool] = lambda: False
) -> IntArray:
    """A cover of the simplex that contains the columns `members`.

    When time runs out and every policy may be chosen, the candidates that are still open become
    members. Where policies are not allowed the pass is finished, as only it tells whether the
    target can be met.

    Raises:
        Infeasible: when no column covers some weights.
    """
    latest = time.monotonic() + GRACE
    left = _open_candidates(problem, members)
    for position, candidate in enumerate(left):
        if problem.is_free and out_of_time() and time.monotonic() > latest:
            return np.union1d(members, left[position:])
        while (w := _worst_weights(problem, candidate, members)) is not None:
            problem.covers(w[None, :])
            members = np.append(members, np.argmax(problem.columns @ w))
    return members


def violations(
    problem: CoverProblem, members: IntArray, most: int, out_of_time: Callable[[], bool]
) -> FloatArray | None:
    """Some weights that the columns `members` fail to cover, as (m ≤ most, d).

    Returns:
        None when time ran out before any was found.
    """
    found: list[FloatArray] = []
    for candidate in _open_candidates(problem, members):
        if out_of_time():
            return np.array(found) if found else None
        w = _worst_weights(problem, candidate, members)
        if w is not None:
            found.append(w)
            if len(found) == most:
                break
    return np.array(found).reshape(-1, problem.d)


def _open_candidates(problem: CoverProblem, members: IntArray) -> IntArray:
    """Rows of the reference which no single member is near."""
    rows = problem.columns[members]
    near = _are_near(problem.reference, rows, eps=problem.eps, delta=problem.delta)
    return np.flatnonzero(~near)


def _worst_weights(problem: CoverProblem, candidate: int, members: IntArray) -> FloatArray | None:
    """Where a row of the reference is furthest above `members`; None within the target."""
    w = additive_maximiser(problem.reference[candidate], problem.columns[members], problem.eps)
    return w if problem.excess(members, w[None, :])[0] > 0.0 else None


def _are_near(
    candidates: FloatArray, members: FloatArray, *, eps: float, delta: float
) -> BoolArray:
    """Which candidates c have one member v with v ≥ (1 − eps)·c − delta on every trait, as (n,).

    At every weight they are within (eps, delta) of the members. Enough for that, not necessary.
    """
    near = np.zeros(len(candidates), dtype=bool)
    block = max(1, _ENTRIES // members.size)
    for i in range(0, len(candidates), block):
        least = (1.0 - eps) * candidates[i : i + block, None, :] - delta
        is_above: BoolArray = np.all(members[None, :, :] >= least, axis=2)
        near[i : i + block] = is_above.any(axis=1)
    return near
