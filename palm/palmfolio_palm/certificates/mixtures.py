"""A portfolio's gaps between two bounds: mixtures of members from above, weights from below.

Source: docs/algorithms.md, section 3. A mixture λ of the members (λ ≥ 0, Σλ = 1) has
Σ λ_p·w·v_p ≤ L(w) at every w. So nobody loses more against a candidate c than the largest entry of
(1 − eps)·c − Σ λ_p·v_p, and no larger share than the largest of 1 − (Σ λ_p·v_p + delta)/c. Such a
bound is true for any λ, whatever a solver's accuracy, and the best λ makes it exact. Mixtures for
all candidates at once are learned by multiplicative weights; linear programs settle the few that
remain. Its work does not grow with the corner weights, and wherever it stops its bounds are true.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from palmfolio_palm.certificates.solver import solve_game
from palmfolio_palm.validation import BoolArray, FloatArray, IntArray

# How far a bound may be above the gap and still confirm it, relative to the largest value. Linear
# programs are solved to about 1e-10.
CONFIRMED = 1e-9
# Rounds of multiplicative weights, after which linear programs are quicker: of 1,000 candidates
# against 150 members over 10 traits 100 rounds leave three open, in 30 ms (without: 493 programs).
_ROUNDS = 160
# Rounds between two looks at what is still open.
_LOOK = 10
# The step of round t is _STEP·√t times the mean loss so far, in units of the largest loss.
_STEP = 8.0
# So few open candidates are left to linear programs at once.
_FEW = 2
# Entries of a temporary array: 32 MB.
_BLOCK_ENTRIES = 4_000_000


@dataclass(frozen=True, eq=False)
class Check:
    """What is known about a gap.

    Attributes:
        upper: no user has a larger gap.
        weights: (m, d) weights with larger gaps than the one that was known, rising, Σ = 1.
        finished: whether `upper` is as low as the mixtures make it; False where time ran out.
    """

    upper: float
    weights: FloatArray
    finished: bool


def check_additive(
    candidates: FloatArray,
    members: FloatArray,
    eps: float,
    gap: float,
    deadline: float = math.inf,
    slack: float = CONFIRMED,
) -> Check:
    """Bound the additive gap at `eps` against all candidates (n, d); members are (k, d).

    Args:
        gap: that is known to be reached; smaller ones are not looked for.
        deadline: on the clock `time.monotonic`.
        slack: by which a bound may be above a gap that is reached, relative to the largest value.
    """
    scale = max(float(np.abs(candidates).max()), float(np.abs(members).max())) or 1.0
    game = _Games((1.0 - eps) * (candidates / scale), members / scale, ratio=False, delta=0.0)
    check = game.run(gap / scale, deadline, slack)
    return Check(check.upper * scale, check.weights, check.finished)


def check_multiplicative(
    candidates: FloatArray,
    members: FloatArray,
    delta: float,
    gap: float,
    deadline: float = math.inf,
    slack: float = CONFIRMED,
) -> Check:
    """Bound the multiplicative gap at `delta`; arguments as in `check_additive`, values ≥ 0."""
    # Only ratios on one trait count, so every trait is measured in units of its best value.
    units = candidates.max(axis=0)
    with np.errstate(over="ignore"):
        loss = np.minimum(delta / units, _MOST)
    game = _Games(candidates / units, members / units, ratio=True, delta=loss)
    check = game.run(gap, deadline, slack)
    # In these units a weight counts for its trait's best value.
    weights = check.weights * (units.min() / units)
    total = weights.sum(axis=1, keepdims=True)
    kept = total[:, 0] > 0.0
    return Check(check.upper, weights[kept] / total[kept], check.finished)


# A loss of this many times the best value leaves no gap; larger ones would overflow.
_MOST = 1e100


class _Games:
    """One matrix game for each candidate: traits against members, bounded from both sides.

    Args:
        candidates: (n, d) as they count: times 1 − eps for the additive gap.
        members: (k, d).
        ratio: whether shares of the candidate's value are lost, or differences.
        delta: (d,) or a number, that is lost without counting.
    """

    def __init__(
        self, candidates: FloatArray, members: FloatArray, *, ratio: bool, delta: FloatArray | float
    ) -> None:
        self._candidates, self._members = candidates, members
        self._ratio = ratio
        self._delta = np.broadcast_to(np.asarray(delta, dtype=np.float64), candidates.shape[1:])
        self._bounds = np.full(len(candidates), np.inf)
        self._tried = np.zeros(len(candidates), dtype=bool)
        self._found: list[FloatArray] = []
        self._reached, self._slack = 0.0, CONFIRMED

    def run(self, gap: float, deadline: float, slack: float) -> Check:
        """Bring both bounds together within `slack`, down to `gap` at least."""
        self._reached, self._slack = gap, slack
        # Single members are the cheapest mixtures, and enough for every candidate near one.
        for member in self._members:
            self._lower(member)
            if time.monotonic() >= deadline:
                break
        self._sweep(deadline)
        finished = self._programs(deadline)
        weights = np.array(self._found).reshape(-1, self._members.shape[1])
        return Check(max(0.0, float(self._bounds.max())), weights, finished)

    @property
    def _enough(self) -> float:
        """A bound up to this is low enough."""
        return self._reached + self._slack

    def _sweep(self, deadline: float) -> None:
        """Multiplicative weights on all open candidates, those of the largest bounds first."""
        which = np.flatnonzero(self._bounds > self._enough)
        which = which[np.argsort(-self._bounds[which], kind="stable")]
        block = max(1, _BLOCK_ENTRIES // max(self._members.shape))
        for start in range(0, len(which), block):
            some = which[start : start + block]
            self._learn(some[self._bounds[some] > self._enough], deadline)

    def _learn(self, which: IntArray, deadline: float) -> None:
        d = self._candidates.shape[1]
        weights = np.full((len(which), d), 1.0 / d)
        reached = np.zeros((len(which), d))
        for count in range(1, _ROUNDS + 1):
            if len(which) <= _FEW or time.monotonic() >= deadline:
                return
            own = self._candidates[which]
            asked = self._weights(weights, own)
            reached += self._members[np.argmax(asked @ self._members.T, axis=1)]
            loss = self._losses(own, reached / count)
            most = loss.max(axis=1)
            np.minimum.at(self._bounds, which, most)
            size = np.abs(np.where(np.isfinite(loss), loss, 0.0)).max(axis=1, keepdims=True)
            step = _STEP * math.sqrt(count) / np.maximum(np.minimum(size, 1.0), 1e-300)
            with np.errstate(over="ignore"):
                weights = np.exp(np.maximum(step * (loss - most[:, None]), -700.0))
            weights /= weights.sum(axis=1, keepdims=True)
            if count % _LOOK == 0:
                self._look(which, weights)
                stay = self._bounds[which] > self._enough
                which, weights, reached = which[stay], weights[stay], reached[stay]

    def _look(self, which: IntArray, weights: FloatArray) -> None:
        """Take note of the largest gap at the weights (m, d) of the candidates `which`."""
        own = self._candidates[which]
        asked = self._weights(weights, own)
        served = (asked @ self._members.T).max(axis=1)
        best = (asked * own).sum(axis=1)
        gap = 1.0 - (served + asked @ self._delta) / best if self._ratio else best - served
        at = int(np.argmax(np.where(np.isfinite(gap), gap, -np.inf)))
        if gap[at] > self._enough:
            self._note(asked[at])

    def _weights(self, shares: FloatArray, own: FloatArray) -> FloatArray:
        """Weights (m, d), up to a factor, at which traits have these shares of what is counted."""
        if not self._ratio:
            return shares
        # A share x_i of the utility is a weight x_i / c_i; a tiny c_i must not make it overflow.
        positive = own > 0.0
        least = np.where(positive, own, np.inf).min(axis=1, keepdims=True)
        return np.asarray(shares * np.divide(least, own, out=np.zeros_like(own), where=positive))

    def _programs(self, deadline: float) -> bool:
        """Linear programs for what is open; whether all that are needed were solved."""
        while (open_ := np.flatnonzero((self._bounds > self._enough) & ~self._tried)).size:
            if time.monotonic() >= deadline:
                return False
            c = open_[np.argmax(self._bounds[open_])]
            self._tried[c] = True
            candidate = self._candidates[c]
            traits = candidate > 0.0 if self._ratio else np.ones(len(candidate), dtype=bool)
            try:
                game = solve_game(self._payoff(candidate[traits], self._members[:, traits], traits))
            except RuntimeError:
                # Nothing is learned of this candidate: its bound by other mixtures stays.
                continue
            self._lower(game.mixture @ self._members)
            weights = np.zeros(len(candidate))
            weights[traits] = game.weights
            if self._ratio:
                # As a multiple that a tiny c_i cannot make overflow.
                weights[traits] *= candidate[traits].min() / candidate[traits]
            if weights.sum() > 0.0:
                self._note(weights)
        return True

    def _note(self, weights: FloatArray) -> None:
        """Raise the lower bound to the gap at some weights, where it is larger."""
        weights = weights / weights.sum()
        best = float((self._candidates @ weights).max())
        served = float((self._members @ weights).max())
        gap = 1.0 - (served + float(self._delta @ weights)) / best if self._ratio else best - served
        if gap > self._enough:
            self._reached = gap
            self._found.append(weights)

    def _payoff(self, candidate: FloatArray, members: FloatArray, traits: BoolArray) -> FloatArray:
        """(traits, k) what a user of one trait loses with one member."""
        if self._ratio:
            with np.errstate(over="ignore"):
                ratio: FloatArray = (1.0 - (members + self._delta[traits]) / candidate).T
            return ratio
        return np.asarray((candidate - members).T)

    def _lower(self, reached: FloatArray) -> None:
        """Take into account what a mixture reaches on every trait, (d,)."""
        loss = self._losses(self._candidates, reached)
        np.minimum(self._bounds, loss.max(axis=1), out=self._bounds)

    def _losses(self, candidates: FloatArray, reached: FloatArray) -> FloatArray:
        """(m, d) what users of single traits lose; -inf on traits where a candidate has nothing."""
        if not self._ratio:
            return np.asarray(candidates - reached)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            loss = 1.0 - (reached + self._delta) / candidates
        loss[candidates <= 0.0] = -np.inf
        return np.asarray(loss)
