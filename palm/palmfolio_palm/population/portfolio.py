"""Portfolios for a given population of users instead of for every conceivable user.

The gap of user u is [(1 − eps)·U(w_u) − L(w_u)]₊. The objective is its mean or a quantile over
the users, weighted by their counts.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, eye_array, hstack

from palmfolio_palm.covers.progress import TIME_LIMIT
from palmfolio_palm.pareto import pareto_rows
from palmfolio_palm.validation import (
    BoolArray,
    FloatArray,
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

_TOLERANCE = 1e-9
_SUBGRADIENT_STEPS = 400


@dataclass(frozen=True, eq=False)
class PopulationGaps:
    """Gaps of a portfolio over a population.

    Attributes:
        mean: mean additive gap.
        quantiles: level → smallest g such that at least this share of users has gap ≤ g.
        worst: largest gap of any user.
        worst_user: row of that user.
    """

    mean: float
    quantiles: dict[float, float]
    worst: float
    worst_user: int


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
    """

    indices: IntArray
    objective: float
    lower_bound: float
    optimal: bool
    gaps: PopulationGaps
    seconds: float


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
    """
    values = check_values(V, shifted=shifted)
    members = check_portfolio(P, len(values))
    weights = check_weight_rows(W, values.shape[1])
    share = _check_counts(counts, len(weights))
    for level in levels:
        _check_level(level, "levels")
    losses = _losses(values, values[members], weights, check_eps(eps))
    return _summarise(losses.min(axis=1), share, levels)


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
    """
    start = time.monotonic()
    values = check_values(V, shifted=shifted)
    k = check_size(k, len(values))
    weights = check_weight_rows(W, values.shape[1])
    share = _check_counts(counts, len(weights))
    check_choice(objective, ("mean", "quantile"), "objective")
    _check_level(level, "level")
    deadline = start + check_positive(time_limit, "time_limit")
    supply = np.arange(len(values), dtype=np.intp)
    if allowed is not None:
        supply = check_portfolio(allowed, len(values), "allowed")
    supply = supply[pareto_rows(values[supply])]
    losses = _losses(values, values[supply], weights, check_eps(eps))
    used = share > 0.0
    losses_used, share_used = losses[used], share[used]
    if objective == "mean":
        members, lower = _best_mean(losses_used, share_used, k, deadline)
    else:
        rng = np.random.default_rng(seed)
        members, lower = _best_quantile(losses_used, share_used, k, level, deadline, rng)
    reached = losses[:, members].min(axis=1)
    gaps = _summarise(reached, share, (level,))
    value = gaps.mean if objective == "mean" else gaps.quantiles[level]
    lower = min(max(0.0, lower), value)
    return PopulationPortfolio(
        indices=np.sort(supply[members]),
        objective=value,
        lower_bound=lower,
        optimal=value - lower <= 1e-6,
        gaps=gaps,
        seconds=time.monotonic() - start,
    )


def _check_counts(counts: ArrayLike | None, m: int) -> FloatArray:
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


def _check_level(level: float, name: str) -> None:
    if not 0.0 < level <= 1.0:
        raise ValueError(f"{name} must lie in (0, 1], got {level}")


def _losses(values: FloatArray, columns: FloatArray, weights: FloatArray, eps: float) -> FloatArray:
    """(m, s) gap of every user if served by every column alone."""
    best = (weights @ values.T).max(axis=1)
    losses: FloatArray = np.maximum(0.0, (1.0 - eps) * best[:, None] - weights @ columns.T)
    return losses


def _quantile(losses: FloatArray, share: FloatArray, level: float) -> float:
    order = np.argsort(losses, kind="stable")
    at = int(np.searchsorted(np.cumsum(share[order]), level - _TOLERANCE))
    return float(losses[order[min(at, len(order) - 1)]])


def _summarise(losses: FloatArray, share: FloatArray, levels: tuple[float, ...]) -> PopulationGaps:
    present = np.where(share > 0.0, losses, -1.0)
    worst = int(np.argmax(present))
    return PopulationGaps(
        mean=float(losses @ share),
        quantiles={level: _quantile(losses, share, level) for level in levels},
        worst=float(present[worst]),
        worst_user=worst,
    )


