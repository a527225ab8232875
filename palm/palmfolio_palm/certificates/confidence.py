"""Upper confidence bounds on a portfolio's gap when values are means over finitely many prompts.

Source: docs/algorithms.md, section 6. The prompts are the same for all policies (paired).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from palmfolio_palm.certificates.certificate import Certificate, certificate
from palmfolio_palm.prompts.gap_bound import gap_bound
from palmfolio_palm.prompts.groups import by_group
from palmfolio_palm.validation import (
    FloatArray,
    IntArray,
    check_choice,
    check_dimension,
    check_eps,
    check_portfolio,
    check_size,
    check_values,
)

Method = Literal["likelihood", "max_t", "hoeffding", "split"]
# Entries of a temporary array of bootstrap draws: 32 MB.
_BLOCK_ENTRIES = 4_000_000
# Differences of rewards in [0, 1] with a smaller standard error than this are rounding.
_NO_SPREAD = 1e-12
# The bound by likelihood is a multiple of this.
_RESOLUTION = 1e-10


@dataclass(frozen=True, eq=False)
class ConfidenceBound:
    """Result of `certificate_ucb`.

    Attributes:
        bound: the true additive gap is at most this, with probability ≥ level; in [0, 1].
        estimate: the gap of the means, which is optimistic when the same prompts chose P.
        level: for example 0.95.
        method: how the bound was made; see `certificate_ucb`.
        prompts: number of prompts it rests on.
        clusters: number of groups of prompts that were drawn together; None without groups.
        worst_weights: (d,) the user who is served worst according to the means.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).random((3, 40, 2))
        >>> bound = certificate_ucb(X, [0])
        >>> bound.level, bound.method, bound.prompts, bound.bound > bound.estimate
        (0.95, 'likelihood', 40, True)
    """

    bound: float
    estimate: float
    level: float
    method: Method
    prompts: int
    worst_weights: FloatArray
    clusters: int | None = None


def certificate_ucb(
    X: ArrayLike,
    P: ArrayLike,
    level: float = 0.95,
    method: Method = "likelihood",
    *,
    eps: float = 0.0,
    clusters: ArrayLike | None = None,
    held_out: ArrayLike | None = None,
    draws: int = 500,
    seed: int = 0,
) -> ConfidenceBound:
    """Upper confidence bound on the additive gap at `eps` of the portfolio `P`.

    Args:
        X: (n, N, d) reward in [0, 1] of policy p on prompt j and trait i.
        P: indices of the members.
        level: confidence, in (0.5, 1).
        method: "likelihood" (empirical likelihood of the comparisons on which the gap can rest,
            for 2 prompts and more; valid although P was chosen on the same prompts), "max_t"
            (multiplier bootstrap over all ordered policy pairs; it needs many prompts and spread on
            each), "hoeffding" (holds for any number of prompts, very loose; needs no spread) or
            "split" (percentile bootstrap on prompts that had no part in choosing P).
        eps: relative loss in [0, 1).
        clusters: (N,) labels of prompts that were drawn together, for "likelihood"; by default
            every prompt is drawn on its own. Groups count as one draw each.
        held_out: for "split", the prompts that had no part in choosing P; default the second half.
        draws: bootstrap draws.
        seed: of the bootstrap.

    "likelihood" takes under a second for hundreds of policies; "max_t" takes time and memory in
    proportion to draws·n²·d and n²·d.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).random((3, 40, 2))
        >>> tight = certificate_ucb(X, [0, 1]).bound
        >>> tight < certificate_ucb(X, [0, 1], method="hoeffding").bound
        True
    """
    rewards = _check_rewards(X)
    members = check_portfolio(P, len(rewards))
    level = _check_level(level)
    check_choice(method, ("likelihood", "max_t", "hoeffding", "split"), "method")
    eps, draws = check_eps(eps), check_size(draws, 1_000_000, "draws")
    rng = np.random.default_rng(seed)
    if clusters is not None and method != "likelihood":
        raise ValueError(f'clusters need the method "likelihood", got {method!r}')
    if method == "split":
        rewards = rewards[:, _check_held_out(held_out, rewards.shape[1])]
    means = _means(rewards)
    if method == "hoeffding":
        return hoeffding_bound(means, members, rewards.shape[1], level, eps=eps)
    exact = certificate(means, members, eps)
    if method == "likelihood":
        groups, largest = (rewards, 1.0) if clusters is None else by_group(rewards, clusters)
        bound = gap_bound(
            groups, members, level, eps=eps, largest_group=largest, draws=draws, rng=rng
        )
        # Sums in another order differ in their last digits: rounded up, the bound is the same.
        bound = math.ceil(bound / _RESOLUTION) * _RESOLUTION
        result = _bounded(exact, max(exact.additive, bound), level, method, rewards.shape[1])
        return result if clusters is None else replace(result, clusters=groups.shape[1])
    if method == "split":
        bound = _percentile(rewards, members, level, eps, draws, rng)
    else:
        bound = max(exact.additive, _max_t(rewards, members, level, eps, draws, rng))
    return _bounded(exact, bound, level, method, rewards.shape[1])


def hoeffding_bound(
    V: ArrayLike, P: ArrayLike, prompts: int, level: float = 0.95, *, eps: float = 0.0
) -> ConfidenceBound:
    """`certificate_ucb` by "hoeffding", which needs only the means.

    Args:
        V: (n, d) mean rewards over the prompts, in [0, 1].
        P: indices of the members.
        prompts: number of prompts behind the means.
        level: confidence, in (0.5, 1).
        eps: relative loss in [0, 1).

    Raises:
        ValueError: naming the argument.

    Example:
        >>> round(hoeffding_bound([[1, 0], [0, 1]], [0, 1], prompts=1000).bound, 3)
        0.101
    """
    values = check_values(V)
    level, prompts = _check_level(level), check_dimension(prompts, "prompts")
    exact = certificate(values, P, eps)
    # η bounds the error of every mean at once; a gap has (1 − eps) times one and one more.
    eta = math.sqrt(math.log(2 * values.size / (1.0 - level)) / (2 * prompts))
    return _bounded(exact, exact.additive + (2.0 - eps) * eta, level, "hoeffding", prompts)


def _bounded(
    exact: Certificate, bound: float, level: float, method: Method, prompts: int
) -> ConfidenceBound:
    # Rewards lie in [0, 1], and so does every additive gap.
    return ConfidenceBound(
        bound=min(1.0, bound),
        estimate=exact.additive,
        level=level,
        method=method,
        prompts=prompts,
        worst_weights=exact.worst_weights_additive,
    )


def _check_level(level: float) -> float:
    if not 0.5 < level < 1.0:
        raise ValueError(f"level must lie in (0.5, 1), got {level}")
    return float(level)


def _check_rewards(X: ArrayLike) -> FloatArray:
    rewards = np.asarray(X, dtype=np.float64)
    if rewards.ndim != 3 or 0 in rewards.shape or rewards.shape[1] < 2:
        raise ValueError(
            "X must be a (policies, prompts, traits) array with at least 2 prompts, got shape "
            f"{rewards.shape}"
        )
    if not np.isfinite(rewards).all():
        raise ValueError("X must be finite, but holds NaN or infinity")
    if rewards.min() < 0.0 or rewards.max() > 1.0:
        raise ValueError("X must lie in [0, 1]; normalise it")
    return rewards


def _check_held_out(held_out: ArrayLike | None, prompts: int) -> IntArray:
    if held_out is None:
        return np.arange(prompts // 2, prompts, dtype=np.intp)
    chosen = check_portfolio(held_out, prompts, "held_out")
    if len(chosen) < 2:
        raise ValueError("held_out must hold at least 2 prompts")
    return chosen


def _means(rewards: FloatArray) -> FloatArray:
    means: FloatArray = np.clip(rewards.mean(axis=1), 0.0, 1.0)
    return means


def _percentile(
    rewards: FloatArray,
    members: IntArray,
    level: float,
    eps: float,
    draws: int,
    rng: np.random.Generator,
) -> float:
    prompts = rewards.shape[1]
    gaps = []
    for _ in range(draws):
        share = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts)) / prompts
        means = np.clip(np.einsum("pjt,j->pt", rewards, share), 0.0, 1.0)
        gaps.append(certificate(means, members, eps).additive)
    return float(np.quantile(gaps, level))


def _max_t(
    rewards: FloatArray,
    members: IntArray,
    level: float,
    eps: float,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """max over c of max over w of min over p of w·UCB_cp, UCB simultaneous over ordered pairs."""
    means = rewards.mean(axis=1)
    centred = rewards - means[:, None, :]
    error = _pair_errors(centred, eps)
    critical = _critical_value(centred, error, level, eps, draws, rng)
    return max(
        0.0,
        max(
            (
                _worst_margin(
                    (1.0 - eps) * means[c] - means[members] + critical * error[c, members]
                )
                for c in range(len(rewards))
                # A member loses nothing to itself, whatever the prompts.
                if c not in members
            ),
            default=0.0,
        ),
    )


def _pair_errors(centred: FloatArray, eps: float) -> FloatArray:
    """Standard errors of (1 − eps)·X_c − X_p, as (n, n, d)."""
    n, prompts, d = centred.shape
    error = np.empty((n, n, d))
    for trait in range(d):
        rows = np.ascontiguousarray(centred[:, :, trait])
        covariance = rows @ rows.T / (prompts - 1)
        own = np.diag(covariance)
        spread = (1.0 - eps) ** 2 * own[:, None] + own[None, :] - 2.0 * (1.0 - eps) * covariance
        error[:, :, trait] = np.sqrt(np.maximum(spread, 0.0) / prompts)
    return error


def _critical_value(
    centred: FloatArray,
    error: FloatArray,
    level: float,
    eps: float,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """The level-quantile of the largest studentised pair difference under the bootstrap."""
    n, prompts, d = centred.shape
    # Differences without spread are known exactly and take no part.
    inverse = np.where(error > _NO_SPREAD, 1.0 / np.maximum(error, _NO_SPREAD), 0.0)
    inverse[np.arange(n), np.arange(n)] = 0.0
    flat = centred.transpose(1, 0, 2).reshape(prompts, n * d)
    largest = np.empty(draws)
    block = max(1, _BLOCK_ENTRIES // (n * n * d))
    for start in range(0, draws, block):
        stop = min(draws, start + block)
        g = (rng.standard_normal((stop - start, prompts)) @ flat / prompts).reshape(-1, n, d)
        pairs = (1.0 - eps) * g[:, :, None, :] - g[:, None, :, :]
        largest[start:stop] = (pairs * inverse).max(axis=(1, 2, 3))
    return float(np.quantile(largest, level))


def _worst_margin(margins: FloatArray) -> float:
    """max over w ∈ Δ of min over rows of w·row."""
    k, d = margins.shape
    if k == 1:
        return float(margins.max())
    solution = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.column_stack([-margins, np.ones(k)]),
        b_ub=np.zeros(k),
        A_eq=np.append(np.ones(d), 0.0)[None, :],
        b_eq=[1.0],
        bounds=[(0.0, None)] * d + [(None, None)],
        method="highs",
    )
    if solution.x is None or solution.fun is None:
        raise RuntimeError(f"linear program failed: {solution.message}")
    return -float(solution.fun)
