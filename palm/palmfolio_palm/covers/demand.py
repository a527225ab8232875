"""The weights a covering problem is solved on, grown until they decide the problem.

A finite demand relaxes the problem over the simplex. How much it proves depends on its rows: a
weight that few policies cover says more than one that many cover, so new weights are moved to
where fewer policies cover them before they are kept, and rows that contain another are dropped.
"""

from __future__ import annotations

import math
import time

import numpy as np

from palmfolio_palm.covers.cover_problem import CoverProblem, starting_demand
from palmfolio_palm.covers.set_cover import contains_any, fractional_cover, minimal_rows
from palmfolio_palm.validation import BoolArray, FloatArray, IntArray

# Entries of the coverage matrix that one sharpening round may fill: a round is repeated 36 times,
# and with more entries a step of the search would take seconds.
_ENTRIES = 1_500_000
# Violated weights that are added at a time, the worst ones, and how often each is sharpened: the
# moves are random, so several tries find rows that fewer policies cover.
_CUTS = 60
_COPIES = 3


class Demand:
    """Weights with inclusion-minimal coverage rows.

    Attributes:
        weights: (m, d).
        covered: (m, s) which columns cover which weights.
    """

    def __init__(
        self, problem: CoverProblem, rng: np.random.Generator, deadline: float = math.inf
    ) -> None:
        """An empty demand; see `spread` and `add`.

        After the `deadline`, on the clock `time.monotonic`, nothing is added: a smaller demand
        proves less, and nothing that is wrong.
        """
        self.problem = problem
        self.rng = rng
        self._deadline = deadline
        self.weights: FloatArray = np.empty((0, problem.d))
        self.covered: BoolArray = np.empty((0, len(problem.supply)), dtype=bool)

    def add(self, W: FloatArray) -> None:
        """Add weights; rows that contain another row are dropped.

        Raises:
            Infeasible: when no column covers one of them.
        """
        if len(W) == 0 or (len(self.weights) and time.monotonic() >= self._deadline):
            return
        rows = self.problem.covers(W)
        keep = minimal_rows(rows)
        keep = keep[~contains_any(rows[keep], self.covered)]
        stay = ~contains_any(self.covered, rows[keep])
        self.weights = np.concatenate([self.weights[stay], W[keep]])
        self.covered = np.concatenate([self.covered[stay], rows[keep]])

    def spread(self) -> None:
        """Add weights from all over the simplex, moved to where few policies cover them."""
        self.add(starting_demand(self.problem.d))
        if time.monotonic() >= self._deadline:
            return
        self.add(self._sharpen(self._scatter(1000), np.ones(len(self.problem.supply)), 0.1))

    def separate(self, x: FloatArray) -> bool:
        """Add weights that the fractional cover `x` (s,) fails to cover; whether any was found."""
        W = self._sharpen(self._scatter(600), x + 1e-4, 0.1)
        missed = W[self.problem.covers(W) @ x < 1.0 - 1e-6]
        self.add(missed)
        return len(missed) > 0

    def cut(self, members: IntArray, violated: FloatArray) -> None:
        """Add weights which the columns `members` fail to cover, given some, worst first."""
        price = np.full(len(self.problem.supply), 1e-3)
        price[members] = 1.0
        chosen = violated[:_CUTS]
        self.add(chosen)
        self.add(self._sharpen(np.repeat(chosen, _COPIES, axis=0), price, 0.03))

    def fractional_bound(self, deadline: float) -> tuple[float, BoolArray]:
        """Lower bound on the size of every portfolio, and the rows that make it.

        Adds weights while they raise the bound. `deadline` is on the clock `time.monotonic`.
        """
        bound, stalled, support = 0.0, 0, self.covered[:0]
        while stalled < 3:
            found = fractional_cover(self.covered, deadline - time.monotonic())
            stalled = 0 if found.bound > bound + 1e-3 else stalled + 1
            if found.bound > bound:
                bound, support = found.bound, self.covered[found.support]
            if found.x is None or time.monotonic() >= deadline or not self.separate(found.x):
                break
        return bound, support

    def _scatter(self, m: int) -> FloatArray:
        m = max(20, min(m, _ENTRIES // len(self.problem.supply)))
        d = self.problem.d
        inner = self.rng.dirichlet(np.ones(d), size=m - m // 2)
        outer = self.rng.dirichlet(np.full(d, 0.3), size=m // 2)
        return np.concatenate([inner, outer])

    def _sharpen(self, W: FloatArray, price: FloatArray, reach: float) -> FloatArray:
        """Move each weight at random, keeping moves that lower the price of what covers it."""
        m, d = W.shape
        current = self.problem.covers(W) @ price
        for step in np.geomspace(reach, 1e-4, 36):
            if time.monotonic() >= self._deadline:
                break
            move = self.rng.normal(size=(m, d)) * step * self.rng.random((m, 1))
            moved = np.clip(W + move - move.mean(axis=1, keepdims=True), 0.0, None)
            moved /= moved.sum(axis=1, keepdims=True)
            value = self.problem.covers(moved) @ price
            better = value <= current + 1e-12
            W = np.where(better[:, None], moved, W)
            current = np.where(better, value, current)
        return W
