"""Exact certificates: a portfolio's worst gap over the whole simplex of weights.

Source: docs/algorithms.md, section 3. With U(w) the best utility among all candidates and L(w) the
best among the members, the additive gap at eps is max over w of [(1 − eps)·U − L]₊ and the
multiplicative gap at delta is max over w of [1 − (L + delta)/U]₊. Both maxima are at corner
weights, so nothing is sampled. Where corner weights take more work than that, the gaps are closed
in between weights that reach them and mixtures of members that bound them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.certificates.corners import CornersUnavailable, corners_of
from palmfolio_palm.certificates.maximisers import (
    additive_maximisers,
    multiplicative_maximisers,
)
from palmfolio_palm.certificates.mixtures import CONFIRMED, check_additive, check_multiplicative
from palmfolio_palm.pareto import pareto_rows
from palmfolio_palm.validation import (
    TOLERANCE,
    FloatArray,
    IntArray,
    check_delta,
    check_eps,
    check_portfolio,
    check_values,
    check_weights,
)

# Entries of a temporary array: 32 MB, so that many corners times many candidates fit in memory.
_BLOCK_ENTRIES = 4_000_000
# Best values of a trait below this, times weights and other values, come near the smallest floats.
_UNDERFLOW = 1e-100
# Work of one corner weight, and of one product of it with one candidate, in seconds.
_CORNER, _PRODUCT = 5e-6, 1e-9
# Work of the search by mixtures: about this, and so many products for each candidate and member.
_SEARCH, _ROUNDS = 0.05, 60.0
# So many corner weights are always compared: nothing is more exact.
_LEAST_CORNERS = 5_000
# The search by mixtures ends when its bounds are this near, relative to the largest value.
_NEAR = 1e-11
# A loss of this many times the best value leaves no gap; larger ones would overflow.
_NO_GAP = 1e100


Method = Literal["corners", "lp", "whole"]


@dataclass(frozen=True, eq=False)
class Certificate:
    """What a portfolio guarantees every user.

    Attributes:
        eps: the relative loss at which `additive` was taken.
        delta: the additive loss at which `multiplicative` was taken.
        additive: smallest delta for which the portfolio is (eps, delta)-approximate.
        multiplicative: smallest eps for which it is (eps, delta)-approximate; None where that has
            no meaning: a value is negative, or U(w) ≤ 0 at some weights.
        worst_weights_additive: (d,) weights at which `additive` is reached, Σ = 1.
        worst_weights_multiplicative: (d,) weights at which `multiplicative` is reached, or None.
        method: "corners"; "lp" (mixtures of the members and linear programs); or "whole" (every
            Pareto-optimal candidate is a member, so there is nothing to compute).
        corners: number of corner weights that were compared; 0 for the other methods.
        exact: whether the gaps are reached; False where time ran out and they are upper bounds.
        confirmed: whether a second way, bounds by mixtures of the members, proved that no gap is
            larger; `select` and `certify` try that, the functions that search do not.

    Example:
        >>> exact = certificate([[1, 0], [0, 1], [0.6, 0.6]], [0, 1])
        >>> round(exact.additive, 6), exact.worst_weights_additive.tolist(), exact.holds
        (0.1, [0.5, 0.5], False)
    """

    eps: float
    delta: float
    additive: float
    multiplicative: float | None
    worst_weights_additive: FloatArray
    worst_weights_multiplicative: FloatArray | None
    method: Method
    corners: int
    exact: bool = True
    confirmed: bool = False

    @property
    def holds(self) -> bool:
        """Whether the portfolio is (eps, delta)-approximate, up to rounding.

        Where it has a meaning the multiplicative gap decides: its rounding is relative to each
        user's best utility, so that no tiny trait is lost in it.
        """
        if self.multiplicative is not None:
            return self.multiplicative <= self.eps + TOLERANCE
        return self.additive <= self.delta + TOLERANCE


@dataclass(frozen=True)
class Gap:
    """The gaps at one weight vector; fields as in `Certificate`.

    Example:
        >>> gap_at([[1, 0], [0, 1]], [0], [0.5, 0.5])
        Gap(additive=0.0, multiplicative=0.0)
    """

    additive: float
    multiplicative: float | None


def certificate(
    V: ArrayLike,
    P: ArrayLike,
    eps: float = 0.0,
    delta: float = 0.0,
    *,
    shifted: bool = False,
) -> Certificate:
    """Exact certificate of the portfolio `P` against all candidates.

    Args:
        V: (n, d) value vectors of the candidates, in [0, 1] unless `shifted`.
        P: indices of the members.
        eps: relative loss in [0, 1) at which the additive gap is taken.
        delta: additive loss ≥ 0 at which the multiplicative gap is taken.
        shifted: accept finite values outside [0, 1] (for example after a KL correction).

    Corner weights decide, or, where these take more work (many members over many traits), bounds by
    mixtures of the members and weights that reach them within 1e-9 of the largest value.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> exact = certificate([[1, 0], [0, 1], [0.6, 0.6]], [0, 1], delta=0.1)
        >>> exact.holds, round(exact.multiplicative, 6)
        (True, 0.0)
    """
    values, members, eps, delta = _check(V, P, eps, delta, shifted)
    return certificates(values, members, [(eps, delta)])[0]


def certificates(
    values: FloatArray,
    members: IntArray,
    targets: Sequence[tuple[float, float]],
    deadline: float = math.inf,
) -> list[Certificate]:
    """`certificate` at several (eps, delta), for arguments that were checked already.

    The corner weights, which take most of the time, are enumerated once.

    Args:
        deadline: on the clock `time.monotonic`, after which upper bounds are returned.
    """
    ratio = _has_ratio(values)
    rows = values[members]
    try:
        corners = corners_of(rows, _corners_worth(values, len(rows)))
    except CornersUnavailable:
        return [_bounded(values, rows, eps, delta, deadline) for eps, delta in targets]
    return [
        _evaluate(values, rows, corners, eps, delta, ratio=ratio, method="corners")
        for eps, delta in targets
    ]


def _corners_worth(values: FloatArray, k: int) -> float:
    """Up to how many corner weights take less work than the search by mixtures."""
    n, d = values.shape
    search = _SEARCH + _ROUNDS * n * k * d * _PRODUCT
    return float(max(_LEAST_CORNERS, search / (_CORNER + n * d * _PRODUCT)))


def _bounded(
    values: FloatArray, rows: FloatArray, eps: float, delta: float, deadline: float
) -> Certificate:
    """The certificate by mixtures of the members, which bound it, and weights that reach it."""
    d = values.shape[1]
    ratio = _has_ratio(values)
    weights = np.concatenate([np.full((1, d), 1.0 / d), np.eye(d)])
    first = _evaluate(values, rows, weights, eps, delta, ratio=ratio, method="lp")
    additive = check_additive(values, rows, eps, first.additive, deadline, _NEAR)
    weights = np.concatenate([weights, additive.weights])
    upper = np.inf
    if first.multiplicative is not None:
        # Where the additive gap is large the multiplicative one often is.
        first = _evaluate(values, rows, weights, eps, delta, ratio=ratio, method="lp")
        known = first.multiplicative or 0.0
        relative = check_multiplicative(values, rows, delta, known, deadline, _NEAR)
        weights, upper = np.concatenate([weights, relative.weights]), relative.upper
    made = _evaluate(values, rows, weights, eps, delta, ratio=ratio, method="lp")
    # A bound that is not reached is what is known: no gap is ever understated.
    if additive.upper > made.additive + CONFIRMED * float(np.abs(values).max()):
        made = replace(made, additive=additive.upper, exact=False)
    if made.multiplicative is not None and upper > made.multiplicative + CONFIRMED:
        made = replace(made, multiplicative=min(1.0, upper), exact=False)
    return made


def certificate_at(
    candidates: FloatArray, members: FloatArray, weights: FloatArray, eps: float, delta: float
) -> Certificate:
    """The largest gaps over some weights (m, d) only, which may miss the worst ones."""
    ratio = _has_ratio(candidates)
    return _evaluate(candidates, members, weights, eps, delta, ratio=ratio, method="lp")


def certificate_of_all(values: FloatArray, eps: float, delta: float) -> Certificate:
    """The certificate of all Pareto-optimal candidates: no gap at any weights."""
    centroid = np.full(values.shape[1], 1.0 / values.shape[1])
    ratio = _has_ratio(values)
    return Certificate(
        eps=eps,
        delta=delta,
        additive=0.0,
        multiplicative=0.0 if ratio else None,
        worst_weights_additive=centroid,
        worst_weights_multiplicative=centroid.copy() if ratio else None,
        method="whole",
        corners=0,
        confirmed=True,
    )


def multiplicative_gap(
    V: ArrayLike, P: ArrayLike, delta: float = 0.0, *, shifted: bool = False
) -> float:
    """Only the multiplicative gap of `certificate`.

    Raises:
        ValueError: naming the argument; also when a value is negative or U(w) ≤ 0 at some w.

    Example:
        >>> round(multiplicative_gap([[1, 0], [0, 1], [0.6, 0.6]], [0, 1]), 6)
        0.166667
    """
    gap = certificate(V, P, delta=delta, shifted=shifted).multiplicative
    if gap is None:
        raise ValueError(
            "V has a negative value or weights w with U(w) ≤ 0 (a trait on which no policy scores "
            "above 0); a multiplicative gap needs values ≥ 0 and U > 0, use the additive gap"
        )
    return gap


def gap_at(
    V: ArrayLike,
    P: ArrayLike,
    w: ArrayLike,
    eps: float = 0.0,
    delta: float = 0.0,
    *,
    shifted: bool = False,
) -> Gap:
    """The gaps of the portfolio `P` at one weight vector `w` (scaled to Σ = 1).

    Raises:
        ValueError: naming the argument.

    Example:
        >>> gap_at([[1, 0], [0, 1], [0.75, 0.75]], [0, 1], [1, 1]).additive
        0.25
    """
    values, members, eps, delta = _check(V, P, eps, delta, shifted)
    weights = check_weights(w, values.shape[1])
    utility = values @ weights
    best, reached = float(utility.max()), float(utility[members].max())
    ratio = max(0.0, 1.0 - (reached + delta) / best) if best > 0.0 and values.min() >= 0 else None
    return Gap(additive=max(0.0, (1.0 - eps) * best - reached), multiplicative=ratio)


def verify(
    V: ArrayLike,
    P: ArrayLike,
    eps: float = 0.0,
    delta: float = 0.0,
    *,
    shifted: bool = False,
) -> Certificate:
    """The same certificate by a pair of linear programs per Pareto-optimal candidate: slow.

    Arguments, result and errors as in `certificate`.

    Example:
        >>> round(verify([[1, 0], [0, 1], [0.6, 0.6]], [0, 1]).additive, 6)
        0.1
    """
    values, members, eps, delta = _check(V, P, eps, delta, shifted)
    candidates = values[pareto_rows(values)]
    return _verify(candidates, candidates, values[members], eps, delta, ratio=_has_ratio(values))


def best_values(values: FloatArray, weights: FloatArray) -> FloatArray:
    """max over rows v of w·v for every row w of `weights`, as (m,), in bounded memory."""
    block = max(1, _BLOCK_ENTRIES // len(values))
    parts = [(weights[i : i + block] @ values.T).max(axis=1) for i in range(0, len(weights), block)]
    return np.concatenate(parts)


def _check(
    V: ArrayLike, P: ArrayLike, eps: float, delta: float, shifted: bool
) -> tuple[FloatArray, IntArray, float, float]:
    values = check_values(V, shifted=shifted)
    return values, check_portfolio(P, len(values)), check_eps(eps), check_delta(delta)


def _ratio_in_units(
    candidates: FloatArray, members: FloatArray, delta: float, units: FloatArray
) -> tuple[float, FloatArray]:
    """The largest 1 − (L + delta)/U, and where, if weights times values would be denormal.

    In units of each trait's best value, with weights w_i·u_i, the ratio is the same and delta costs
    delta/u_i of a trait: everything is of ordinary size but the weights that are returned.
    """
    candidates, members = candidates / units, members / units
    with np.errstate(over="ignore"):
        loss = np.minimum(delta / units, _NO_GAP)
    weights = np.eye(len(units))
    try:
        found = corners_of(members)
    except CornersUnavailable:
        found = multiplicative_maximisers(candidates, members, loss)
    weights = np.concatenate([weights, found])
    best, reached = best_values(candidates, weights), best_values(members, weights)
    ratio = 1.0 - (reached + weights @ loss) / best
    at = int(np.argmax(ratio))
    plain = weights[at] * (units.min() / units)
    return max(0.0, float(ratio[at])), plain / plain.sum()


def _has_ratio(values: FloatArray) -> bool:
    """Whether v ≥ 0 and U(w) > 0 everywhere; with v ≥ 0 the unit weights decide the latter."""
    return bool(values.min() >= 0.0 and values.max(axis=0).min() > 0.0)


def _evaluate(
    candidates: FloatArray,
    members: FloatArray,
    weights: FloatArray,
    eps: float,
    delta: float,
    *,
    ratio: bool,
    method: Method,
) -> Certificate:
    """The certificate when the worst gaps are known to be at some of the rows of `weights`."""
    best, reached = best_values(candidates, weights), best_values(members, weights)
    gaps = (1.0 - eps) * best - reached
    at = int(np.argmax(gaps))
    relative: float | None = None
    relative_at: FloatArray | None = None
    units = candidates.max(axis=0)
    if ratio and units.min() < _UNDERFLOW:
        relative, relative_at = _ratio_in_units(candidates, members, delta, units)
    elif ratio:
        shares = 1.0 - (reached + delta) / best
        most = int(np.argmax(shares))
        relative, relative_at = max(0.0, float(shares[most])), weights[most].copy()
    return Certificate(
        eps=eps,
        delta=delta,
        additive=max(0.0, float(gaps[at])),
        multiplicative=relative,
        worst_weights_additive=weights[at].copy(),
        worst_weights_multiplicative=relative_at,
        method=method,
        corners=len(weights) if method == "corners" else 0,
    )


def _verify(
    candidates: FloatArray,
    rivals: FloatArray,
    members: FloatArray,
    eps: float,
    delta: float,
    *,
    ratio: bool,
) -> Certificate:
    """The certificate by linear programs for the `rivals`, the candidates that can make a gap."""
    d = candidates.shape[1]
    weights = np.concatenate([np.full((1, d), 1.0 / d), np.eye(d)])
    if len(rivals):
        weights = np.concatenate([weights, additive_maximisers(rivals, members, eps)])
    if ratio and len(rivals):
        weights = np.concatenate([weights, multiplicative_maximisers(rivals, members, delta)])
    return _evaluate(candidates, members, weights, eps, delta, ratio=ratio, method="lp")
