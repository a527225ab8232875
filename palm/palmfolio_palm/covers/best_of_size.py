"""The best portfolio of a given size and the curve of gap against size, with lower bounds."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.covers.cover_problem import CoverProblem
from palmfolio_palm.covers.gap_search import BestPortfolio, GapSearch
from palmfolio_palm.covers.progress import TIME_LIMIT, ProgressCallback
from palmfolio_palm.validation import (
    check_choice,
    check_positive,
    check_size,
)

Objective = Literal["additive", "multiplicative"]


def best_portfolio(
    V: ArrayLike,
    k: int,
    *,
    objective: Objective = "additive",
    eps: float = 0.0,
    delta: float = 0.0,
    time_limit: float = TIME_LIMIT,
    allowed: ArrayLike | None = None,
    shifted: bool = False,
    progress: ProgressCallback | None = None,
    seed: int = 0,
) -> BestPortfolio:
    """The portfolio of at most k policies with the smallest worst gap.

    Args:
        V: (n, d) value vectors of the candidates, in [0, 1] unless `shifted`.
        k: number of members, 1 to n.
        objective: "additive" minimises the additive gap at `eps`; "multiplicative" the
            multiplicative gap at `delta`.
        eps: relative loss in [0, 1).
        delta: additive loss ≥ 0.
        time_limit: seconds after which the best portfolio so far is returned with its bound.
        allowed: indices of the policies that may be chosen; default all.
        shifted: accept finite values outside [0, 1].
        progress: called after every step; an exception it raises ends the search.
        seed: of the heuristics; the bound does not depend on it.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> best_portfolio([[1, 0], [0, 1], [0.6, 0.6]], 1).indices.tolist()
        [2]
    """
    problem = _problem(V, eps, delta, objective, allowed, shifted)
    k = check_size(k, len(problem.values))
    limit = check_positive(time_limit, "time_limit")
    search = GapSearch(problem, objective, np.random.default_rng(seed), progress)
    return search.solve(k, limit, np.empty(0, dtype=np.intp))


def tradeoff_curve(
    V: ArrayLike,
    k_max: int,
    *,
    objective: Objective = "additive",
    eps: float = 0.0,
    delta: float = 0.0,
    time_limit: float = TIME_LIMIT,
    allowed: ArrayLike | None = None,
    shifted: bool = False,
    progress: ProgressCallback | None = None,
    seed: int = 0,
) -> list[BestPortfolio]:
    """`best_portfolio` for k = 1, …, k_max, in one time limit.

    Gaps and lower bounds never rise with k. Arguments and errors otherwise as in
    `best_portfolio`.

    Example:
        >>> curve = tradeoff_curve([[1, 0], [0, 1], [0.6, 0.6]], 3)
        >>> [round(point.gap, 6) for point in curve]
        [0.4, 0.1, 0.0]
    """
    start = time.monotonic()
    problem = _problem(V, eps, delta, objective, allowed, shifted)
    k_max = check_size(k_max, len(problem.values), "k_max")
    limit = check_positive(time_limit, "time_limit")
    search = GapSearch(problem, objective, np.random.default_rng(seed), progress)
    points: list[BestPortfolio] = []
    for k in range(1, k_max + 1):
        left = limit - (time.monotonic() - start)
        points.append(search.solve(k, max(1e-3, left / (k_max - k + 1)), search.members))
    # A bound for k policies bounds fewer policies too.
    lower = 0.0
    for i in range(k_max - 1, -1, -1):
        point = points[i]
        lower = max(lower, min(point.lower_bound, point.gap))
        optimal = point.gap - lower <= search.tolerance
        points[i] = replace(point, lower_bound=lower, optimal=optimal)
    return points


def _problem(
    V: ArrayLike,
    eps: float,
    delta: float,
    objective: str,
    allowed: ArrayLike | None,
    shifted: bool,
) -> CoverProblem:
    check_choice(objective, ("additive", "multiplicative"), "objective")
    problem = CoverProblem(V, eps, delta, allowed=allowed, shifted=shifted)
    reference = problem.values
    if objective == "multiplicative" and (
        reference.min() < 0.0 or reference.max(axis=0).min() <= 0.0
    ):
        raise ValueError(
            "V needs values ≥ 0 and a positive value on every trait for the objective "
            "'multiplicative'; use 'additive'"
        )
    return problem
