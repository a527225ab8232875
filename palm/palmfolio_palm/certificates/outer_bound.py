"""A certificate against everything trainable, and the weights to train next.

Source: docs/algorithms.md, section 5. A policy trained at w_i to within a factor 1 − alpha_i of the
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

from palmfolio_palm.certificates.certificate import best_values
from palmfolio_palm.certificates.corners import corners_of
from palmfolio_palm.certificates.dual_bounds import Cuts, DualBounds
from palmfolio_palm.certificates.refutations import Refutation, refutations
from palmfolio_palm.certificates.starting_weights import starting_weights
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

# Two bounds that differ by less are the same: 1e-9 is far below any reward that is measured.
_EXACT = 1e-9
# Linear programs for one gap at most; a guard, as the bound is valid wherever the search stops.
_MAX_LPS = 4000
# Multipliers above which those that are best at no corner are dropped. Measured at d = 4: 64, 256
# and 1,024 choose the same weights in the same time; the pool must only not grow without end.
_POOL = 256

# Where to train next (docs/algorithms.md, section 5). Measured with benchmarks/palm/adaptive.py at
# d = 4 and target 0.05: trainings on the sphere / polytope / noisy front, CPU s on the sphere.

# Corners whose bound is made exact before their centre is taken. 10: 51 / 28 / 60 in 1.5 s,
# 20: 52 / 28 / 58 in 2.0 s, 40: 51 / 28 / 58 in 2.9 s, 80: 51 / 28 / 58 in 5.3 s.
_TIGHTENED = 40
# How near corners must be to the worst one to pull the centre, in units of its distance to the
# nearest training. 0.35: 45 / 28 / 59, 0.5: 45 / 28 / 62, 0.7: 51 / 28 / 58, 1.0: 56 / 29 / 69:
# 0.7 is the best of these where trainings are noisy.
_REACH = 0.7
# Least weight of a later training, in units of its distance to the nearest one. From 0.25 to 0.4
# the ellipsoid needs down to 27 trainings instead of 31, but the noisy front 72 instead of 58 and
# the polytope more than 42 instead of 28.
_INSET = 0.2
# Weights closer than this in every entry are the same.
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class OuterGap:
    """Worst certified gap against everything trainable.

    Attributes:
        gap: max over w of [(1 − eps)·UB(w) − L(w)]₊.
        worst_weights: (d,) weights at which it is reached, Σ = 1.
        upper: UB at these weights.
        reached: L at these weights.

    Example:
        >>> bound = OuterBound(2)
        >>> bound.add([0.5, 0.5], [0.5, 0.5])
        >>> worst = bound.certified_gap()
        >>> round(worst.gap, 6), round(worst.upper, 6), worst.reached
        (0.5, 1.0, 0.5)
    """

    gap: float
    worst_weights: FloatArray
    upper: float
    reached: float


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
    """Upper bound on the optimum over everything trainable, from the trainings so far.

    Example:
        Two trainings that are optimal at their own weights leave at most this for a third:

        >>> bound = OuterBound(2)
        >>> bound.add([1.0, 0.0], [0.9, 0.2])
        >>> bound.add([0.0, 1.0], [0.2, 0.9])
        >>> round(bound.certified_gap().gap, 6)
        0.35
        >>> bound.add([0.5, 0.5], [0.6, 0.6])
        >>> round(bound.certified_gap().gap, 6) < 0.35
        True
    """

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
        self._bounds = DualBounds(self.lo, self.hi)

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
        self._bounds.add_cut()

    def replace(self, training: int, v: ArrayLike, alpha: float = 0.0) -> None:
        """Record that a training was repeated at its weights and gave values `v` (d,).

        Raises:
            ValueError: naming the argument, as `add`.
        """
        index = int(check_portfolio([training], len(self._weights), "training")[0])
        _, value = self._check_training(self._weights[index], v, alpha)
        self._values[index] = value
        self._alphas[index] = float(alpha)

    def upper(self, W: ArrayLike) -> FloatArray:
        """UB at every row of `W` (m, d), exact up to the solver; (m,).

        Raises:
            ValueError: naming `W`.
        """
        weights = np.array([check_weights(w, self.d, "W") for w in np.atleast_2d(W)])
        cuts = self._cuts
        for w in weights:
            self._bounds.solve(w, cuts)
        return self._bounds.upper(weights, cuts)[0]

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
        cuts = self._cuts
        optimistic = [*done[len(self._weights) :], *chosen]
        reached = np.concatenate(
            [reached, *(self._bounds.solve(w, cuts)[None] for w in optimistic)]
        )
        taken = np.array([*done, *chosen])
        while len(chosen) < count:
            w = self._centre(self._tightened(reached, eps), taken, target)
            reached = np.concatenate([reached, self._bounds.solve(w, cuts)[None]])
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
        return refutations(utility, range(len(utility)), self._alphas, tolerance)

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

    @property
    def _cuts(self) -> Cuts:
        """The cuts w_i·v ≤ u_i/(1 − alpha_i)."""
        reached: FloatArray = (self._weights * self._values).sum(axis=1)
        return Cuts(self._weights, reached / (1.0 - self._alphas))

    def _centre(self, at: _Corners, taken: FloatArray, target: float) -> FloatArray:
        """Mean of the corners near the worst, weighted by nearness and by gap above target.

        Every trait keeps a share: users on an edge of the simplex are as well served by a training
        a little inside, which serves others too.
        """
        worst: FloatArray = at.weights[at.worst]
        cuts, known = self._cuts, len(self._bounds)
        for corner in np.argsort(-at.gaps)[:_TIGHTENED]:
            self._bounds.solve(at.weights[corner], cuts)
        at.lower(self._bounds.upper(at.weights, cuts, known)[0])
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
        cuts = self._cuts
        upper, which = self._bounds.upper(weights, cuts)
        if len(self._bounds) > _POOL:
            self._bounds.keep(which)
        at = _Corners(weights, best_values(members, weights), upper, eps)
        for _ in range(_MAX_LPS):
            worst = at.worst
            before, known = at.upper[worst], len(self._bounds)
            self._bounds.solve(weights[worst], cuts)
            at.lower(self._bounds.upper(weights, cuts, known)[0])
            if at.upper[worst] >= before - _EXACT:
                break
        return at


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