def _best_mean(
    losses: FloatArray, share: FloatArray, k: int, deadline: float
) -> tuple[IntArray, float]:
    """k-median: greedy and swaps for the portfolio, a Lagrangian bound, then HiGHS if needed."""
    members = _swap_mean(losses, share, _greedy_mean(losses, share, k), deadline)
    value = float(losses[:, members].min(axis=1) @ share)
    lower, multipliers = _lagrangian_bound(losses, share, k, value, deadline)
    if value - lower <= _TOLERANCE or time.monotonic() >= deadline:
        return members, lower
    better, bound = _median_program(losses, share, k, value, lower, multipliers, deadline)
    if better is not None and float(losses[:, better].min(axis=1) @ share) < value:
        members = better
    return members, max(lower, bound)


def _greedy_mean(losses: FloatArray, share: FloatArray, k: int) -> IntArray:
    reached = np.full(len(losses), np.inf)
    members: list[int] = []
    for _ in range(min(k, losses.shape[1])):
        total = share @ np.minimum(reached[:, None], losses)
        total[members] = np.inf
        members.append(int(np.argmin(total)))
        reached = np.minimum(reached, losses[:, members[-1]])
    return np.array(members, dtype=np.intp)


def _swap_mean(
    losses: FloatArray, share: FloatArray, members: IntArray, deadline: float
) -> IntArray:
    """Swap single members while that lowers the mean."""
    members = members.copy()
    value = float(losses[:, members].min(axis=1) @ share)
    improved = True
    while improved and time.monotonic() < deadline:
        improved = False
        for position in range(len(members)):
            rest = np.delete(members, position)
            kept = losses[:, rest].min(axis=1) if len(rest) else np.full(len(losses), np.inf)
            total = share @ np.minimum(kept[:, None], losses)
            column = int(np.argmin(total))
            if total[column] < value - 1e-12:
                members[position], value, improved = column, float(total[column]), True
    return members


def _lagrangian_bound(
    losses: FloatArray, share: FloatArray, k: int, value: float, deadline: float
) -> tuple[float, FloatArray]:
    """max over λ of Σ share·λ + the k smallest Σ_u share·min(0, loss − λ); valid for every λ."""
    two = np.partition(losses, min(1, losses.shape[1] - 1), axis=1)[:, :2]
    multipliers = two.max(axis=1)
    best, best_multipliers, scale = -np.inf, multipliers, 1.5
    for step in range(_SUBGRADIENT_STEPS):
        if time.monotonic() >= deadline:
            break
        reduced = np.minimum(0.0, losses - multipliers[:, None])
        total = share @ reduced
        chosen = np.argpartition(total, min(k, len(total)) - 1)[:k]
        bound = float(share @ multipliers + total[chosen].sum())
        if bound > best:
            best, best_multipliers = bound, multipliers
        elif step % 20 == 19:
            scale *= 0.7
        served = (reduced[:, chosen] < 0.0).sum(axis=1)
        direction = 1.0 - served
        norm = float((share * direction**2).sum())
        if norm <= 0.0 or value - best <= _TOLERANCE:
            break
        multipliers = multipliers + scale * max(value - bound, 1e-9) / norm * direction
    return best, best_multipliers


