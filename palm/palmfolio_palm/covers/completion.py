"""Which weights a portfolio fails to cover, and covers that are completed with them.

Corner weights tell where they are few enough to be enumerated; mixtures of the members decide each
candidate otherwise. A candidate that is within the target at every weight stays so when members are
added, so what is decided once need not be decided again.
"""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass, replace

import numpy as np

from palmfolio_palm.certificates.certificate import Certificate, certificates
from palmfolio_palm.certificates.corners import CornersUnavailable, corners_of
from palmfolio_palm.covers.cover_problem import CoverProblem
from palmfolio_palm.covers.decisions import decide
from palmfolio_palm.covers.set_cover import greedy_columns
from palmfolio_palm.validation import BoolArray, FloatArray, Infeasible, IntArray

# Seconds that `complete` has past the time limit. The alternative is to make every candidate that
# is not decided a member; a moment more leaves most of them out.
GRACE = 0.3
# Work of one corner weight, and of one product of it with one candidate, in seconds.
_CORNER, _PRODUCT = 5e-6, 1e-9
# Seconds that it takes to decide one candidate by mixtures and a linear program.
_DECIDED = 4e-3
# So many corner weights are always enumerated: it takes less than any other way.
_LEAST_CORNERS = 5_000
# Linear programs in a round of `complete` that decide candidates in doubt.
_PROGRAMS = 40
# Seconds of work on corner weights that are worth it when time is over: without them nothing is
# known of most candidates.
_LAST = 1.0
# Share of the target that new members aim at: a stricter one leaves fewer gaps between the weights
# they are chosen for. Measured: 0.5 saves half of the rounds against the full target.
ADDING = 0.5
# Rounds of `complete` that choose new members where every policy may be chosen; after these every
# candidate in question is one.
_MOST_ROUNDS = 30


@dataclass(frozen=True, eq=False)
class Violations:
    """Weights that a portfolio fails to cover.

    Attributes:
        weights: (m, d), worst first.
        complete: whether none was missed for want of time: without weights, the portfolio covers
            the simplex.
    """

    weights: FloatArray
    complete: bool


def violations(problem: CoverProblem, members: IntArray, deadline: float = math.inf) -> Violations:
    """Weights that the columns `members` fail to cover: corners, or one for each candidate.

    `deadline` is on the clock `time.monotonic`.
    """
    rows = problem.columns[members]
    try:
        W, complete = corners_of(rows, _corners_worth(problem, deadline)), True
    except CornersUnavailable:
        found = decide(problem.reference, rows, problem.eps, problem.delta, deadline)
        W, complete = found.weights, len(found.unknown) == 0
    if len(W) == 0:
        return Violations(W.reshape(-1, problem.d), complete)
    excess = problem.excess(members, W)
    order = np.argsort(-excess, kind="stable")
    return Violations(W[order[excess[order] > 0.0]], complete)


def complete(problem: CoverProblem, members: IntArray, deadline: float = math.inf) -> IntArray:
    """A cover of the simplex that contains the columns `members`, by mixtures only.

    When time runs out and every policy may be chosen, the candidates that are not decided become
    members. Where policies are not allowed the search is finished, as only it tells whether the
    target can be met.

    Raises:
        Infeasible: when no column covers some weights.
    """
    latest = max(deadline, time.monotonic()) + GRACE if problem.is_free else math.inf
    left = np.arange(len(problem.reference), dtype=np.intp)
    for count in itertools.count():
        found = decide(
            problem.reference[left],
            problem.columns[members],
            problem.eps,
            problem.delta,
            latest,
            _PROGRAMS if problem.is_free else None,
        )
        wrong = np.zeros(0, dtype=bool)
        if len(found.beyond):
            wrong = problem.excess(members, found.weights) > 0.0
        left = left[np.concatenate([found.beyond[wrong], found.unknown])]
        late = count == _MOST_ROUNDS or time.monotonic() >= latest
        if len(left) == 0 or (problem.is_free and late):
            break
        # A candidate in doubt is served better too: that takes less than to decide it.
        W = np.concatenate([found.weights[wrong], found.suspect])
        members = np.union1d(members, greedy_columns(stricter_rows(problem, W, ADDING)))
    return np.union1d(members, left)


def certified(problem: CoverProblem, indices: IntArray, deadline: float) -> Certificate:
    """The certificate of rows of V that are known to cover the simplex.

    Where time ends before it is exact, its upper bounds are at most the target.
    """
    eps, delta = problem.eps, problem.delta
    made = certificates(problem.values, indices, [(eps, delta)], deadline + GRACE)[0]
    if made.exact:
        return made
    ratio = made.multiplicative
    return replace(
        made,
        additive=min(made.additive, delta),
        multiplicative=None if ratio is None else min(ratio, eps),
    )


def stricter_rows(problem: CoverProblem, W: FloatArray, share: float) -> BoolArray:
    """What covers `W` at a share of the target, or at the target where the share is infeasible."""
    try:
        return problem.with_target(share * problem.eps, share * problem.delta).covers(W)
    except Infeasible:
        return problem.covers(W)


def _corners_worth(problem: CoverProblem, deadline: float) -> float:
    """Up to how many corner weights take less work than mixtures, and less than the time left."""
    n, d = problem.reference.shape
    each = _CORNER + n * d * _PRODUCT
    left = max(_LAST, deadline - time.monotonic())
    return float(max(_LEAST_CORNERS, min(_DECIDED * n, left) / each))
