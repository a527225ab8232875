"""Choosing a portfolio from measured policies: arrays in, indices and certificates out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

import palmfolio_palm as palm
from palmfolio_palm.certificates.confidence import Method, certificate_ucb
from palmfolio_palm.covers.best_of_size import BestPortfolio, best_portfolio, tradeoff_curve
from palmfolio_palm.covers.minimum import min_portfolio
from palmfolio_palm.covers.progress import Progress, ProgressCallback
from palmfolio_palm.validation import TOLERANCE, FloatArray, IntArray

# Bounds over all pairs of policies are not computed for more candidates than this.
MAX_CONFIDENCE_POLICIES = 200
MIN_PROMPTS = 2
# A bootstrap over fewer prompts than this is not to be trusted.
BOOTSTRAP_PROMPTS = 20


@dataclass(frozen=True)
class Target:
    """What is asked of a portfolio.

    Attributes:
        epsilon: multiplicative gap that is allowed, in [0, 1).
        delta: additive gap that is allowed, in [0, 1].
        max_size: members at most; 0 for as many as needed. With epsilon = delta = 0 and a
            max_size there is no target: the best portfolio of that size is wanted.
    """

    epsilon: float
    delta: float
    max_size: int = 0

    @property
    def is_best_of_size(self) -> bool:
        """Whether only the size is given."""
        return self.max_size > 0 and self.epsilon == 0 and self.delta == 0


@dataclass(frozen=True, eq=False)
class Certified:
    """A portfolio with its certificates over the whole simplex.

    Attributes:
        members: (k,) rows of V, increasing.
        certificate: at the target's epsilon and delta.
        plain: at epsilon = delta = 0: the additive gap.
        corners: the number of corner weights, where the gap of every user is decided.
        size_lower_bound: no portfolio with fewer members meets the target; 0 without a target.
        gap_lower_bound: no portfolio with as many members has a smaller gap; 0 when not asked for.
        optimal: the portfolio is proven smallest for its target, or best of its size.
    """

    members: IntArray
    certificate: palm.Certificate
    plain: palm.Certificate
    corners: int
    size_lower_bound: int = 0
    gap_lower_bound: float = 0.0
    optimal: bool = False


@dataclass(frozen=True)
class Baselines:
    """Additive gaps of the simplest portfolios.

    Attributes:
        base_model: of the base model alone; None when it is no candidate.
        best_single: of the best policy alone.
        best_single_index: its row of V.
    """

    base_model: float | None
    best_single: float
    best_single_index: int


@dataclass(frozen=True, eq=False)
class Bound:
    """An upper bound on the true additive gap, for means over finitely many prompts.

    Attributes:
        level: the probability that it holds.
        worst_weights: (d,) the user who is served worst according to the means.
        method: how it was computed.
        prompts: that it rests on.
    """

    level: float
    gap: float
    worst_weights: FloatArray
    method: str
    prompts: int


@dataclass(frozen=True, eq=False)
class Point:
    """The best portfolio of one size.

    Attributes:
        members: rows of V.
        gap: its additive gap, exact.
        lower_bound: no portfolio of this size has a smaller gap.
        worst_weights: (d,) where the gap is reached.
    """

    size: int
    members: IntArray
    gap: float
    lower_bound: float
    optimal: bool
    worst_weights: FloatArray


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


Stopped: TypeAlias = Callable[[], bool]


def _never() -> bool:
    return False


def _watch(stopped: Stopped) -> ProgressCallback:
    """Ends palm's searches once nobody waits for them."""

    def report(_: Progress) -> None:
        if stopped():
            raise Abandoned

    return report


class TargetInfeasible(Exception):
    """No portfolio of the allowed size meets the target.

    Attributes:
        weights: (d,) the weights that the best portfolio of that size serves worst.
        gap: its gap there.
        size: members that were allowed.
    """

    def __init__(self, best: BestPortfolio, size: int, delta: float) -> None:
        self.weights = best.certificate.worst_weights_additive
        self.gap = best.gap
        self.size = size
        proven = best.lower_bound > delta
        how = "no portfolio" if proven else "no portfolio that was found in time"
        super().__init__(
            f"{how} of {size} policies meets the target; the best reaches a gap of {best.gap:.4g}"
        )


