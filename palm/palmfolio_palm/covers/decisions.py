"""Which candidates a portfolio serves within a target, decided one by one and all at once.

A candidate is within it when a mixture of members reaches it on every trait, and beyond it when
some weights say so (docs/algorithms.md, section 3). Regret matching plays the games of all
candidates together, traits against members; linear programs decide what it leaves.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from palmfolio_palm.certificates.solver import solve_game
from palmfolio_palm.validation import FloatArray, IntArray

# Rounds of regret matching. Of 1,000 candidates over 10 traits against 264 members 50 rounds decide
# 600, 100 rounds 800 and 200 rounds 930, each in a fifth of the time of a linear program.
_ROUNDS = 120
# Rounds between two looks at what is decided.
_LOOK = 10
# Entries of a temporary array: 4 MB, which stay in a cache.
_BLOCK_ENTRIES = 500_000


@dataclass(frozen=True, eq=False)
class Decision:
    """Which candidates some members serve within a target.

    Attributes:
        beyond: (b,) candidates that are not within it.
        weights: (b, d) weights at which they are not, Σ = 1.
        unknown: (u,) candidates of which neither is known.
        suspect: (u, d) weights at which these lose most, as far as was seen.
    """

    beyond: IntArray
    weights: FloatArray
    unknown: IntArray
    suspect: FloatArray


def decide(
    candidates: FloatArray,
    members: FloatArray,
    eps: float,
    delta: float,
    deadline: float,
    programs: int | None = None,
) -> Decision:
    """Which candidates (n, d) lose more than `delta` at `eps` with the members (k, d).

    Args:
        deadline: on the clock `time.monotonic`.
        programs: linear programs at most; default as many as it takes.
    """
    scale = max(float(np.abs(candidates).max()), float(np.abs(members).max())) or 1.0
    # What is asked of a mixture: to be as large on every trait.
    asked = ((1.0 - eps) * candidates - delta) / scale
    state = _State(asked, members / scale)
    for member in state.members:
        state.is_open &= ~(member >= asked).all(axis=1)
        if time.monotonic() >= deadline:
            return state.decision()
    left = np.flatnonzero(state.is_open)
    block = max(1, _BLOCK_ENTRIES // len(members))
    for start in range(0, len(left), block):
        state.match(left[start : start + block], deadline)
    state.solve(deadline, len(asked) if programs is None else programs)
    return state.decision()


class _State:
    """What is known of each candidate."""

    def __init__(self, asked: FloatArray, members: FloatArray) -> None:
        n, d = asked.shape
        self.asked, self.members = asked, members
        self.is_open = np.ones(n, dtype=bool)
        self.is_beyond = np.zeros(n, dtype=bool)
        self.weights = np.full((n, d), 1.0 / d)

    def decision(self) -> Decision:
        beyond = np.flatnonzero(self.is_beyond)
        unknown = np.flatnonzero(self.is_open)
        return Decision(beyond, self.weights[beyond], unknown, self.weights[unknown])

    def match(self, which: IntArray, deadline: float) -> None:
        """Regret matching (RM+), its means weighted by the round, until candidates are decided."""
        k, d = self.members.shape
        n = len(which)
        asked, weights = self.asked[which], np.full((n, d), 1.0 / d)
        shares = np.full((n, k), 1.0 / k)
        regret, own_regret = np.zeros((n, d)), np.zeros((n, k))
        reached, mean = np.zeros((n, d)), np.zeros((n, d))
        for count in range(1, _ROUNDS + 1):
            if len(which) == 0 or time.monotonic() >= deadline:
                return
            loss = asked - shares @ self.members
            regret += loss - (weights * loss).sum(axis=1, keepdims=True)
            weights = _matched(regret)
            utility = weights @ self.members.T
            own_regret += utility - (shares * utility).sum(axis=1, keepdims=True)
            shares = _matched(own_regret)
            reached += count * (shares @ self.members)
            mean += count * weights
            if count % _LOOK:
                continue
            total = mean / mean.sum(axis=1, keepdims=True)
            within = (reached / (count * (count + 1) / 2.0) >= asked).all(axis=1)
            beyond = (total * asked).sum(axis=1) > (total @ self.members.T).max(axis=1)
            self.weights[which] = total
            self.is_beyond[which[beyond & ~within]] = True
            stay = ~(within | beyond)
            self.is_open[which[~stay]] = False
            which, asked, weights, shares = which[stay], asked[stay], weights[stay], shares[stay]
            regret, own_regret = regret[stay], own_regret[stay]
            reached, mean = reached[stay], mean[stay]

    def solve(self, deadline: float, programs: int) -> None:
        """Linear programs for what is open."""
        for c in np.flatnonzero(self.is_open)[:programs]:
            if time.monotonic() >= deadline:
                return
            try:
                game = solve_game((self.asked[c] - self.members).T)
            except RuntimeError:
                # Nothing is learned of this candidate.
                continue
            self.is_open[c] = False
            self.weights[c] = game.weights
            best = float(self.asked[c] @ game.weights)
            # On the border the solver's accuracy decides nothing: the certificate will.
            self.is_beyond[c] = best > float((self.members @ game.weights).max())


def _matched(regret: FloatArray) -> FloatArray:
    """Forget negative regrets, in place, and play in proportion to the others."""
    np.maximum(regret, 0.0, out=regret)
    total = regret.sum(axis=1, keepdims=True)
    played = np.divide(regret, total, where=total > 0.0, out=np.zeros_like(regret))
    played += (total <= 0.0) / regret.shape[1]
    return np.asarray(played)
