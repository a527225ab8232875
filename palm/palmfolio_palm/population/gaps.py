"""What a portfolio loses over the users of a population (docs/algorithms.md, section 8).

The gap of user u is [(1 − eps)·U(w_u) − L(w_u)]₊.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.validation import (
    TOLERANCE,
    FloatArray,
    check_eps,
    check_portfolio,
    check_values,
    check_weight_rows,
)


@dataclass(frozen=True, eq=False)
class PopulationGaps:
    """Gaps of a portfolio over a population.

    Attributes:
        mean: mean additive gap.
        quantiles: level → smallest g such that at least this share of users has gap ≤ g.
        worst: largest gap of any user.
        worst_user: row of that user.

    Example:
        >>> gaps = population_gaps([[1, 0], [0, 1]], [0], [[1, 0], [0, 1]], levels=(0.5, 1.0))
        >>> gaps.quantiles
        {0.5: 0.0, 1.0: 1.0}
    """

    mean: float
    quantiles: dict[float, float]
    worst: float
    worst_user: int


def population_gaps(
    V: ArrayLike,
    P: ArrayLike,
    W: ArrayLike,
    *,
    counts: ArrayLike | None = None,
    levels: tuple[float, ...] = (0.5, 0.9, 0.95),
    eps: float = 0.0,
    shifted: bool = False,
) -> PopulationGaps:
    """Mean, quantile and worst gaps of the portfolio `P` over users' weights `W`.

    Args:
        V: (n, d) value vectors of the candidates, in [0, 1] unless `shifted`.
        P: indices of the members.
        W: (m, d) users' weights, each scaled to Σ = 1.
        counts: (m,) how many users each row stands for, ≥ 0; default one each.
        levels: quantile levels, each in (0, 1].
        eps: relative loss in [0, 1).
        shifted: accept finite values outside [0, 1].

    Raises:
        ValueError: naming the argument.

    Example:
        >>> gaps = population_gaps([[1, 0], [0, 1]], [0], [[0.9, 0.1], [0.4, 0.6]])
        >>> round(gaps.mean, 3), round(gaps.worst, 3), gaps.worst_user
        (0.1, 0.2, 1)
    """
    values = check_values(V, shifted=shifted)
    members = check_portfolio(P, len(values))
    weights = check_weight_rows(W, values.shape[1])
    share = shares(counts, len(weights))
    for level in levels:
        check_level(level, "levels")
    losses = losses_of(values, values[members], weights, check_eps(eps))
    return summary(losses.min(axis=1), share, levels)


def shares(counts: ArrayLike | None, m: int) -> FloatArray:
    """Shares of the population, Σ = 1."""
    if counts is None:
        return np.full(m, 1.0 / m)
    values = np.asarray(counts, dtype=np.float64)
    if values.shape != (m,):
        raise ValueError(f"counts must have shape ({m},), got {values.shape}")
    if not np.isfinite(values).all() or values.min() < 0.0 or values.sum() <= 0.0:
        raise ValueError("counts must be finite, not negative and not all zero")
    share: FloatArray = values / values.sum()
    return share


def check_level(level: float, name: str) -> None:
    if not 0.0 < level <= 1.0:
        raise ValueError(f"{name} must lie in (0, 1], got {level}")


def losses_of(
    values: FloatArray, columns: FloatArray, weights: FloatArray, eps: float
) -> FloatArray:
    """(m, s) gap of every user if served by each column only."""
    best = (weights @ values.T).max(axis=1)
    losses: FloatArray = np.maximum(0.0, (1.0 - eps) * best[:, None] - weights @ columns.T)
    return losses


def quantile(losses: FloatArray, share: FloatArray, level: float) -> float:
    order = np.argsort(losses, kind="stable")
    at = int(np.searchsorted(np.cumsum(share[order]), level - TOLERANCE))
    return float(losses[order[min(at, len(order) - 1)]])


def summary(losses: FloatArray, share: FloatArray, levels: tuple[float, ...]) -> PopulationGaps:
    present = np.where(share > 0.0, losses, -1.0)
    worst = int(np.argmax(present))
    return PopulationGaps(
        mean=float(losses @ share),
        quantiles={level: quantile(losses, share, level) for level in levels},
        worst=float(present[worst]),
        worst_user=worst,
    )