def select(
    V: FloatArray,
    target: Target,
    seconds: float,
    *,
    greedy: bool = False,
    stopped: Stopped = _never,
) -> Certified:
    """The smallest portfolio that meets the target, or the best one of a size.

    Several portfolios can be the smallest: of those, one of the smallest gap is taken.

    Args:
        V: (n, d) values of the candidates, in [0, 1].
        target: what is asked.
        seconds: time for the proof; after it the best one found is returned with its bound.
        greedy: leave it at the greedy cover.
        stopped: tells, from another thread, that nobody waits for the answer any more.

    Raises:
        TargetInfeasible: max_size is too small for the target.
        Abandoned: `stopped` said so.
    """
    if target.is_best_of_size:
        size = min(target.max_size, len(V))
        best = best_portfolio(V, size, time_limit=seconds, progress=_watch(stopped))
        return replace(
            certify(V, best.indices, target),
            gap_lower_bound=best.lower_bound,
            optimal=best.optimal,
        )
    members, lower_bound = _cover(V, target, seconds, greedy, stopped)
    if target.max_size and len(members) > target.max_size:
        best = best_portfolio(
            V,
            target.max_size,
            eps=target.epsilon,
            time_limit=seconds,
            progress=_watch(stopped),
        )
        if best.gap > target.delta + TOLERANCE:
            raise TargetInfeasible(best, target.max_size, target.delta)
        members = best.indices
    elif not greedy:
        members = _closest(V, members, target, seconds, stopped)
    return replace(
        certify(V, members, target),
        size_lower_bound=lower_bound,
        optimal=lower_bound == len(members),
    )


def _cover(
    V: FloatArray, target: Target, seconds: float, greedy: bool, stopped: Stopped
) -> tuple[IntArray, int]:
    """Members that meet the target, and a lower bound on their number."""
    if greedy:
        return palm.greedy_cover(V, target.epsilon, target.delta).indices, 1
    found = min_portfolio(
        V, target.epsilon, target.delta, time_limit=seconds, progress=_watch(stopped)
    )
    return found.indices, found.lower_bound


def _closest(
    V: FloatArray, members: IntArray, target: Target, seconds: float, stopped: Stopped
) -> IntArray:
    """Of the portfolios with as many members, the one of the smallest gap that was found."""
    best = best_portfolio(
        V, len(members), eps=target.epsilon, time_limit=seconds, progress=_watch(stopped)
    )
    return best.indices if best.gap <= target.delta + TOLERANCE else members


def certify(V: FloatArray, members: IntArray, target: Target) -> Certified:
    """The certificates of given members."""
    order = np.sort(members)
    return Certified(
        members=order,
        certificate=palm.certificate(V, order, target.epsilon, target.delta),
        plain=palm.certificate(V, order),
        corners=_corner_count(V[order]),
    )


def _corner_count(members: FloatArray) -> int:
    try:
        return len(palm.corner_weights(members))
    except palm.CornersUnavailable:
        return 0


def baselines(V: FloatArray, base: int | None) -> Baselines:
    """How one policy for everyone would do.

    Alone, a policy is worst for a user who cares about a single trait.

    Args:
        V: (n, d) values of the candidates.
        base: the base model's row; None when it is no candidate.
    """
    gaps = (V.max(axis=0) - V).max(axis=1)
    best = int(np.argmin(gaps))
    return Baselines(
        base_model=None if base is None else float(gaps[base]),
        best_single=float(gaps[best]),
        best_single_index=best,
    )


def curve(V: FloatArray, largest: int, seconds: float, *, stopped: Stopped = _never) -> list[Point]:
    """The best portfolio of every size from 1 to `largest`, ending where the gap is 0.

    Raises:
        Abandoned: `stopped` said so.
    """
    points: list[Point] = []
    for best in tradeoff_curve(V, largest, time_limit=seconds, progress=_watch(stopped)):
        worst = best.certificate.worst_weights_additive
        points.append(Point(best.k, best.indices, best.gap, best.lower_bound, best.optimal, worst))
        if best.gap <= TOLERANCE:
            break
    return points


def confidence(X: FloatArray, members: IntArray, level: float) -> Bound | None:
    """An upper bound on the true gap that holds although the members were chosen on the same data.

    Args:
        X: (n, N, d) mean rewards of the candidates by prompt, in [0, 1].
        members: rows of the portfolio.
        level: the probability that the bound holds, over the draw of the N prompts.

    Returns:
        None for fewer than two prompts.
    """
    prompts = X.shape[1]
    if prompts < MIN_PROMPTS:
        return None
    method: Method = "max_t" if prompts >= BOOTSTRAP_PROMPTS else "hoeffding"
    found = certificate_ucb(X, members, level, method)
    plain = palm.certificate(np.clip(X.mean(axis=1), 0.0, 1.0), members)
    return Bound(
        level=level,
        gap=min(1.0, found.bound),
        worst_weights=plain.worst_weights_additive,
        method=method,
        prompts=prompts,
    )
