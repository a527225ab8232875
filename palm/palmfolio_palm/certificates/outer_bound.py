"""A certificate against everything trainable, and the weights to train next.

Source: docs/algorithms.md section 5. A policy trained at w_i to within a factor 1 − alpha_i of the
best proves that every attainable value vector v obeys w_i·v ≤ u_i/(1 − alpha_i), u_i = w_i·v_i.
With lo ≤ v ≤ hi this bounds what any training could reach at any weights. The bound rests on
alpha: `OuterBound.refute` finds trainings that were certainly worse than assumed, but finding
none does not prove that there are none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from palmfolio_palm.certificates.certificate import best_values
from palmfolio_palm.certificates.corners import corners_of
from palmfolio_palm.validation import (
    FloatArray,
    IntArray,
    check_delta,
    check_dimension,
    check_eps,
    check_portfolio,
    check_size,
    check_values,
    check_weights,
)

#: Share that the first trainings give to every trait but their own. A bare unit weight leaves the
#: values of the other traits arbitrary; on a smooth front a training serves the users within about
#: √target of it, so that one on the very edge would waste half its reach.
LEAST_FLOOR, MOST_FLOOR, _FLOOR_PER_ROOT = 0.02, 0.08, 0.36
_EXACT = 1e-9
_MAX_LPS = 4000
#: Duals above which those that are best at no corner are dropped, and how many are tried at once.
_POOL = 256
_BLOCK = 64
#: Corners whose bound is made exact before their centre is taken, and how near they must be to
#: the worst one, in units of its distance to the nearest training.
_TIGHTENED = 40
_REACH = 0.7
#: Least weight of a later training, in units of its distance to the nearest one.
_INSET = 0.2
#: Weights closer than this in every entry are the same.
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class OuterGap:
    """Worst certified gap against everything trainable.

    Attributes:
        gap: max over w of [(1 − eps)·UB(w) − L(w)]₊.
        worst_weights: (d,) weights at which it is reached, Σ = 1.
        upper: UB at these weights.
        reached: L at these weights.
    """

    gap: float
    worst_weights: FloatArray
    upper: float
    reached: float


@dataclass(frozen=True, eq=False)
class Refutation:
    """A training that is certainly worse than the best at its own weights.

    Attributes:
        policy: index of the refuted training, in order of `add`.
        alpha: its suboptimality is at least this: 1 − w_i·v_i / max_j w_i·v_j.
        refuted_by: index of the training whose policy is better at these weights; a good start
            for training again.
    """

    policy: int
    alpha: float
    refuted_by: int


class _Corners:
    """Corner weights (m, d) of some members, what they reach there, and what bounds the rest."""

    def __init__(
        self, weights: FloatArray, reached: FloatArray, upper: FloatArray, eps: float
    ) -> None:
        self.weights, self.reached, self.upper = weights, reached, upper
        self._eps = eps

    @property
    def gaps(self) -> FloatArray:
        """(m,) what may be missing, negative where nothing is."""
        gaps: FloatArray = (1.0 - self._eps) * self.upper - self.reached
        return gaps

    @property
    def worst(self) -> int:
        """The corner of the largest gap."""
        return int(np.argmax(self.gaps))

    def lower(self, upper: FloatArray) -> None:
        """Takes another bound where it is the better one."""
        np.minimum(self.upper, upper, out=self.upper)


class OuterBound:
    """Upper bound on the optimum over everything trainable, from the trainings so far."""

    def __init__(self, d: int, lo: ArrayLike = 0.0, hi: ArrayLike = 1.0) -> None:
        """Values of trait i lie in [lo_i, hi_i]; scalars stand for all traits.

        Raises:
            ValueError: naming the argument.
        """
        self.d = check_dimension(d)
        self.lo = _per_trait(lo, self.d, "lo")
        self.hi = _per_trait(hi, self.d, "hi")
        if (self.lo > self.hi).any():
            raise ValueError("lo must not exceed hi on any trait")
        self._weights: FloatArray = np.empty((0, self.d))
        self._values: FloatArray = np.empty((0, self.d))
        self._alphas: FloatArray = np.empty(0)
        self._duals: FloatArray = np.zeros((1, 0))

    @property
    def weights(self) -> FloatArray:
        """(m, d) weights trained so far, Σ = 1."""
        return self._weights.copy()

    @property
    def values(self) -> FloatArray:
        """(m, d) value vectors of the policies trained so far."""
        return self._values.copy()

    def add(self, w: ArrayLike, v: ArrayLike, alpha: float = 0.0) -> None:
        """Record a policy with values `v` (d,), trained at weights `w` (d,) to within 1 − alpha.

        Raises:
            ValueError: naming the argument; also when `v` is not in [lo, hi], or w·v < 0 with
                alpha > 0 (a relative loss has no meaning there).
        """
        weights, value = self._check_training(w, v, alpha)
        self._weights = np.concatenate([self._weights, weights[None]])
        self._values = np.concatenate([self._values, value[None]])
        self._alphas = np.append(self._alphas, float(alpha))
        self._duals = np.column_stack([self._duals, np.zeros(len(self._duals))])

    def replace(self, policy: int, v: ArrayLike, alpha: float = 0.0) -> None:
        """Record that training `policy` was repeated at its weights and gave values `v`.

        Raises:
            ValueError: naming the argument, as `add`.
        """
        index = int(check_portfolio([policy], len(self._weights), "policy")[0])
        _, value = self._check_training(self._weights[index], v, alpha)
        self._values[index] = value
        self._alphas[index] = float(alpha)

    def upper(self, W: ArrayLike) -> FloatArray:
        """UB at every row of `W` (m, d), exact up to the solver; (m,).

        Raises:
            ValueError: naming `W`.
        """
        weights = np.array([check_weights(w, self.d, "W") for w in np.atleast_2d(W)])
        for w in weights:
            self._solve(w)
        return self._pooled(weights)

    def certified_gap(self, P: ArrayLike | None = None, *, eps: float = 0.0) -> OuterGap:
        """The worst gap of the trained policies `P` (default all) against everything trainable.

        Raises:
            ValueError: naming the argument; also before the first training.
        """
        eps = check_eps(eps)
        return self._worst(self._values[self._members(P)], eps)

    def certified_gap_of(self, members: ArrayLike, *, eps: float = 0.0) -> OuterGap:
        """The worst gap of policies with these values (k, d), trained here or not.

        Raises:
            ValueError: naming the argument.
            CornersUnavailable: there are too many of them in too many dimensions.
        """
        return self._worst(self._check_members(members), check_eps(eps))

    def next_weights(
        self,
        count: int = 1,
        *,
        eps: float = 0.0,
        target: float = 0.0,
        members: ArrayLike | None = None,
        tried: ArrayLike | None = None,
    ) -> FloatArray:
        """Weights to train next, (count, d), most useful first.

        First `starting_weights`, then weights around the worst certified gap: the centre of the
        corner weights nearby whose gap is above `target`, so that one training helps several of
        them, and a little inside the simplex. Several at once assume that every training before
        reaches its upper bound.

        Args:
            count: how many.
            eps: multiplicative gap that is allowed, in [0, 1).
            target: additive gap that is allowed, ≥ 0.
            members: (k, d) values of the policies that there are; default those trained.
            tried: (t, d) weights not to be trained again, because that failed.

        Raises:
            ValueError: naming the argument.
            CornersUnavailable: there are too many policies in too many dimensions.
        """
        count, eps = check_size(count, 10_000, "count"), check_eps(eps)
        target = check_delta(target, "target")
        reached = self._values if members is None else self._check_members(members)
        failed = [
            check_weights(w, self.d, "tried") for w in (() if tried is None else np.asarray(tried))
        ]
        done = [*self._weights, *(w for w in failed if not _among(w, self._weights))]
        chosen = [w for w in starting_weights(self.d, target) if not _among(w, done)][:count]
        if len(chosen) == count:
            return np.array(chosen)
        optimistic = [*done[len(self._weights) :], *chosen]
        reached = np.concatenate([reached, *(self._solve(w)[None] for w in optimistic)])
        taken = np.array([*done, *chosen])
        while len(chosen) < count:
            w = self._centre(self._tightened(reached, eps), taken, target)
            reached = np.concatenate([reached, self._solve(w)[None]])
            taken = np.concatenate([taken, w[None]])
            chosen.append(w)
        return np.array(chosen)

    def refute(self, tolerance: float = 1e-9) -> list[Refutation]:
        """Trainings that another policy beats at their own weights by more than their alpha.

        Args:
            tolerance: excess of the suboptimality over the training's alpha that is ignored.

        Raises:
            ValueError: naming the argument.
        """
        if not tolerance >= 0.0:
            raise ValueError(f"tolerance must be a number ≥ 0, got {tolerance}")
        utility = self._weights @ self._values.T
        found = []
        for i in range(len(utility)):
            best = int(np.argmax(utility[i]))
            loss = float(utility[i, best] - utility[i, i])
            top = float(utility[i, best])
            alpha = loss / top if top > 0.0 else (1.0 if loss > 0.0 else 0.0)
            if alpha > self._alphas[i] + tolerance:
                found.append(Refutation(policy=i, alpha=alpha, refuted_by=best))
        return found

    def _check_training(
        self, w: ArrayLike, v: ArrayLike, alpha: float
    ) -> tuple[FloatArray, FloatArray]:
        weights = check_weights(w, self.d)
        value = check_values(np.atleast_2d(np.asarray(v, dtype=float)), "v", shifted=True)
        if value.shape != (1, self.d):
            raise ValueError(f"v must have shape ({self.d},)")
        inside = (value[0] >= self.lo - _EXACT) & (value[0] <= self.hi + _EXACT)
        if not inside.all():
            raise ValueError(f"v must lie in [lo, hi], but trait {int(np.argmin(inside))} does not")
        if check_eps(alpha, "alpha") > 0.0 and float(weights @ value[0]) < 0.0:
            raise ValueError("alpha must be 0 where w·v is negative")
        return weights, value[0]

    def _members(self, P: ArrayLike | None) -> IntArray:
        if len(self._weights) == 0:
            raise ValueError("P must be a non-empty list of trained policies, none is trained yet")
        if P is None:
            return np.arange(len(self._weights), dtype=np.intp)
        return check_portfolio(P, len(self._weights))

    def _check_members(self, members: ArrayLike) -> FloatArray:
        values = check_values(np.asarray(members, dtype=float), "members", shifted=True)
        if values.shape[1] != self.d:
            raise ValueError(f"members must have shape (k, {self.d}), got {values.shape}")
        return values

    def _limits(self) -> FloatArray:
        """Right-hand sides of the cuts w_i·v ≤ b_i."""
        limits: FloatArray = (self._weights * self._values).sum(axis=1) / (1.0 - self._alphas)
        return limits

    def _pooled(self, W: FloatArray, duals: FloatArray | None = None) -> FloatArray:
        """The best bound of the pool at every row of `W`: valid, if not tight, everywhere."""
        return self._bounds(W, self._duals if duals is None else duals)[0]

    def _bounds(self, W: FloatArray, duals: FloatArray) -> tuple[FloatArray, IntArray]:
        """The best bound of some duals at every row of `W`, and which of them gives it."""
        q, offset = duals @ self._weights, duals @ self._limits()
        bound, which = np.full(len(W), np.inf), np.zeros(len(W), dtype=np.intp)
        rows = np.arange(len(W))
        for start in range(0, len(duals), _BLOCK):
            block = slice(start, start + _BLOCK)
            values = np.repeat(offset[block, None], len(W), axis=1)
            for trait in range(self.d):
                rest = W[:, trait] - q[block, trait, None]
                values += np.maximum(rest * self.hi[trait], rest * self.lo[trait])
            best = values.argmin(axis=0)
            better = values[best, rows] < bound
            which[better] = start + best[better]
            bound[better] = values[best, rows][better]
        return bound, which

    def _solve(self, w: FloatArray) -> FloatArray:
        """Solve for UB(w), add its dual to the pool and return the maximising v."""
        if len(self._weights) == 0:
            return self.hi.copy()
        solution = linprog(
            -w,
            A_ub=self._weights,
            b_ub=self._limits(),
            bounds=list(zip(self.lo.tolist(), self.hi.tolist(), strict=True)),
            method="highs",
        )
        if solution.x is None:
            # Cuts that contradict each other or lo: the trivial bound stays valid.
            return self.hi.copy()
        dual = np.clip(-solution.ineqlin.marginals, 0.0, None)
        self._duals = np.concatenate([self._duals, dual[None]])
        return np.asarray(solution.x, dtype=np.float64)

    def _centre(self, at: _Corners, taken: FloatArray, target: float) -> FloatArray:
        """Mean of the corners near the worst, weighted by nearness and by gap above target.

        Every trait keeps a share: users on an edge of the simplex are as well served by a training
        a little inside, which serves others too.
        """
        worst: FloatArray = at.weights[at.worst]
        known = len(self._duals)
        for corner in np.argsort(-at.gaps)[:_TIGHTENED]:
            self._solve(at.weights[corner])
        at.lower(self._pooled(at.weights, self._duals[known:]))
        excess = np.maximum(at.gaps - target, 0.0)
        reach = _REACH * _distance(worst, taken)
        if reach <= 0.0:
            return worst
        near = np.exp(-((at.weights - worst) ** 2).sum(axis=1) / reach**2) * excess
        if near.sum() <= 0.0:
            return worst
        centre: FloatArray = near @ at.weights / near.sum()
        centre = np.maximum(centre, _INSET * _distance(centre / centre.sum(), taken))
        return np.asarray(centre / centre.sum(), dtype=np.float64)

    def _worst(self, members: FloatArray, eps: float) -> OuterGap:
        at = self._tightened(members, eps)
        gap = max(0.0, float(at.gaps[at.worst]))
        upper, reached = float(at.upper[at.worst]), float(at.reached[at.worst])
        return OuterGap(gap, at.weights[at.worst].copy(), upper, reached)

    def _tightened(self, members: FloatArray, eps: float) -> _Corners:
        """The corner weights with the exact bound at the worst one; valid wherever it stops."""
        weights = corners_of(members)
        upper, which = self._bounds(weights, self._duals)
        if len(self._duals) > _POOL:
            self._duals = self._duals[np.unique(which)]
        at = _Corners(weights, best_values(members, weights), upper, eps)
        for _ in range(_MAX_LPS):
            worst = at.worst
            before = at.upper[worst]
            self._solve(weights[worst])
            at.lower(self._pooled(weights, self._duals[-1:]))
            if at.upper[worst] >= before - _EXACT:
                break
        return at


def starting_weights(d: int, target: float = 0.0) -> FloatArray:
    """The centroid, then near-unit weights: what is trained before anything is known.

    Args:
        d: number of traits.
        target: additive gap that is to be certified, ≥ 0; 0 for as small as can be.

    Returns:
        (1 + d, d) weights, each Σ = 1; (1, 1) for one trait.

    Raises:
        ValueError: naming the argument.
    """
    d, target = check_dimension(d), check_delta(target, "target")
    centroid = np.full((1, d), 1.0 / d)
    if d == 1:
        return centroid
    floor = float(np.clip(_FLOOR_PER_ROOT * np.sqrt(target), LEAST_FLOOR, MOST_FLOOR))
    floor = min(floor, 0.5 / d)
    return np.concatenate([centroid, (1.0 - floor * d) * np.eye(d) + floor])


def _distance(w: FloatArray, others: FloatArray) -> float:
    """Euclidean distance to the nearest of the others (m, d); at most 1."""
    return float(np.sqrt(((others - w) ** 2).sum(axis=1).min(initial=1.0)))


def _among(w: FloatArray, others: Iterable[FloatArray]) -> bool:
    return any(bool((np.abs(w - other) < _SAME).all()) for other in others)


def _per_trait(x: ArrayLike, d: int, name: str) -> FloatArray:
    values = np.asarray(x, dtype=np.float64)
    if values.shape not in ((), (d,)) or not np.isfinite(values).all():
        raise ValueError(f"{name} must be a finite number or {d} of them")
    return np.broadcast_to(values, (d,)).copy()
