"""The covering problem behind every portfolio: which policies are good enough for which weights.

A policy p covers w when w·v_p ≥ (1 − eps)·U(w) − delta. A portfolio is (eps, delta)-approximate
exactly when it covers all of its corner weights (docs/algorithms.md, sections 3 and 4).
"""

from __future__ import annotations

import contextlib
import copy
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.certificates.certificate import best_values
from palmfolio_palm.certificates.corners import CornersUnavailable, corners_of
from palmfolio_palm.grids import uniform_lattice
from palmfolio_palm.pareto import pareto_rows
from palmfolio_palm.validation import (
    TOLERANCE,
    BoolArray,
    FloatArray,
    Infeasible,
    IntArray,
    check_delta,
    check_eps,
    check_portfolio,
    check_values,
)

# Random weights of `scattered_demand`, and entries of their coverage rows at most (20 MB).
_SCATTERED, _ENTRIES = 4_000, 20_000_000


class CoverProblem:
    """One covering problem; columns are the Pareto-optimal policies that may be chosen.

    Attributes:
        supply: (s,) indices into V of the policies that may be chosen.
        columns: (s, d) their values.
        reference: (r, d) Pareto-optimal values of all candidates, which define U.
        is_free: whether every policy may be chosen, so that columns and reference are the same.
    """

    def __init__(
        self,
        V: ArrayLike,
        eps: float,
        delta: float,
        *,
        allowed: ArrayLike | None = None,
        shifted: bool = False,
    ) -> None:
        """Check the arguments; ValueError names the one that is wrong."""
        values = check_values(V, shifted=shifted)
        self.values = values
        self.eps, self.delta = check_eps(eps), check_delta(delta)
        self.reference = values[pareto_rows(values)]
        chosen = np.arange(len(values), dtype=np.intp)
        self.is_free = allowed is None
        if allowed is not None:
            chosen = check_portfolio(allowed, len(values), "allowed")
        self.supply: IntArray = chosen[pareto_rows(values[chosen])]
        self.columns: FloatArray = values[self.supply]
        self._is_positive = bool(values.min() >= 0.0)

    @property
    def d(self) -> int:
        """Number of traits."""
        return int(self.values.shape[1])

    def with_target(self, eps: float, delta: float) -> CoverProblem:
        """The same policies at another target."""
        other = copy.copy(self)
        other.eps, other.delta = check_eps(eps), check_delta(delta)
        return other

    def requirement(self, W: FloatArray) -> FloatArray:
        """(1 − eps)·U(w) − delta for every row of `W`, as (m,), less the rounding that is allowed.

        What is allowed is relative to the values that a user weighs: next to a relative loss, an
        absolute slack would let a user lose everything on a trait of tiny values.
        """
        best = best_values(self.reference, W)
        size = best if self._is_positive else best_values(np.abs(self.reference), W)
        required: FloatArray = (1.0 - self.eps) * best - self.delta - TOLERANCE * size
        return required

    def covers(self, W: FloatArray) -> BoolArray:
        """(m, s) whether column j covers weight i.

        Raises:
            Infeasible: when no column covers one of the weights.
        """
        utility = W @ self.columns.T
        covered: BoolArray = utility >= self.requirement(W)[:, None]
        uncovered = np.flatnonzero(~covered.any(axis=1))
        if uncovered.size:
            self._raise_infeasible(W[uncovered[0]])
        return covered

    def excess(self, members: IntArray, W: FloatArray) -> FloatArray:
        """By how much the columns `members` miss what each weight of `W` requires, as (m,)."""
        missing: FloatArray = self.requirement(W) - best_values(self.columns[members], W)
        return missing

    def _raise_infeasible(self, w: FloatArray) -> NoReturn:
        """Raise for the worst weight of the whole supply, or for `w` if that is out of reach."""
        W = w[None, :]
        with contextlib.suppress(CornersUnavailable):
            W = np.concatenate([W, corners_of(self.columns)])
        best = best_values(self.reference, W)
        gaps = (1.0 - self.eps) * best - best_values(self.columns, W)
        worst = int(np.argmax(gaps))
        raise Infeasible(W[worst], max(0.0, float(gaps[worst])), self.delta)


def starting_demand(d: int) -> FloatArray:
    """Unit weights, the centroid and a coarse uniform lattice, as (m, d)."""
    resolution = {1: 1, 2: 24, 3: 12, 4: 7, 5: 4, 6: 3}.get(d, 2)
    return np.concatenate([np.full((1, d), 1.0 / d), uniform_lattice(d, resolution)])


def scattered_demand(problem: CoverProblem, rng: np.random.Generator) -> FloatArray:
    """`starting_demand` and some thousand random weights, of few traits as well as of all."""
    d = problem.d
    start = starting_demand(d)
    if d <= 2:
        return start
    m = max(50, min(_SCATTERED, _ENTRIES // len(problem.supply)))
    inner = rng.dirichlet(np.ones(d), size=m - m // 2)
    outer = rng.dirichlet(np.full(d, 0.3), size=m // 2)
    return np.concatenate([start, inner, outer])
