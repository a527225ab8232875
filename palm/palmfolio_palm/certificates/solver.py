"""Linear programs over the simplex, solved so that awkward scales and near-ties do not fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog

from palmfolio_palm.validation import FloatArray

# Tried one after the other: HiGHS gives up on some programs whose rows differ in the last bits
# (status 4), where another method, its own tolerances or no presolve succeed.
_TIGHT = {"dual_feasibility_tolerance": 1e-10, "primal_feasibility_tolerance": 1e-10}
_ATTEMPTS: tuple[tuple[Any, Any], ...] = (
    ("highs", {**_TIGHT}),
    ("highs-ds", {**_TIGHT, "presolve": False}),
    ("highs", {}),
    ("highs-ds", {"presolve": False}),
    ("highs-ipm", {}),
)
# Entries below this lose nothing that matters to the best mixture, and a program with entries of
# -1e300 together with 1 has no common scale.
_LEAST_PAYOFF = -1e4


@dataclass(frozen=True, eq=False)
class Game:
    """A solved matrix game.

    Attributes:
        weights: (m,) of the rows, which maximise; Σ = 1.
        mixture: (k,) of the columns, which minimise; Σ = 1.
    """

    weights: FloatArray
    mixture: FloatArray


def solve_game(payoff: FloatArray) -> Game:
    """max over weights of min over columns of weights·payoff, for an (m, k) payoff of scale 1.

    Raises:
        RuntimeError: no method of the solver ends.
    """
    table: FloatArray = np.maximum(payoff, _LEAST_PAYOFF)
    try:
        return _solved(table)
    except RuntimeError:
        # Without the last bits rows are equal or they differ; the value moves by 1e-12 at most.
        return _solved(np.asarray(np.round(table, 12), dtype=np.float64))


def _solved(table: FloatArray) -> Game:
    m, k = table.shape
    cost = np.append(np.zeros(m), -1.0)
    A_ub = np.column_stack([-table.T, np.ones(k)])
    A_eq = np.append(np.ones(m), 0.0)[None, :]
    bounds = [(0.0, None)] * m + [(None, None)]
    message = ""
    for method, options in _ATTEMPTS:
        solution = linprog(
            cost,
            A_ub=A_ub,
            b_ub=np.zeros(k),
            A_eq=A_eq,
            b_eq=[1.0],
            bounds=bounds,
            method=method,
            options=options,
        )
        message = str(solution.message)
        if solution.x is None or solution.status != 0:
            continue
        weights = np.clip(solution.x[:m], 0.0, None)
        mixture = np.clip(-np.asarray(solution.ineqlin.marginals), 0.0, None)
        if weights.sum() > 0.0 and mixture.sum() > 0.0:
            return Game(weights / weights.sum(), mixture / mixture.sum())
    raise RuntimeError(f"linear program failed: {message}")
