"""The weights at which single candidates are furthest above the members, by linear programs."""

from __future__ import annotations

import numpy as np

from palmfolio_palm.certificates.solver import solve_game
from palmfolio_palm.validation import FloatArray


def additive_maximisers(candidates: FloatArray, members: FloatArray, eps: float) -> FloatArray:
    """For each candidate its `additive_maximiser`, as (n, d)."""
    return np.array([additive_maximiser(c, members, eps) for c in candidates])


def additive_maximiser(candidate: FloatArray, members: FloatArray, eps: float) -> FloatArray:
    """The weights (d,) at which one candidate is furthest above the members: max over w ∈ Δ of
    min over p of w·((1 − eps)·c − v_p)."""
    # The solver's tolerances are absolute: solve on values of scale 1.
    scale = max(float(np.abs(candidate).max()), float(np.abs(members).max())) or 1.0
    return solve_game(((1.0 - eps) * (candidate / scale) - members / scale).T).weights


def multiplicative_maximisers(
    candidates: FloatArray, members: FloatArray, delta: float | FloatArray
) -> FloatArray:
    """For each c ≠ 0 the weights at which 1 − (L + delta)/w·c is largest, as (m, d).

    With shares x_i = w_i·c_i / w·c it is the game max over x of min over p of
    Σ x_i·(1 − (v_pi + delta)/c_i), over the traits where c_i > 0. Expects values ≥ 0.
    """
    weights = []
    loss = np.broadcast_to(delta, candidates.shape[1:])
    for c in candidates[candidates.max(axis=1) > 0.0]:
        traits = c > 0.0
        with np.errstate(over="ignore"):
            payoff = 1.0 - (members[:, traits] + loss[traits]) / c[traits]
        shares = solve_game(payoff.T).weights
        # w_i ∝ x_i / c_i; multiplying by the smallest c_i keeps a denormal one from overflowing.
        row = np.zeros(len(c))
        row[traits] = shares * (c[traits].min() / c[traits])
        if row.sum() > 0.0:
            weights.append(row / row.sum())
    return np.array(weights).reshape(-1, candidates.shape[1])
