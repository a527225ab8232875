"""The smallest quantile of the gap over a population (docs/algorithms.md, section 8)."""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, eye_array, hstack

from palmfolio_palm.population.gaps import quantile
from palmfolio_palm.population.mean import greedy_mean, improve_by_swaps
from palmfolio_palm.validation import TOLERANCE, BoolArray, FloatArray, IntArray


def best_quantile(
    losses: FloatArray,
    share: FloatArray,
    k: int,
    level: float,
    deadline: float,
    rng: np.random.Generator,
) -> tuple[IntArray, float]:
    """Bisect the distinct gaps; each trial asks whether k columns serve enough users within it."""
    members = improve_by_swaps(losses, share, greedy_mean(losses, share, k), deadline)
    steps = np.unique(losses)
    low = 0
    high = int(np.searchsorted(steps, quantile(losses[:, members].min(axis=1), share, level)))
    unproven = 0
    while max(low, unproven) < high and time.monotonic() < deadline:
        middle = (max(low, unproven) + high) // 2
        found, impossible = _serve_enough(
            losses <= steps[middle] + 1e-12, share, k, level, deadline, rng
        )
        if found is not None:
            members = found
            reached = quantile(losses[:, members].min(axis=1), share, level)
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
    members = improve_by_swaps(unserved, share, greedy_mean(unserved + noise, share, k), deadline)
    if served[:, members].any(axis=1) @ share >= level - TOLERANCE:
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
    enough = served[:, members].any(axis=1) @ share >= level - TOLERANCE
    return (members if enough else None), False
