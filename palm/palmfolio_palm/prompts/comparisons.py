"""The comparisons of two policies, at some weights, on which a portfolio's gap can rest.

Source: docs/algorithms.md, section 6. A gap is U(w) − L(w) at its worst weights, so it compares the
best policy there with members that are best there among members. The prompts say which policies and
weights these may be, for the portfolio and for each that one exchange of a member makes and that
could have been chosen in its place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from palmfolio_palm.prompts.cells import Cells
from palmfolio_palm.validation import FloatArray, IntArray

# Standard errors within which two policies or two gaps count as the same.
_ALIKE = 3.0
# The share of the probability of an error that goes into leaving out who is nobody's best.
SCREENING = 0.1


@dataclass(frozen=True, eq=False)
class Sample:
    """Rewards at the weights of the cells.

    Attributes:
        utility: (m, n) mean utility of each policy at each weight.
        centred: (n, N, d) rewards less their means.
        cells: the weights.
        eps: relative loss that is allowed.
    """

    utility: FloatArray
    centred: FloatArray
    cells: Cells
    eps: float

    @property
    def prompts(self) -> int:
        """N, the independent prompts or groups of prompts."""
        return int(self.centred.shape[1])

    def deviations(self, weight: int | np.intp, policies: IntArray) -> FloatArray:
        """(p, N) utility on each prompt less its mean."""
        deviations: FloatArray = self.centred[policies] @ self.cells.weights[weight]
        return deviations

    def unseen(self, weight: int | np.intp) -> float:
        """The variance of a difference that no prompt may have shown: one event in N prompts."""
        w = self.cells.weights[weight]
        return float(w @ w) / self.prompts**2

    def errors(
        self, weight: int | np.intp, first: IntArray, second: IntArray, eps: float = 0.0
    ) -> FloatArray:
        """(f, s) standard errors of (1 − eps)·u_first − u_second at a weight."""
        scale = self.prompts * (self.prompts - 1)
        a = (1.0 - eps) * self.deviations(weight, first)
        b = self.deviations(weight, second)
        variance = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * a @ b.T
        errors: FloatArray = np.sqrt(np.maximum(variance / scale, 0.0) + self.unseen(weight))
        return errors

    def quantile(self, normal: float) -> float:
        """Student's quantile of the probability that `normal` standard errors have."""
        return float(-stdtrit(self.prompts - 1, ndtr(-normal)))


@dataclass(frozen=True, eq=False)
class Comparisons:
    """Who may be compared with whom.

    Attributes:
        best: (q, n) whether a policy may be best for some user of a cell.
        rival: (m, n) the same for the cells around a weight.
        member: (m, n) whether the gap may rest on what this policy gives at a weight.
    """

    best: FloatArray
    rival: FloatArray
    member: FloatArray


def comparisons(sample: Sample, members: IntArray, level: float) -> Comparisons:
    """The comparisons on which the gap of `members` can rest."""
    best, rival = _best(sample, SCREENING * (1.0 - level))
    return Comparisons(best, rival, _members(sample, members))


def _best(sample: Sample, error: float) -> tuple[FloatArray, FloatArray]:
    """Which policies may be best in each cell: none is surely better in the whole cell."""
    weights, n = sample.utility.shape
    leaders = np.unique(sample.utility.argmax(axis=1))
    sure = sample.quantile(float(-ndtri(error / (n * weights))))
    everyone = np.arange(n)
    worse = np.empty((weights, len(leaders), n), dtype=bool)
    for m in range(weights):
        lead = sample.utility[m][leaders][:, None] - sample.utility[m]
        worse[m] = lead > sure * sample.errors(m, leaders, everyone)
    # A difference of means is linear and its error convex: what holds at the corners holds between.
    best = np.array([~worse[corners].all(axis=0).any(axis=0) for corners in sample.cells.corners])
    rival = np.zeros((weights, n), dtype=bool)
    for corners, kept in zip(sample.cells.corners, best, strict=True):
        rival[corners] |= kept
    return best, rival


def _members(sample: Sample, members: IntArray) -> FloatArray:
    """Which policies' values a gap may rest on, at each weight, with one exchange at most."""
    utility = sample.utility
    weights = range(len(utility))
    top = (1.0 - sample.eps) * utility.max(axis=1)
    lead = utility.argmax(axis=1)
    own = utility[:, members]
    alike = sample.quantile(_ALIKE) * np.array(
        [sample.errors(m, lead[m : m + 1], members, sample.eps).max() for m in weights]
    )
    gap = top - own.max(axis=1)
    largest = gap.max()
    near = (gap >= largest - alike)[:, None] & (
        own >= own.max(axis=1, keepdims=True) - alike[:, None]
    )
    used = np.zeros(utility.shape, dtype=bool)
    used[:, members] = near
    for position in range(len(members)):
        others = np.delete(members, position)
        rest = utility[:, others].max(axis=1, initial=-np.inf)
        changed = top[:, None] - np.maximum(rest[:, None], utility)
        worst = changed.max(axis=0)
        possible = worst <= largest + alike.max()
        at = (changed >= worst - alike[:, None]) & possible
        reached = utility >= (rest - alike)[:, None]
        used |= at & reached
        used[:, others] |= at.any(axis=1)[:, None] & reached[:, others]
    return used
