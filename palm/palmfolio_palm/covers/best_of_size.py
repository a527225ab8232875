"""The best portfolio of a given size and the curve of gap against size, with lower bounds."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.certificates.certificate import Certificate, certificate
from palmfolio_palm.covers.cover_problem import CoverProblem, starting_demand
from palmfolio_palm.covers.progress import TIME_LIMIT, Progress, ProgressCallback
from palmfolio_palm.covers.search import CoverSearch
from palmfolio_palm.validation import (
    FloatArray,
    Infeasible,
    IntArray,
    check_choice,
    check_positive,
    check_size,
)

Objective = Literal["additive", "multiplicative"]

# A gap within this of its lower bound counts as optimal, times the largest value where the gap is
# additive: rewards are not measured more exactly, and the bisection takes 20 steps to it.
GAP_TOLERANCE = 1e-6
# Demand weights that one trial hands on to the next one: they save finding them again.
_POOL = 4000
# Once the interval is this share of the gap, ask directly for anything better: each further halving
# would cost as much as that proof.
_NARROW = 0.02


@dataclass(frozen=True, eq=False)
class BestPortfolio:
    """Result of `best_portfolio`.

    Attributes:
        k: the size asked for.
        indices: at most k rows of V, increasing.
        gap: the portfolio's exact gap over the whole simplex.
        lower_bound: no portfolio of k policies has a smaller gap.
        optimal: gap and lower_bound agree within 1e-6 (times the largest value, if additive).
        certificate: the portfolio's exact certificate.
        seconds: wall-clock time taken.

    Example:
        >>> best = best_portfolio([[1, 0], [0, 1], [0.6, 0.6]], 2)
        >>> round(best.gap, 6), round(best.lower_bound, 5), best.optimal
        (0.1, 0.1, True)
    """

    k: int
    indices: IntArray
    gap: float
    lower_bound: float
    optimal: bool
    certificate: Certificate
    seconds: float


def best_portfolio(
    V: ArrayLike,
    k: int,
    *,
    objective: Objective = "additive",
    eps: float = 0.0,
    delta: float = 0.0,
    time_limit: float = TIME_LIMIT,
    allowed: ArrayLike | None = None,
    shifted: bool = False,
    progress: ProgressCallback | None = None,
    seed: int = 0,
) -> BestPortfolio:
    """The portfolio of at most k policies with the smallest worst gap.

    Args:
        V: (n, d) value vectors of the candidates, in [0, 1] unless `shifted`.
        k: number of members, 1 to n.
        objective: "additive" minimises the additive gap at `eps`; "multiplicative" the
            multiplicative gap at `delta`.
        eps: relative loss in [0, 1).
        delta: additive loss ≥ 0.
        time_limit: seconds after which the best portfolio so far is returned with its bound.
        allowed: indices of the policies that may be chosen; default all.
        shifted: accept finite values outside [0, 1].
        progress: called after every step; an exception it raises ends the search.
        seed: of the heuristics; the bound does not depend on it.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> best_portfolio([[1, 0], [0, 1], [0.6, 0.6]], 1).indices.tolist()
        [2]
    """
    problem = _problem(V, eps, delta, objective, allowed, shifted)
    k = check_size(k, len(problem.values))
    limit = check_positive(time_limit, "time_limit")
    search = _GapSearch(problem, objective, np.random.default_rng(seed), progress)
    return search.solve(k, limit, np.empty(0, dtype=np.intp))


def tradeoff_curve(
    V: ArrayLike,
    k_max: int,
    *,
    objective: Objective = "additive",
    eps: float = 0.0,
    delta: float = 0.0,
    time_limit: float = TIME_LIMIT,
    allowed: ArrayLike | None = None,
    shifted: bool = False,
    progress: ProgressCallback | None = None,
    seed: int = 0,
) -> list[BestPortfolio]:
    """`best_portfolio` for k = 1, …, k_max, in one time limit.

    Gaps and lower bounds never rise with k. Arguments and errors otherwise as in
    `best_portfolio`.

    Example:
        >>> curve = tradeoff_curve([[1, 0], [0, 1], [0.6, 0.6]], 3)
        >>> [round(point.gap, 6) for point in curve]
        [0.4, 0.1, 0.0]
    """
    start = time.monotonic()
    problem = _problem(V, eps, delta, objective, allowed, shifted)
    k_max = check_size(k_max, len(problem.values), "k_max")
    limit = check_positive(time_limit, "time_limit")
    search = _GapSearch(problem, objective, np.random.default_rng(seed), progress)
    points: list[BestPortfolio] = []
    members = np.empty(0, dtype=np.intp)
    for k in range(1, k_max + 1):
        left = limit - (time.monotonic() - start)
        points.append(search.solve(k, max(0.05, left / (k_max - k + 1)), members))
        members = search.members
    # A bound for k policies bounds fewer policies too.
    lower = 0.0
    for i in range(k_max - 1, -1, -1):
        point = points[i]
        lower = max(lower, min(point.lower_bound, point.gap))
        optimal = point.gap - lower <= search.tolerance
        points[i] = replace(point, lower_bound=lower, optimal=optimal)
    return points


def _problem(
    V: ArrayLike,
    eps: float,
    delta: float,
    objective: str,
    allowed: ArrayLike | None,
    shifted: bool,
) -> CoverProblem:
    check_choice(objective, ("additive", "multiplicative"), "objective")
    problem = CoverProblem(V, eps, delta, allowed=allowed, shifted=shifted)
    reference = problem.values
    if objective == "multiplicative" and (
        reference.min() < 0.0 or reference.max(axis=0).min() <= 0.0
    ):
        raise ValueError(
            "V needs values ≥ 0 and a positive value on every trait for the objective "
            "'multiplicative'; use 'additive'"
        )
    return problem


class _GapSearch:
    """Bisection on the gap; every trial value is a covering problem with k columns."""

    def __init__(
        self,
        problem: CoverProblem,
        objective: str,
        rng: np.random.Generator,
        progress: ProgressCallback | None,
    ) -> None:
        self.problem = problem
        self.additive = objective == "additive"
        self.rng = rng
        self.progress = progress
        self.members: IntArray = np.empty(0, dtype=np.intp)
        self.pool: FloatArray = starting_demand(problem.d)
        self.upper, self.lower = np.inf, 0.0
        self.tolerance = GAP_TOLERANCE
        if self.additive:
            self.tolerance *= float(np.abs(problem.values).max()) or 1.0

    def solve(self, k: int, seconds: float, previous: IntArray) -> BestPortfolio:
        """The best portfolio of k columns, starting from the `previous` columns."""
        start = time.monotonic()
        self.lower = 0.0
        self._start(k, previous)
        self._report(k, start)
        hopeful = 0.0
        while self.upper - self.lower > self.tolerance:
            left = seconds - (time.monotonic() - start)
            if left <= 0.0:
                break
            low = max(self.lower, hopeful)
            # Bisect while that is quick; then ask directly for anything better.
            narrow = self.upper - low < _NARROW * self.upper
            trial = self.upper - 0.9 * self.tolerance if narrow else 0.5 * (low + self.upper)
            if not self._attempt(k, trial, left if narrow else max(0.5, 0.15 * left)):
                hopeful = trial
            self._report(k, start)
        indices = np.sort(self.problem.supply[self.members])
        lower = min(self.lower, self.upper)
        return BestPortfolio(
            k=k,
            indices=indices,
            gap=self.upper,
            lower_bound=lower,
            optimal=self.upper - lower <= self.tolerance,
            certificate=self._certificate(self.members),
            seconds=time.monotonic() - start,
        )

    def _start(self, k: int, previous: IntArray) -> None:
        """A first portfolio: add the best policy of the worst user until there are k."""
        columns = self.problem.columns
        members = previous
        if len(members) == 0:
            share = (self.pool @ columns.T).min(axis=0)
            members = np.array([int(np.argmax(share))], dtype=np.intp)
        while len(members) < k:
            worst = self._worst_weights(members)
            added = int(np.argmax(columns @ worst))
            if added in members:
                break
            members = np.append(members, added)
        self.members = members
        self.upper = self._gap(members)

    def _attempt(self, k: int, trial: float, seconds: float) -> bool:
        """Decide whether k columns reach the gap `trial`; False when time ran out first."""
        deadline = time.monotonic() + seconds
        search = CoverSearch(self._at(trial), deadline, self.rng)
        try:
            search.begin(self.pool, seconds=0.3 * seconds)
            while search.lower_bound <= k:
                if search.out_of_time():
                    return False
                found = search.step(k)
                if found is not None:
                    self.members, self.upper = found, self._gap(found)
                    return True
        except Infeasible:
            pass
        finally:
            kept = np.concatenate([search.demand.weights, self.pool])[:_POOL]
            self.pool = np.unique(kept, axis=0)
        self.lower = max(self.lower, trial)
        return True

    def _at(self, gap: float) -> CoverProblem:
        if self.additive:
            return self.problem.with_target(self.problem.eps, gap)
        return self.problem.with_target(min(gap, 1.0 - 1e-12), self.problem.delta)

    def _certificate(self, members: IntArray) -> Certificate:
        indices = self.problem.supply[members]
        return certificate(
            self.problem.values, indices, self.problem.eps, self.problem.delta, shifted=True
        )

    def _gap(self, members: IntArray) -> float:
        exact = self._certificate(members)
        gap = exact.additive if self.additive else exact.multiplicative
        assert gap is not None
        return gap

    def _worst_weights(self, members: IntArray) -> FloatArray:
        exact = self._certificate(members)
        if self.additive or exact.worst_weights_multiplicative is None:
            return exact.worst_weights_additive
        return exact.worst_weights_multiplicative

    def _report(self, k: int, start: float) -> None:
        if self.progress is not None:
            self.progress(Progress("gap", time.monotonic() - start, self.upper, self.lower, k))
