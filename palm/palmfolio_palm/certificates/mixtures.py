"""Upper bounds on a portfolio's gaps from mixtures of its members: the second way to a certificate.

Source: docs/algorithms.md, section 3. A mixture λ of the members (λ ≥ 0, Σλ = 1) has
Σ λ_p·w·v_p ≤ L(w) at every w. So nobody loses more against a candidate c than the largest entry of
(1 − eps)·c − Σ λ_p·v_p, and no larger share than the largest of 1 − (Σ λ_p·v_p + delta)/c. Such a
bound is true for any λ, whatever a solver's accuracy, and the best λ makes it exact. One mixture
bounds all candidates, so few linear programs are needed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from palmfolio_palm.certificates.solver import solve_game
from palmfolio_palm.validation import BoolArray, FloatArray

# How far a bound may be above the gap and still confirm it, relative to the largest value. Linear
# programs are solved to about 1e-10.
CONFIRMED = 1e-9


@dataclass(frozen=True, eq=False)
class Check:
    """What mixtures prove about a gap.

    Attributes:
        upper: no user has a larger gap; None when time ran out before that was known.
        weights: (m, d) weights at which a solver found a larger gap than the one checked, Σ = 1.
    """

    upper: float | None
    weights: FloatArray


def check_additive(
    candidates: FloatArray, members: FloatArray, eps: float, gap: float, deadline: float
) -> Check:
    """Check an additive gap at `eps` against all candidates (n, d); members are (k, d).

    `deadline` is on the clock `time.monotonic`.
    """
    scale = float(np.abs(candidates).max()) or 1.0
    rows, own = (1.0 - eps) * (candidates / scale), members / scale
    proof = _Proof(rows, own, ratio=False, delta=0.0)
    check = proof.run(gap / scale, deadline)
    upper = None if check.upper is None else check.upper * scale
    return Check(upper, check.weights)


def check_multiplicative(
    candidates: FloatArray, members: FloatArray, delta: float, gap: float, deadline: float
) -> Check:
    """Check a multiplicative gap at `delta`; arguments as in `check_additive`, values ≥ 0."""
    # Only ratios on one trait count, so every trait is measured in units of its best value.
    units = candidates.max(axis=0)
    with np.errstate(over="ignore"):
        proof = _Proof(candidates / units, members / units, ratio=True, delta=delta / units)
        check = proof.run(gap, deadline)
        # In these units a weight counts for its trait's best value.
        weights = check.weights * (units.min() / units)
    total = weights.sum(axis=1, keepdims=True)
    kept = total[:, 0] > 0.0
    return Check(check.upper, weights[kept] / total[kept])


class _Proof:
    """Bounds of all candidates, lowered by one mixture after the other."""

    def __init__(
        self, candidates: FloatArray, members: FloatArray, *, ratio: bool, delta: FloatArray | float
    ) -> None:
        self._candidates, self._members = candidates, members
        self._ratio, self._delta = ratio, delta
        self._bounds = np.full(len(candidates), np.inf)

    def run(self, gap: float, deadline: float) -> Check:
        """Lower the bounds until none is above `gap`, or as far as that is possible."""
        allowed = gap + CONFIRMED
        # Single members are the cheapest mixtures, and enough for every candidate near one.
        for member in self._members:
            self._lower(member)
        found: list[FloatArray] = []
        tried = np.zeros(len(self._bounds), dtype=bool)
        while (open_ := np.flatnonzero((self._bounds > allowed) & ~tried)).size:
            if time.monotonic() >= deadline:
                return Check(None, np.array(found).reshape(-1, self._members.shape[1]))
            c = open_[np.argmax(self._bounds[open_])]
            tried[c] = True
            candidate = self._candidates[c]
            traits = candidate > 0.0 if self._ratio else np.ones(len(candidate), dtype=bool)
            game = solve_game(self._payoff(candidate[traits], self._members[:, traits], traits))
            self._lower(game.mixture @ self._members)
            if self._bounds[c] > allowed:
                weights = np.zeros(len(candidate))
                weights[traits] = game.weights
                if self._ratio:
                    # w_i ∝ x_i / c_i, as a multiple that a tiny c_i cannot make overflow.
                    weights[traits] *= candidate[traits].min() / candidate[traits]
                if weights.sum() > 0.0:
                    found.append(weights / weights.sum())
        weights_found = np.array(found).reshape(-1, self._members.shape[1])
        return Check(max(0.0, float(self._bounds.max())), weights_found)

    def _payoff(self, candidate: FloatArray, members: FloatArray, traits: BoolArray) -> FloatArray:
        """(traits, k) what a user of one trait loses with one member."""
        payoff: FloatArray = (candidate - members).T
        if self._ratio:
            delta = np.broadcast_to(self._delta, traits.shape)[traits]
            payoff = (1.0 - (members + delta) / candidate).T
        return payoff

    def _lower(self, reached: FloatArray) -> None:
        """Take into account what a mixture reaches on every trait, (d,)."""
        if self._ratio:
            with np.errstate(divide="ignore", invalid="ignore"):
                loss = 1.0 - (reached + self._delta) / self._candidates
            loss[self._candidates <= 0.0] = -np.inf
        else:
            loss = self._candidates - reached
        np.minimum(self._bounds, loss.max(axis=1), out=self._bounds)
