"""The choice of a portfolio from measured policies, with all that is certified of it.

This is the one way in which the selector and the command line choose: the same values and the same
target give the same members, certificates and confidence bound (docs/algorithms.md, section 4).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.certificates.certificate import Certificate, certificate_of_all, certificates
from palmfolio_palm.certificates.confidence import ConfidenceBound, certificate_ucb, hoeffding_bound
from palmfolio_palm.certificates.confirmation import confirm
from palmfolio_palm.covers.best_of_size import best_portfolio, tradeoff_curve
from palmfolio_palm.covers.gap_search import BestPortfolio
from palmfolio_palm.covers.greedy import greedy_cover
from palmfolio_palm.covers.minimum import min_portfolio
from palmfolio_palm.covers.progress import ProgressCallback
from palmfolio_palm.pareto import pareto
from palmfolio_palm.targets import Target, TargetInfeasible
from palmfolio_palm.validation import (
    TOLERANCE,
    FloatArray,
    IntArray,
    check_portfolio,
    check_positive,
    check_size,
    check_values,
)

# Probability with which the bound for finitely many prompts holds, where nothing else is asked.
CONFIDENCE_LEVEL = 0.95
# The rewards of more policies than this on every prompt are not read, as they take gigabytes, and
# Hoeffding's bound, which needs only the means, is reported.
MAX_CONFIDENCE_POLICIES = 2000
# One prompt says nothing about the spread between prompts.
MIN_PROMPTS = 2

# Shares of the time: for the greedy cover, which is the answer if nothing better comes; until the
# end of the search for fewer members; and for a smaller gap with as many members. The last one
# helps most in its first second (a table of 40 x 3 at delta 0.05: from a gap of 0.0495 to 0.0376),
# and its proof is not reported, so it gets little.
_GREEDY_SHARE, _MINIMUM_SHARE, _GAP_SHARE = 0.4, 0.75, 0.25
_LEAST_SECONDS = 0.1  # that a later step has at least
# Time of a first answer for the best of a size, and share of the time until the certificates.
_FIRST_SECONDS, _SEARCH_SHARE = 1e-3, 0.95


@dataclass(frozen=True, eq=False)
class Selection:
    """A portfolio with its certificates over the whole simplex.

    Attributes:
        members: (k,) rows of V, increasing.
        certificate: at the target's epsilon and delta.
        plain: at epsilon = delta = 0: the pure additive and the pure multiplicative gap.
        size_lower_bound: no portfolio with fewer members meets the target; 0 without a target.
        gap_lower_bound: no portfolio with as many members has a smaller gap; 0 when not asked for.
        optimal: the portfolio is proven smallest for its target, or best of its size.

    Example:
        >>> chosen = certify([[1, 0], [0, 1], [0.6, 0.6]], [0, 1], Target(0.05, 0.0))
        >>> round(chosen.plain.additive, 3), round(chosen.certificate.additive, 3)
        (0.1, 0.07)
    """

    members: IntArray
    certificate: Certificate
    plain: Certificate
    size_lower_bound: int = 0
    gap_lower_bound: float = 0.0
    optimal: bool = False


SelectionCallback: TypeAlias = Callable[[Selection], None]


@dataclass(frozen=True)
class Baselines:
    """Additive gaps of the simplest portfolios.

    Attributes:
        base_model: gap of the base model as the only policy; None when it is not a candidate.
        best_single: gap of the best single policy.
        best_single_index: row of that policy.

    Example:
        >>> baselines([[1, 0], [0, 1], [0.6, 0.6]], base=1)
        Baselines(base_model=1.0, best_single=0.4, best_single_index=2)
    """

    base_model: float | None
    best_single: float
    best_single_index: int


def select(
    V: ArrayLike,
    target: Target,
    seconds: float,
    *,
    greedy: bool = False,
    progress: ProgressCallback | None = None,
    interim: SelectionCallback | None = None,
) -> Selection:
    """The smallest portfolio that meets the target, or the best one of a size.

    Several portfolios can be the smallest: of those, one of the smallest gap that is found is
    taken.

    Args:
        V: (n, d) values of the candidates, in [0, 1].
        target: what is asked.
        seconds: time for the search and its proof; after it the best portfolio so far is returned
            with its bound.
        greedy: leave it at the greedy cover.
        progress: called after every step; an exception that it raises ends the search.
        interim: called with a first answer, for a caller who ends the search early: the greedy
            cover, or for the best of a size a forward selection.

    Raises:
        ValueError: naming the argument.
        TargetInfeasible: max_size is too small for the target.

    Example:
        >>> chosen = select([[1, 0], [0, 1], [0.6, 0.6]], Target(0.0, 0.45), seconds=5)
        >>> chosen.members.tolist(), chosen.optimal, round(chosen.plain.additive, 3)
        ([2], True, 0.4)
    """
    began = time.monotonic()
    values = check_values(V)
    seconds = check_positive(seconds, "seconds")
    # Portfolios can tie. Searching in an order that the values decide gives the same members
    # wherever the candidates come from, a file or a database.
    order = np.lexsort(values.T[::-1])
    rows = values[order]
    allowed = min(target.max_size, len(rows))
    eps, delta = target.epsilon, target.delta

    def left(share: float) -> float:
        return max(_LEAST_SECONDS, share * seconds - (time.monotonic() - began))

    if target.is_best_of_size:
        if interim is not None:
            first = best_portfolio(rows, allowed, time_limit=_FIRST_SECONDS)
            exact = first.certificate
            interim(Selection(np.sort(order[first.indices]), exact, exact))
        best = best_portfolio(rows, allowed, time_limit=left(_SEARCH_SHARE), progress=progress)
        return replace(
            certify(values, order[best.indices], target),
            gap_lower_bound=best.lower_bound,
            optimal=best.optimal,
        )
    cover = greedy_cover(rows, eps, delta, time_limit=left(1.0 if greedy else _GREEDY_SHARE))
    members, lower_bound = cover.indices, 1
    if not greedy:
        if interim is not None:
            interim(Selection(np.sort(order[members]), cover.certificate, cover.plain, 1))
        smallest = min_portfolio(
            rows, eps, delta, time_limit=left(_MINIMUM_SHARE), start=cover, progress=progress
        )
        members, lower_bound = smallest.indices, smallest.lower_bound
    if allowed and len(members) > allowed:
        best = best_portfolio(
            rows, allowed, eps=eps, time_limit=left(_SEARCH_SHARE), progress=progress
        )
        if not _meets(rows, best, target):
            proven = lower_bound > allowed or best.lower_bound > delta + TOLERANCE
            raise TargetInfeasible(best, target.max_size, proven=proven)
        members = best.indices
    elif not greedy:
        limit = min(left(_SEARCH_SHARE), _GAP_SHARE * seconds)
        best = best_portfolio(rows, len(members), eps=eps, time_limit=limit, progress=progress)
        if _meets(rows, best, target):
            members = best.indices
    return replace(
        certify(values, order[members], target),
        size_lower_bound=lower_bound,
        optimal=lower_bound == len(members),
    )


def _meets(values: FloatArray, best: BestPortfolio, target: Target) -> bool:
    """Whether a portfolio of a small additive gap meets the target at tiny values too."""
    if best.gap > target.delta + TOLERANCE:
        return False
    members = best.indices
    return certificates(values, members, [(target.epsilon, target.delta)])[0].holds


def certify(V: ArrayLike, members: ArrayLike, target: Target) -> Selection:
    """The certificates of given members, confirmed in a second way where that takes a second.

    Args:
        V: (n, d) values of the candidates, in [0, 1].
        members: (k,) rows of V.
        target: its epsilon and delta count.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> certify([[1, 0], [0, 1], [0.6, 0.6]], [0, 1], Target(0.0, 0.2)).certificate.holds
        True
    """
    values = check_values(V)
    order = np.sort(check_portfolio(members, len(values), "members"))
    at_target, plain = certificates(values, order, [(target.epsilon, target.delta), (0.0, 0.0)])
    return Selection(
        members=order,
        certificate=confirm(at_target, values, order),
        plain=confirm(plain, values, order),
    )


def whole(V: ArrayLike, target: Target) -> Selection:
    """Every Pareto-optimal candidate: the portfolio in which nobody loses anything.

    It needs no search, so it is what a caller has who must answer before `select` does.

    Args:
        V: (n, d) values of the candidates, in [0, 1].
        target: its epsilon and delta count.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> whole([[1, 0], [0, 1], [0, 0.5]], Target(0.1, 0.0)).members.tolist()
        [0, 1]
    """
    values = check_values(V)
    members = pareto(values)
    return Selection(
        members=members,
        certificate=certificate_of_all(values, target.epsilon, target.delta),
        plain=certificate_of_all(values, 0.0, 0.0),
        size_lower_bound=1,
        optimal=len(members) == 1,
    )


def baselines(V: ArrayLike, base: int | None) -> Baselines:
    """What a single policy for everyone would lose.

    A single policy is worst for a user who cares about one trait only, so no search is needed.

    Args:
        V: (n, d) values of the candidates, in [0, 1].
        base: the base model's row; None when it is not a candidate.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> baselines([[1, 0], [0, 1], [0.6, 0.6]], base=None).best_single_index
        2
    """
    values = check_values(V)
    gaps = (values.max(axis=0) - values).max(axis=1)
    best = int(np.argmin(gaps))
    return Baselines(
        base_model=None if base is None else float(gaps[base]),
        best_single=float(gaps[best]),
        best_single_index=best,
    )


def curve(
    V: ArrayLike, largest: int, seconds: float, *, progress: ProgressCallback | None = None
) -> list[BestPortfolio]:
    """The best portfolio of every size from 1 to `largest`, ending where the gap is 0.

    Args:
        V: (n, d) values of the candidates, in [0, 1].
        largest: size at which to end, 1 to n.
        seconds: time for all sizes together.
        progress: called after every step; an exception that it raises ends the search.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> points = curve([[1, 0], [0, 1], [0.6, 0.6]], 3, seconds=5)
        >>> [(point.k, round(point.gap, 3)) for point in points]
        [(1, 0.4), (2, 0.1), (3, 0.0)]
    """
    points: list[BestPortfolio] = []
    largest = check_size(largest, len(check_values(V)), "largest")
    for best in tradeoff_curve(V, largest, time_limit=seconds, progress=progress):
        points.append(best)
        if best.gap <= TOLERANCE:
            break
    return points


def confidence(
    X: ArrayLike,
    members: ArrayLike,
    level: float = CONFIDENCE_LEVEL,
    *,
    clusters: ArrayLike | None = None,
) -> ConfidenceBound | None:
    """An upper bound on the true additive gap, valid although the members were chosen on `X`.

    Args:
        X: (n, N, d) mean rewards of the candidates by prompt, in [0, 1].
        members: (k,) rows of the portfolio.
        level: the probability that the bound holds, over the draw of the N prompts.
        clusters: (N,) labels of prompts that were drawn together, such as one template's; by
            default every prompt was drawn on its own.

    Returns:
        None for fewer than `MIN_PROMPTS` prompts, or clusters of prompts.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).random((3, 40, 2))
        >>> bound = confidence(X, [0, 1])
        >>> bound.method, bound.estimate <= bound.bound
        ('likelihood', True)
    """
    rewards = np.asarray(X, dtype=np.float64)
    if rewards.ndim == 3 and rewards.shape[1] < MIN_PROMPTS:
        return None
    if clusters is not None and len(np.unique(np.asarray(clusters))) < MIN_PROMPTS:
        return None
    if clusters is None and rewards.ndim == 3 and rewards.shape[0] > MAX_CONFIDENCE_POLICIES:
        return certificate_ucb(rewards, members, level, "hoeffding")
    return certificate_ucb(rewards, members, level, clusters=clusters)


def confidence_of_means(
    V: ArrayLike, prompts: int, members: ArrayLike, level: float = CONFIDENCE_LEVEL
) -> ConfidenceBound | None:
    """`confidence` from means only, for a caller with too many policies to read their rewards.

    Args:
        V: (n, d) means of the candidates over the prompts, in [0, 1].
        prompts: N, the number of prompts behind them.
        members: (k,) rows of the portfolio.
        level: the probability that the bound holds, over the draw of the prompts.

    Returns:
        None for fewer than `MIN_PROMPTS` prompts.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> confidence_of_means([[1, 0], [0, 1]], 1000, [0]).method
        'hoeffding'
    """
    if prompts < MIN_PROMPTS:
        return None
    return hoeffding_bound(V, members, prompts, level)
