"""The smallest mean gap over a population: the k-median problem (docs/algorithms.md, section 8)."""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, eye_array, hstack

from palmfolio_palm.validation import TOLERANCE, FloatArray, IntArray

# Steps of the subgradient method; after these the exact program takes over. More steps give a
# better bound only where the program is too large.
_SUBGRADIENT_STEPS = 400
# Users × columns of the exact program at most: it has as many variables, and a larger one would not
# end within a usual time limit. The Lagrangian bound is reported instead.
_MAX_ENTRIES = 400_000


def best_mean(
    losses: FloatArray, share: FloatArray, k: int, deadline: float
) -> tuple[IntArray, float]:
    """k-median: greedy and swaps for the portfolio, a Lagrangian bound, then HiGHS if needed."""
    members = improve_by_swaps(losses, share, greedy_mean(losses, share, k), deadline)
    value = float(losses[:, members].min(axis=1) @ share)
    lower, multipliers = _lagrangian_bound(losses, share, k, value, deadline)
    if value - lower <= TOLERANCE or time.monotonic() >= deadline:
        return members, lower
    better, bound = _median_program(losses, share, k, value, lower, multipliers, deadline)
    if better is not None and float(losses[:, better].min(axis=1) @ share) < value:
        members = better
    return members, max(lower, bound)


def greedy_mean(losses: FloatArray, share: FloatArray, k: int) -> IntArray:
    reached = np.full(len(losses), np.inf)
    members: list[int] = []
    for _ in range(min(k, losses.shape[1])):
        total = share @ np.minimum(reached[:, None], losses)
        total[members] = np.inf
        members.append(int(np.argmin(total)))
        reached = np.minimum(reached, losses[:, members[-1]])
    return np.array(members, dtype=np.intp)


def improve_by_swaps(
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
        if norm <= 0.0 or value - best <= TOLERANCE:
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
    columns = np.flatnonzero(lower + np.maximum(0.0, total - kth) <= value + TOLERANCE)
    s = len(columns)
    if s == 0 or m * s > _MAX_ENTRIES:
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
