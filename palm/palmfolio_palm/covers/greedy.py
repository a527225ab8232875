"""Greedy portfolios, certified over the whole simplex (docs/algorithms.md, section 4)."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.certificates.certificate import Certificate, certificates
from palmfolio_palm.covers.completion import (
    ADDING,
    GRACE,
    certified,
    complete,
    stricter_rows,
    violations,
)
from palmfolio_palm.covers.cover_problem import CoverProblem, scattered_demand
from palmfolio_palm.covers.pruning import drop_unneeded
from palmfolio_palm.covers.set_cover import greedy_columns
from palmfolio_palm.validation import FloatArray, IntArray, check_weight_rows

# Violated corners that a round adds to the demand: more find a cover in fewer rounds, each slower.
_CORNERS_PER_ROUND = 100
# Rounds that run the greedy step anew, which gives the smallest covers; later rounds only add
# members, which always ends soon.
_RESTARTS = 12
# Share of the time in which it does.
_ANEW_SHARE = 0.5
# Shares of the target that the rounds in between aim at: a stricter one leaves fewer gaps between
# demand weights and needs more members, so it is tightened step by step.
_STRICTER = (0.9, 0.8, 0.7)
# Entries of the coverage rows that one later round may add: 8 MB.
_ENTRIES = 8_000_000


@dataclass(frozen=True, eq=False)
class Cover:
    """A certified portfolio.

    Attributes:
        indices: (k,) rows of V, increasing.
        certificate: its exact certificate at the eps and delta asked for.
        plain: its exact certificate at eps = delta = 0.
        demand: (m, d) weights that the greedy step covered.
        covered_demand_only: size of the portfolio that covered the first demand, before the
            certificate was enforced; the paper's step stops there.

    Example:
        >>> cover = greedy_cover([[1, 0], [0, 1], [0.6, 0.6]], 0.0, 0.15)
        >>> cover.certificate.holds, cover.covered_demand_only <= len(cover.indices)
        (True, True)
    """

    indices: IntArray
    certificate: Certificate
    plain: Certificate
    demand: FloatArray
    covered_demand_only: int


@dataclass(frozen=True, eq=False)
class Greedy:
    """Result of `certified_greedy`: columns of the problem; other fields as in `Cover`."""

    members: IntArray
    demand: FloatArray
    covered_demand_only: int


def greedy_cover(
    V: ArrayLike,
    eps: float,
    delta: float,
    *,
    weights: ArrayLike | None = None,
    time_limit: float = math.inf,
    allowed: ArrayLike | None = None,
    shifted: bool = False,
) -> Cover:
    """An (eps, delta)-approximate portfolio by greedy set cover, certified for every user.

    Covers the demand greedily, certifies, adds the most violated corner weights to the demand and
    repeats until the certificate holds; then drops members that are not needed. On m demand
    points the greedy size is at most 1 + ln m times the smallest possible.

    Args:
        V: (n, d) value vectors of the candidates, in [0, 1] unless `shifted`.
        eps: relative loss in [0, 1).
        delta: additive loss ≥ 0.
        weights: (m, d) first demand, for example `grid_weights`; default a coarse lattice and
            some thousand random weights.
        time_limit: seconds after which members are only added, until the certificate holds.
        allowed: indices of the policies that may be chosen; default all.
        shifted: accept finite values outside [0, 1].

    Raises:
        ValueError: naming the argument.
        Infeasible: when the allowed policies cannot cover some weights.

    Example:
        >>> greedy_cover([[1, 0], [0, 1], [0.6, 0.6]], 0.0, 0.15).indices.tolist()
        [0, 1]
    """
    if not time_limit > 0.0:
        raise ValueError(f"time_limit must be a number > 0, got {time_limit}")
    deadline = time.monotonic() + time_limit
    problem = CoverProblem(V, eps, delta, allowed=allowed, shifted=shifted)
    if weights is not None:
        demand = check_weight_rows(weights, problem.d, "weights")
    else:
        demand = scattered_demand(problem, np.random.default_rng(0))
    greedy = certified_greedy(problem, demand, deadline)
    indices = np.sort(problem.supply[greedy.members])
    at_target = certified(problem, indices, deadline)
    plain = certificates(problem.values, indices, [(0.0, 0.0)], deadline + GRACE)[0]
    return Cover(
        indices=indices,
        certificate=at_target,
        plain=plain,
        demand=greedy.demand,
        covered_demand_only=greedy.covered_demand_only,
    )


def certified_greedy(
    problem: CoverProblem, demand: FloatArray, deadline: float = math.inf
) -> Greedy:
    """Greedy columns that cover the whole simplex.

    None of them is needless, if time allows and the corner weights can be enumerated. `deadline`
    is on the clock `time.monotonic`.
    """
    began = time.monotonic()
    # What is left completes the cover and drops what it does not need.
    anew_until = began + _ANEW_SHARE * (deadline - began)
    covered = problem.covers(demand)
    members = greedy_columns(covered)
    first = len(members)
    most = max(50, _ENTRIES // len(problem.supply))
    for attempt in itertools.count():
        found = violations(problem, members, deadline)
        if len(found.weights) == 0:
            if not found.complete:
                members = complete(problem, members, deadline)
            break
        late = time.monotonic() >= anew_until
        if late and not found.complete:
            members = complete(problem, members, deadline)
            break
        # Greedy anew is best; on a stricter target it leaves fewer gaps between demand weights;
        # adding members, last, always ends after few rounds.
        anew = attempt < _RESTARTS + len(_STRICTER) and not late
        added = found.weights[: max(_CORNERS_PER_ROUND, 5 * len(members)) if anew else most]
        demand = np.concatenate([demand, added])
        covered = np.concatenate([covered, problem.covers(added)])
        if not anew:
            missing = stricter_rows(problem, added, ADDING)
            members = np.union1d(members, greedy_columns(missing))
        elif attempt < _RESTARTS:
            members = greedy_columns(covered)
        else:
            share = _STRICTER[attempt - _RESTARTS]
            members = greedy_columns(stricter_rows(problem, demand, share))
    members = drop_unneeded(problem, members, covered, deadline)
    return Greedy(members=members, demand=demand, covered_demand_only=first)