def _median_program(
    losses: FloatArray,
    share: FloatArray,
    k: int,
    value: float,
    lower: float,
    multipliers: FloatArray,
    deadline: float,
) -> tuple[IntArray | None, float]:
    """Exact k-median by mixed-integer programming, on columns that reduced costs cannot exclude."""
    m = len(losses)
    total = share @ np.minimum(0.0, losses - multipliers[:, None])
    kth = np.partition(total, min(k, len(total)) - 1)[min(k, len(total)) - 1]
    # Forcing a column in costs at least its total beyond the k-th smallest.
    columns = np.flatnonzero(lower + np.maximum(0.0, total - kth) <= value + _TOLERANCE)
    s = len(columns)
    if s == 0 or m * s > 400_000:
        return None, lower
    cost = np.concatenate([np.zeros(s), (share[:, None] * losses[:, columns]).ravel()])
    rows = np.arange(m * s)
    assign = csr_array((np.ones(m * s), (rows // s, rows)), shape=(m, m * s))
    opened = csr_array((np.ones(m * s), (rows, rows % s)), shape=(m * s, s))
    solution = milp(
        cost,
        constraints=[
            LinearConstraint(csr_array(hstack([csr_array((m, s)), assign])), 1.0, np.inf),
            LinearConstraint(csr_array(hstack([opened, -eye_array(m * s)])), 0.0, np.inf),
            LinearConstraint(
                csr_array(np.concatenate([np.ones(s), np.zeros(m * s)])[None, :]), 0.0, float(k)
            ),
        ],
        integrality=np.concatenate([np.ones(s, dtype=np.intp), np.zeros(m * s, dtype=np.intp)]),
        bounds=Bounds(0.0, 1.0),
        options={"time_limit": max(0.05, deadline - time.monotonic()), "mip_rel_gap": 1e-7},
    )
    bound = solution.mip_dual_bound
    proven = lower if bound is None or not np.isfinite(bound) else min(float(bound), value)
    if solution.x is None:
        return None, max(lower, proven)
    return columns[np.flatnonzero(solution.x[:s] > 0.5)], max(lower, proven)


def _best_quantile(
    losses: FloatArray,
    share: FloatArray,
    k: int,
    level: float,
    deadline: float,
    rng: np.random.Generator,
) -> tuple[IntArray, float]:
    """Bisect the distinct gaps; each trial asks whether k columns serve enough users within it."""
    members = _swap_mean(losses, share, _greedy_mean(losses, share, k), deadline)
    steps = np.unique(losses)
    low = 0
    high = int(np.searchsorted(steps, _quantile(losses[:, members].min(axis=1), share, level)))
    unproven = 0
    while max(low, unproven) < high and time.monotonic() < deadline:
        middle = (max(low, unproven) + high) // 2
        found, impossible = _serve_enough(
            losses <= steps[middle] + 1e-12, share, k, level, deadline, rng
        )
        if found is not None:
            members = found
            reached = _quantile(losses[:, members].min(axis=1), share, level)
            high = min(middle, int(np.searchsorted(steps, reached)))
        elif impossible:
            low = middle + 1
        else:
            unproven = middle + 1
    return members, float(steps[min(low, high)])


def _serve_enough(
    served: BoolArray,
    share: FloatArray,
    k: int,
    level: float,
    deadline: float,
    rng: np.random.Generator,
) -> tuple[IntArray | None, bool]:
    """Columns, at most k, that serve the share `level`; or None and whether that is proven."""
    unserved = (~served).astype(np.float64)
    noise = 1e-9 * rng.random(unserved.shape)
    members = _swap_mean(unserved, share, _greedy_mean(unserved + noise, share, k), deadline)
    if served[:, members].any(axis=1) @ share >= level - _TOLERANCE:
        return members, False
    m, s = served.shape
    solution = milp(
        np.concatenate([np.zeros(s), -share]),
        constraints=[
            LinearConstraint(
                csr_array(hstack([csr_array(served.astype(np.float64)), -eye_array(m)])),
                0.0,
                np.inf,
            ),
            LinearConstraint(
                csr_array(np.concatenate([np.ones(s), np.zeros(m)])[None, :]), 0.0, float(k)
            ),
        ],
        integrality=np.concatenate([np.ones(s, dtype=np.intp), np.zeros(m, dtype=np.intp)]),
        bounds=Bounds(0.0, 1.0),
        options={"time_limit": max(0.05, 0.5 * (deadline - time.monotonic()))},
    )
    bound = solution.mip_dual_bound
    if bound is not None and np.isfinite(bound) and -bound < level - 1e-7:
        return None, True
    if solution.x is None:
        return None, False
    members = np.flatnonzero(solution.x[:s] > 0.5).astype(np.intp)
    enough = served[:, members].any(axis=1) @ share >= level - _TOLERANCE
    return (members if enough else None), False
