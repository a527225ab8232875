"""The decision at the heart of every search: can k policies cover the whole simplex?"""

from __future__ import annotations

import time

import numpy as np

from palmfolio_palm.covers.completion import violations
from palmfolio_palm.covers.cover_problem import CoverProblem
from palmfolio_palm.covers.demand import Demand
from palmfolio_palm.covers.set_cover import exact_cover, local_search, round_up
from palmfolio_palm.validation import BoolArray, FloatArray, IntArray

# Swaps of one local search. It takes a small part of a proof's time and often makes it needless.
_STEPS = 1500
# Missed rows of the demand that join the core at a time: the core must stay small, as the time of
# a proof grows fast with its rows.
_ROWS_PER_ROUND = 8
# Weights a demand starts from at most; the rest comes back where it is violated. Their coverage
# rows are compared with one another, in so many steps at most: a second or two.
_MANY, _COMPARED = 3000, 2e9
# Weights from which a demand is not spread over the simplex again: it covers it well enough.
_ENOUGH = 500
# Seconds of the first proof at a size; doubled whenever that was too short.
_FIRST_PROOF_SECONDS = 4.0


class CoverSearch:
    """Constraint generation on two levels.

    Covers are sought on the core, a small set of rows. A cover that misses rows of the demand
    adds some of them to the core; a cover of the demand that misses corner weights adds these,
    sharpened, to the demand. Proofs on a core of a few hundred rows take seconds where proofs on
    the whole demand take minutes.

    Attributes:
        demand: all weights found so far.
        lower_bound: proven lower bound on the size of every cover.
    """

    def __init__(self, problem: CoverProblem, deadline: float, rng: np.random.Generator) -> None:
        """`deadline` is on the clock `time.monotonic`."""
        self.problem = problem
        self.demand = Demand(problem, rng, deadline)
        self.lower_bound = 1
        self._core: BoolArray = self.demand.covered
        self._deadline = deadline
        self._rng = rng
        self._proof_seconds = _FIRST_PROOF_SECONDS

    def out_of_time(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._deadline

    def begin(self, weights: FloatArray, *, seconds: float) -> None:
        """Fill the demand, from `weights` (m, d) among others, and bound the size from below.

        Raises:
            Infeasible: when no column covers some weights.
        """
        most = int(min(_MANY, max(100.0, (_COMPARED / len(self.problem.supply)) ** 0.5)))
        if len(weights) > most:
            weights = self._rng.choice(weights, most, replace=False)
        self.demand.add(weights)
        if len(weights) < _ENOUGH:
            self.demand.spread()
        deadline = min(self._deadline, time.monotonic() + seconds)
        bound, self._core = self.demand.fractional_bound(deadline)
        self.lower_bound = max(1, round_up(bound))

    def step(self, k: int) -> IntArray | None:
        """One round at size k: a certified cover of at most k columns, or None.

        After None the search knows more: new demand, or a higher lower bound, or how long the
        proof does not take. k is impossible once `lower_bound` > k.
        """
        members = self._cover_demand(k)
        if members is None:
            return None
        found = violations(self.problem, members, self._deadline)
        if len(found.weights) == 0:
            return members if found.complete else None
        self.demand.cut(members, found.weights)
        return None

    def _cover_demand(self, k: int) -> IntArray | None:
        """At most k columns that cover the demand, or None."""
        while not self.out_of_time():
            members = self._cover_core(k)
            if members is None:
                return None
            missed = self.demand.covered[~self.demand.covered[:, members].any(axis=1)]
            if len(missed) == 0:
                return members
            few = np.argsort(missed.sum(axis=1), kind="stable")[:_ROWS_PER_ROUND]
            self._core = np.concatenate([self._core, missed[few]])
        return None

    def _cover_core(self, k: int) -> IntArray | None:
        members = local_search(self._core, k, self._rng, steps=_STEPS, out_of_time=self.out_of_time)
        if members is not None:
            return members
        members = self._prove(k)
        if members is None and self.lower_bound <= k and not self.out_of_time():
            # The proof at k takes long. Raising the bound from below is easier, and is what is
            # reported should the time run out.
            if self.lower_bound < k:
                self._prove(self.lower_bound)
            self._proof_seconds *= 2.0
        return members

    def _prove(self, k: int) -> IntArray | None:
        """A cover of the core within k columns, or None and perhaps a higher lower bound."""
        left = self._deadline - time.monotonic()
        found = exact_cover(self._core, k, min(left, self._proof_seconds))
        if found.impossible:
            self.lower_bound = max(self.lower_bound, k + 1)
        return found.members
