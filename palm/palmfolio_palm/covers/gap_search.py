"""The search for k policies of a small gap (docs/algorithms.md, section 4)."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from palmfolio_palm.certificates.certificate import Certificate, best_values, certificates
from palmfolio_palm.covers.completion import GRACE, violations
from palmfolio_palm.covers.cover_problem import CoverProblem, starting_demand
from palmfolio_palm.covers.progress import Progress, ProgressCallback
from palmfolio_palm.covers.search import CoverSearch
from palmfolio_palm.covers.set_cover import (
    few_columns,
    fractional_cover,
    local_search,
    minimal_rows,
    round_up,
    row_packing,
)
from palmfolio_palm.validation import FloatArray, Infeasible, IntArray

# A gap within this of its lower bound counts as optimal, times the largest value where the gap is
# additive: rewards are not measured more exactly, and the bisection takes 20 steps to it.
GAP_TOLERANCE = 1e-6
# Demand weights that one trial hands on to the next one: they save finding them again.
_POOL = 4000
# Once the interval is this share of the gap, ask directly for anything better: each further halving
# would cost as much as that proof.
_NARROW = 0.02
# Shares of the time until which better portfolios are sought on the demand, and the gap bounded.
_IMPROVED, _BOUNDED = 0.3, 0.45
# Random weights of that demand, and entries of its losses at most: 64 MB.
_SCATTERED, _ENTRIES = 1_000, 8_000_000
# Trial gaps of one greedy search on it, portfolios in a row that may be no better before it ends,
# and violated weights of each that join it.
_TRIALS, _WASTED, _JOINING = 12, 6, 30
# Seconds that a certificate has when time is over.
_LEAST = 0.05
# Where greedy finds none, swaps are tried on demands of so many entries, so many times.
_SWAPPED, _SWAPS = 2_000_000, 150
# The first lower bound is known to this share of the gap; weights it uses at most, and steps that
# these may be compared in.
_ROUGH, _HARD, _COMPARED = 0.03, 400, 5e8


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
        >>> from palmfolio_palm import best_portfolio
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


class GapSearch:
    """A first portfolio, better ones on the demand, and then bisection on the gap.

    Every trial value of the gap is a covering problem with k columns.
    """

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
        self.best: Certificate | None = None
        self.upper, self.lower = np.inf, 0.0
        self.tolerance = GAP_TOLERANCE
        if self.additive:
            self.tolerance *= float(np.abs(problem.values).max()) or 1.0

    def solve(self, k: int, seconds: float, previous: IntArray) -> BestPortfolio:
        """The best portfolio of k columns, starting from the `previous` columns.

        Whatever the time, there is one: a forward selection comes first.
        """
        start = time.monotonic()
        deadline = start + seconds
        self.lower = 0.0
        self._select_forward(k, previous, deadline)
        self._report(k, start)
        if k == 1:
            # Who is alone is worst for users of a single trait, and these have been compared.
            self.lower = self.upper
        if self._has_room(deadline):
            self._improve(k, start + _IMPROVED * seconds)
            self._report(k, start)
        if self._has_room(deadline):
            self._bound(k, start + _BOUNDED * seconds)
            self._report(k, start)
        hopeful, is_first = 0.0, True
        while self._has_room(deadline):
            left = deadline - time.monotonic()
            low = max(self.lower, hopeful)
            # The first portfolio is often the best one, which one proof settles. Otherwise bisect
            # while that is quick, and then ask directly for anything better.
            narrow = self.upper - low < _NARROW * self.upper
            direct = narrow or is_first
            trial = self.upper - 0.9 * self.tolerance if direct else 0.5 * (low + self.upper)
            decided = self._attempt(k, trial, left if narrow else max(0.5, 0.15 * left), deadline)
            if not decided and not is_first:
                hopeful = trial
            is_first = False
            self._report(k, start)
        assert self.best is not None
        lower = min(self.lower, self.upper)
        return BestPortfolio(
            k=k,
            indices=np.sort(self.problem.supply[self.members]),
            gap=self.upper,
            lower_bound=lower,
            optimal=self.upper - lower <= self.tolerance,
            certificate=self.best,
            seconds=time.monotonic() - start,
        )

    def _has_room(self, deadline: float) -> bool:
        return self.upper - self.lower > self.tolerance and time.monotonic() < deadline

    def _select_forward(self, k: int, previous: IntArray, deadline: float) -> None:
        """A first portfolio: the best policy, then the best of the worst user until there are k.

        Once time is over members come from the demand, whose worst user is known at once.
        """
        columns = self.problem.columns
        members = previous
        if len(members) == 0:
            members = np.array([self._best_single()], dtype=np.intp)
            self._take(members, deadline)
        while len(members) < k and self.upper > self.tolerance:
            late = time.monotonic() >= deadline
            if late:
                losses = self._losses(self.pool, columns[members]).min(axis=1)
                w = self.pool[int(np.argmax(losses))]
            else:
                w = self._worst_weights()
            added = int(np.argmax(columns @ w))
            if added in members:
                break
            members = np.append(members, added)
            if not late or len(members) == k:
                self._take(members, deadline, ties=True)
        if len(members) > len(self.members):
            self._take(members, deadline, ties=True)

    def _best_single(self) -> int:
        """The best portfolio of one: only users of a single trait count."""
        losses = self._losses(np.eye(self.problem.d), self.problem.columns)
        return int(np.argmin(losses.max(axis=0)))

    def _improve(self, k: int, deadline: float) -> None:
        """Better portfolios: what greedy finds on the demand, which their worst users then join."""
        wasted = 0
        self.pool = self._with_scattered(self.pool)
        while self.upper - self.lower > self.tolerance and time.monotonic() < deadline:
            losses = self._losses(self.pool, self.problem.columns)
            members, gap = self._best_on_demand(losses, k, deadline)
            if len(members) == 0 or wasted == _WASTED:
                return
            wasted = 0 if self._take(members, deadline) else wasted + 1
            trial = self._at(max(gap, 0.9 * self.upper))
            found = violations(trial, members, deadline).weights[:_JOINING]
            if len(found) == 0:
                return
            self.pool = np.concatenate([self.pool, found])

    def _best_on_demand(
        self, losses: FloatArray, k: int, deadline: float
    ) -> tuple[IntArray, float]:
        """k columns of a small largest loss, by covers at trial gaps; none if no better ones."""

        def out_of_time() -> bool:
            return time.monotonic() >= deadline

        members, low, high = np.empty(0, dtype=np.intp), 0.0, self.upper - self.tolerance
        for _ in range(_TRIALS):
            trial = 0.5 * (low + high) if len(members) else high
            covered = losses <= trial
            found = None
            if covered.any(axis=1).all():
                found = few_columns(covered, k)
                if found is None and covered.size <= _SWAPPED:
                    rows = covered[minimal_rows(covered)]
                    found = local_search(rows, k, self.rng, steps=_SWAPS, out_of_time=out_of_time)
            if found is not None:
                members = found
                high = min(trial, float(losses[:, found].min(axis=1).max()))
            elif len(members) == 0 or out_of_time():
                break
            else:
                low = trial
        return members, high

    def _bound(self, k: int, deadline: float) -> None:
        """A first lower bound: gaps at which the demand needs more than k columns."""
        low, high = self.lower, self.upper
        weights = self._hardest(k)
        while high - low > _ROUGH * self.upper and time.monotonic() < deadline:
            trial = 0.5 * (low + high)
            if self._is_impossible(weights, trial, k, deadline):
                low = self.lower = trial
            else:
                high = trial

    def _is_impossible(self, W: FloatArray, gap: float, k: int, deadline: float) -> bool:
        try:
            rows = self._at(gap).covers(W)
        except Infeasible:
            return True
        rows = rows[minimal_rows(rows)]
        if len(row_packing(rows)) > k:
            return True
        return round_up(fractional_cover(rows, deadline - time.monotonic()).bound) > k

    def _hardest(self, k: int) -> FloatArray:
        """Weights of the demand, those first at which few columns are good."""
        n = len(self.problem.supply)
        most = int(min(_HARD, max(60.0, (_COMPARED / n) ** 0.5)))
        if len(self.pool) <= most:
            return self.pool
        counts = self._at(self.upper).covers(self.pool).sum(axis=1)
        return self.pool[np.argsort(counts, kind="stable")[:most]]

    def _attempt(self, k: int, trial: float, seconds: float, latest: float) -> bool:
        """Decide whether k columns reach the gap `trial`; False when time ran out first."""
        deadline = min(latest, time.monotonic() + seconds)
        search = CoverSearch(self._at(trial), deadline, self.rng)
        try:
            search.begin(self.pool, seconds=0.3 * seconds)
            while search.lower_bound <= k:
                if search.out_of_time():
                    return False
                found = search.step(k)
                if found is not None and self._take(found, latest):
                    return True
        except Infeasible:
            pass
        finally:
            kept = np.concatenate([search.demand.weights, self.pool])[:_POOL]
            self.pool = np.unique(kept, axis=0)
        self.lower = max(self.lower, trial)
        return True

    def _take(self, members: IntArray, deadline: float, *, ties: bool = False) -> bool:
        """Certify some columns, and keep them where they are better, or with `ties` as good."""
        problem = self.problem
        target = (problem.eps, problem.delta)
        late = max(deadline + GRACE, time.monotonic() + _LEAST)
        made = certificates(problem.values, problem.supply[members], [target], late)[0]
        gap = made.additive if self.additive else made.multiplicative
        assert gap is not None
        if self.best is not None and (gap > self.upper or (gap == self.upper and not ties)):
            return False
        self.members, self.best, self.upper = members, made, gap
        return True

    def _worst_weights(self) -> FloatArray:
        assert self.best is not None
        if self.additive or self.best.worst_weights_multiplicative is None:
            return self.best.worst_weights_additive
        return self.best.worst_weights_multiplicative

    def _losses(self, W: FloatArray, columns: FloatArray) -> FloatArray:
        """(m, s) what the users `W` lose with each of some columns alone."""
        best = best_values(self.problem.reference, W)[:, None]
        utility = W @ columns.T
        if self.additive:
            return np.asarray((1.0 - self.problem.eps) * best - utility)
        return np.asarray(1.0 - (utility + self.problem.delta) / best)

    def _with_scattered(self, W: FloatArray) -> FloatArray:
        """Some weights and random ones, as many as losses can be kept for."""
        d, most = self.problem.d, _ENTRIES // len(self.problem.supply)
        m = max(0, min(_SCATTERED, most - len(W)))
        rng = self.rng
        inner, outer = rng.dirichlet(np.ones(d), m - m // 2), rng.dirichlet(np.full(d, 0.3), m // 2)
        return np.concatenate([W, inner, outer])

    def _at(self, gap: float) -> CoverProblem:
        if self.additive:
            return self.problem.with_target(self.problem.eps, gap)
        return self.problem.with_target(min(gap, 1.0 - 1e-12), self.problem.delta)

    def _report(self, k: int, start: float) -> None:
        if self.progress is not None:
            self.progress(Progress("gap", time.monotonic() - start, self.upper, self.lower, k))
