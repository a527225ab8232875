"""Portfolios for a given population of users (docs/algorithms.md, section 8).

The objective is the mean or a quantile of the users' gaps, weighted by their counts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.covers.gap_search import GAP_TOLERANCE
from palmfolio_palm.covers.progress import TIME_LIMIT
from palmfolio_palm.pareto import pareto_rows
from palmfolio_palm.population.gaps import (
    PopulationGaps,
    check_level,
    losses_of,
    shares,
    summary,
)
from palmfolio_palm.population.mean import best_mean
from palmfolio_palm.population.quantile import best_quantile
from palmfolio_palm.validation import (
    IntArray,
    check_choice,
    check_eps,
    check_portfolio,
    check_positive,
    check_size,
    check_values,
    check_weight_rows,
)

PopulationObjective = Literal["mean", "quantile"]


@dataclass(frozen=True, eq=False)
class PopulationPortfolio:
    """Result of `best_for_population`.

    Attributes:
        indices: at most k rows of V, increasing.
        objective: value of the objective for this portfolio.
        lower_bound: no portfolio of k policies has a smaller value.
        optimal: the two agree within 1e-6.
        gaps: the portfolio's gaps.
        seconds: wall-clock time taken.

    Example:
        >>> best = best_for_population([[1, 0], [0, 1]], 1, [[1, 0], [0, 1]], counts=[3, 1])
        >>> best.indices.tolist(), best.objective, best.optimal
        ([0], 0.25, True)
    """

    indices: IntArray
    objective: float
    lower_bound: float
    optimal: bool
    gaps: PopulationGaps
    seconds: float


def best_for_population(
    V: ArrayLike,
    k: int,
    W: ArrayLike,
    *,
    counts: ArrayLike | None = None,
    objective: PopulationObjective = "mean",
    level: float = 0.95,
    eps: float = 0.0,
    time_limit: float = TIME_LIMIT,
    allowed: ArrayLike | None = None,
    shifted: bool = False,
    seed: int = 0,
) -> PopulationPortfolio:
    """The portfolio of at most k policies with the smallest mean or quantile gap over users.

    Args:
        V: (n, d) value vectors of the candidates, in [0, 1] unless `shifted`.
        k: number of members, 1 to n.
        W: (m, d) users' weights, each scaled to Σ = 1.
        counts: (m,) how many users each row stands for, ≥ 0; default one each.
        objective: "mean", or "quantile" at `level`.
        level: quantile level in (0, 1]; 1 is the worst of these users.
        eps: relative loss in [0, 1).
        time_limit: seconds after which the best portfolio so far is returned with its bound.
        allowed: indices of the policies that may be chosen; default all.
        shifted: accept finite values outside [0, 1].
        seed: of the heuristics; the bound does not depend on it.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> V = [[1, 0], [0, 1], [0.7, 0.7]]
        >>> best_for_population(V, 1, [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]).indices.tolist()
        [2]
    """
    start = time.monotonic()
    values = check_values(V, shifted=shifted)
    k = check_size(k, len(values))
    weights = check_weight_rows(W, values.shape[1])
    share = shares(counts, len(weights))
    check_choice(objective, ("mean", "quantile"), "objective")
    check_level(level, "level")
    deadline = start + check_positive(time_limit, "time_limit")
    supply = np.arange(len(values), dtype=np.intp)
    if allowed is not None:
        supply = check_portfolio(allowed, len(values), "allowed")
    supply = supply[pareto_rows(values[supply])]
    losses = losses_of(values, values[supply], weights, check_eps(eps))
    used = share > 0.0
    losses_used, share_used = losses[used], share[used]
    if objective == "mean":
        members, lower = best_mean(losses_used, share_used, k, deadline)
    else:
        rng = np.random.default_rng(seed)
        members, lower = best_quantile(losses_used, share_used, k, level, deadline, rng)
    reached = losses[:, members].min(axis=1)
    gaps = summary(reached, share, (level,))
    value = gaps.mean if objective == "mean" else gaps.quantiles[level]
    lower = min(max(0.0, lower), value)
    return PopulationPortfolio(
        indices=np.sort(supply[members]),
        objective=value,
        lower_bound=lower,
        optimal=value - lower <= GAP_TOLERANCE,
        gaps=gaps,
        seconds=time.monotonic() - start,
    )
