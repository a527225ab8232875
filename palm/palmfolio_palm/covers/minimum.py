"""The smallest certified portfolio, with a proof or a bound (docs/algorithms.md, section 4).

Constraint generation: decide whether k policies can cover a finite demand; certify the cover over
the whole simplex; where it fails, add the failing weights to the demand and decide again. A demand
that k policies cannot cover proves that no portfolio of k policies exists.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.certificates.certificate import Certificate
from palmfolio_palm.covers.completion import certified
from palmfolio_palm.covers.cover_problem import CoverProblem, scattered_demand
from palmfolio_palm.covers.greedy import Cover, certified_greedy
from palmfolio_palm.covers.progress import TIME_LIMIT, Progress, ProgressCallback
from palmfolio_palm.covers.pruning import drop_unneeded
from palmfolio_palm.covers.search import CoverSearch
from palmfolio_palm.validation import FloatArray, IntArray, check_positive

# Share of the time limit that the first portfolio may be improved for, and that the first lower
# bound may take. What is left is for the search, which begins better from a better start.
_GREEDY_SHARE = _BOUND_SHARE = 0.4


@dataclass(frozen=True, eq=False)
class MinimumPortfolio:
    """Result of `min_portfolio`.

    Attributes:
        indices: (size,) rows of V, increasing.
        size: number of members.
        lower_bound: no (eps, delta)-approximate portfolio has fewer members.
        optimal: size equals lower_bound.
        certificate: the portfolio's exact certificate.
        seconds: wall-clock time taken.

    Example:
        >>> smallest = min_portfolio([[1, 0], [0, 1], [0.6, 0.6]], 0.0, 0.15)
        >>> smallest.size, smallest.lower_bound, smallest.optimal
        (2, 2, True)
    """

    indices: IntArray
    size: int
    lower_bound: int
    optimal: bool
    certificate: Certificate
    seconds: float


def min_portfolio(
    V: ArrayLike,
    eps: float,
    delta: float,
    *,
    time_limit: float = TIME_LIMIT,
    start: Cover | None = None,
    allowed: ArrayLike | None = None,
    shifted: bool = False,
    progress: ProgressCallback | None = None,
    seed: int = 0,
) -> MinimumPortfolio:
    """A smallest (eps, delta)-approximate portfolio.

    Args:
        V: (n, d) value vectors of the candidates, in [0, 1] unless `shifted`.
        eps: relative loss in [0, 1).
        delta: additive loss ≥ 0.
        time_limit: seconds after which the best portfolio so far is returned with its bound.
        start: of `greedy_cover` with the same arguments, to improve on; default it is computed.
        allowed: indices of the policies that may be chosen; default all.
        shifted: accept finite values outside [0, 1].
        progress: called after every step; an exception it raises ends the search.
        seed: of the heuristics; the proof does not depend on it.

    Raises:
        ValueError: naming the argument.
        Infeasible: when the allowed policies cannot cover some weights.

    Example:
        >>> min_portfolio([[1, 0], [0, 1], [0.6, 0.6]], 0.0, 0.45).indices.tolist()
        [2]
    """
    began = time.monotonic()
    limit = check_positive(time_limit, "time_limit")
    problem = CoverProblem(V, eps, delta, allowed=allowed, shifted=shifted)
    search = CoverSearch(problem, began + limit, np.random.default_rng(seed))
    members, demand = _first(problem, start, began + _GREEDY_SHARE * limit)
    search.begin(demand, seconds=_BOUND_SHARE * limit)

    def report() -> None:
        if progress is not None:
            elapsed, size = time.monotonic() - began, len(members)
            progress(Progress("size", elapsed, float(size), float(search.lower_bound), size))

    report()
    while search.lower_bound < len(members) and not search.out_of_time():
        smaller = search.step(len(members) - 1)
        if smaller is not None:
            covered = search.demand.covered
            members = drop_unneeded(problem, smaller, covered, began + limit)
        report()
    indices = np.sort(problem.supply[members])
    return MinimumPortfolio(
        indices=indices,
        size=len(indices),
        lower_bound=search.lower_bound,
        optimal=search.lower_bound == len(indices),
        certificate=certified(problem, indices, began + limit),
        seconds=time.monotonic() - began,
    )


def _first(
    problem: CoverProblem, start: Cover | None, deadline: float
) -> tuple[IntArray, FloatArray]:
    """Columns that cover the simplex, and the demand that they were found by."""
    if start is None:
        demand = scattered_demand(problem, np.random.default_rng(0))
        greedy = certified_greedy(problem, demand, deadline)
        return greedy.members, greedy.demand
    exact = start.certificate
    members = np.flatnonzero(np.isin(problem.supply, start.indices))
    if not exact.holds or (exact.eps, exact.delta) != (problem.eps, problem.delta):
        raise ValueError(f"start must be a cover at eps = {problem.eps}, delta = {problem.delta}")
    if len(members) < len(start.indices):
        raise ValueError("start holds policies that may not be chosen or are not Pareto-optimal")
    return members, start.demand
