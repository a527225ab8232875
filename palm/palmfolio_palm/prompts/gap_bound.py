"""An upper bound on the true gap of a portfolio from rewards on finitely many prompts.

Source: docs/algorithms.md, section 6. For every mixture λ of the members, nobody in a cell of users
loses more against c than (1 − eps)·c − Σ λ_p·p does at the cell's worst corner. So any λ gives a
bound; the one taken minimises the mean difference and its error together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from palmfolio_palm.prompts.cells import cells_of
from palmfolio_palm.prompts.comparisons import Comparisons, Sample, comparisons
from palmfolio_palm.prompts.critical import critical_value
from palmfolio_palm.prompts.likelihood import upper_means, within
from palmfolio_palm.prompts.order import canonical_order
from palmfolio_palm.validation import FloatArray, IntArray

# Members that are mixed at most in a cell, those that are best there.
_MIXED = 8
# Mixtures that are improved together, and steps; the bound holds for any mixture.
_TOGETHER, _ROUNDS, _STEPS = 400, 4, 50
# Numbers in a temporary array: 16 MB.
_ENTRIES = 2_000_000


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Cells and rivals, with what the members mean there.

    Attributes:
        cell, rival: (r,) which cell and which policy.
        mixed: (r, k) which members are mixed.
        mean: (r, v, k) mean difference to each at each corner of the cell.
        own: (r, v) variance of the rival's mean, and of what no prompt showed.
        shared: (r, v, k) its covariances with the members.
        spread: (r, v, k, k) covariances of the members.
    """

    cell: IntArray
    rival: IntArray
    mixed: IntArray
    mean: FloatArray
    own: FloatArray
    shared: FloatArray
    spread: FloatArray

    def take(self, rows: IntArray) -> _Pairs:
        """Some of them."""
        return _Pairs(
            self.cell[rows],
            self.rival[rows],
            self.mixed[rows],
            self.mean[rows],
            self.own[rows],
            self.shared[rows],
            self.spread[rows],
        )


def gap_bound(
    rewards: FloatArray,
    members: IntArray,
    level: float,
    *,
    eps: float,
    largest_group: float,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """The true additive gap at `eps` is at most this with probability ≥ level; ≥ 0.

    Args:
        rewards: (n, N, d) of each policy on independent prompts, or groups of prompts.
        members: rows of the portfolio.
        level: confidence.
        eps: relative loss in [0, 1).
        largest_group: size of the largest group of prompts in units of the mean size; 1 without.
        draws: bootstrap draws.
        rng: of the bootstrap.
    """
    policies, prompts = canonical_order(rewards, members)
    members = np.flatnonzero(np.isin(policies, members))
    rewards = np.ascontiguousarray(rewards[policies][:, prompts])
    means = rewards.mean(axis=1)
    cells = cells_of(rewards.shape[2])
    sample = Sample(cells.weights @ means.T, rewards - means[:, None], cells, eps)
    compared = comparisons(sample, members, level)
    critical = critical_value(sample, compared, members, level, draws, rng)
    rivals = np.setdiff1d(np.flatnonzero(compared.best.any(axis=0)), members)
    if not len(rivals):
        return 0.0
    pairs = _pairs(sample, compared, members, rivals)
    mixtures, bounds = _mixtures(pairs, critical)
    order = np.argsort(-bounds)
    bound, allowance = 0.0, critical**2 / 2.0
    corners = cells.corners.shape[1]
    block = max(1, _ENTRIES // (sample.prompts * corners * _MIXED))
    # The likelihood bounds are dear: those that surely change nothing are passed over.
    for start in range(0, len(order), block):
        rows = order[start : start + block]
        some = pairs.take(rows)
        Y, highest = _differences(sample, some, mixtures[rows], largest_group)
        if start == 0:
            bound = float(upper_means(Y[:corners], highest[:corners], allowance).max())
        left = np.logical_not(within(Y, highest, allowance, max(bound, 0.0)))
        if left.any():
            bound = max(bound, float(upper_means(Y[left], highest[left], allowance).max()))
    return max(0.0, bound)


def _pairs(sample: Sample, compared: Comparisons, members: IntArray, rivals: IntArray) -> _Pairs:
    """Every cell with every policy that may be best in it."""
    corners, utility = sample.cells.corners, sample.utility
    scale, rest = sample.prompts * (sample.prompts - 1.0), 1.0 - sample.eps
    cell, column = np.nonzero(compared.best[:, rivals])
    at = corners[cell]
    own, shared, spread = [], [], []
    for m in range(len(utility)):
        first, second = sample.deviations(m, rivals), sample.deviations(m, members)
        own.append(rest**2 * (first * first).sum(axis=1) / scale)
        shared.append(rest * first @ second.T / scale)
        spread.append(second @ second.T / scale)
    served = utility[:, members][corners].mean(axis=1)
    mixed = np.argsort(-served, axis=1, kind="stable")[:, :_MIXED][cell]
    unseen = np.array([sample.unseen(m) for m in range(len(utility))])
    here = mixed[:, None, :]
    mean = (
        rest * utility[at, rivals[column][:, None]][:, :, None]
        - utility[:, members][at[:, :, None], here]
    )
    return _Pairs(
        cell=cell.astype(np.intp),
        rival=rivals[column],
        mixed=members[mixed],
        mean=mean,
        own=np.array(own)[at, column[:, None]] + unseen[at],
        shared=np.array(shared)[at[:, :, None], column[:, None, None], here],
        spread=np.array(spread)[
            at[:, :, None, None], mixed[:, None, :, None], mixed[:, None, None, :]
        ],
    )


def _at(pairs: _Pairs, mixtures: FloatArray, critical: float) -> tuple[FloatArray, FloatArray]:
    """Mean difference plus critical · error at each corner (r, v), and its gradient (r, v, k)."""
    pulled = np.einsum("rvab,rb->rva", pairs.spread, mixtures) - pairs.shared
    variance = pairs.own + np.einsum("rva,ra->rv", pulled - pairs.shared, mixtures)
    error = np.sqrt(np.maximum(variance, 1e-18))
    height = np.einsum("rva,ra->rv", pairs.mean, mixtures) + critical * error
    return height, pairs.mean + critical * pulled / error[:, :, None]


def _mixtures(pairs: _Pairs, critical: float) -> tuple[FloatArray, FloatArray]:
    """A good mixture for each pair (r, k), and its bound by standard errors (r,)."""
    rows, k = pairs.mixed.shape
    best = np.full((rows, k), 1.0 / k)
    bounds = _at(pairs, best, critical)[0].max(axis=1)
    for position in range(k if k > 1 else 0):
        alone = np.zeros((rows, k))
        alone[:, position] = 1.0
        height = _at(pairs, alone, critical)[0].max(axis=1)
        better = height < bounds
        bounds[better], best[better] = height[better], alone[better]
    improved = np.zeros(rows, dtype=bool)
    for _ in range(_ROUNDS if k > 1 else 0):
        worst = np.argsort(-bounds)[:_TOGETHER]
        worst = worst[~improved[worst]]
        if not len(worst):
            break
        improved[worst] = True
        _improve(pairs.take(worst), worst, best, bounds, critical)
    return best, bounds


def _improve(
    pairs: _Pairs, rows: IntArray, best: FloatArray, bounds: FloatArray, critical: float
) -> None:
    """Exponentiated gradient steps on the largest corner, smoothed; keeps what is better."""
    mixtures = 0.5 * best[rows] + 0.5 / best.shape[1]
    for step in range(_STEPS):
        height, slope = _at(pairs, mixtures, critical)
        largest = height.max(axis=1)
        better = largest < bounds[rows]
        bounds[rows[better]], best[rows[better]] = largest[better], mixtures[better]
        share = np.exp((height - largest[:, None]) * (1.0 + step / 10.0) / 0.02)
        share /= share.sum(axis=1, keepdims=True)
        pull = np.einsum("rv,rva->ra", share, slope)
        pull -= pull.min(axis=1, keepdims=True)
        mixtures = mixtures * np.exp(-30.0 / (1.0 + step / 20.0) * pull)
        mixtures /= mixtures.sum(axis=1, keepdims=True)


def _differences(
    sample: Sample, pairs: _Pairs, mixtures: FloatArray, largest_group: float
) -> tuple[FloatArray, FloatArray]:
    """(r·v, N) differences to the mixture on each prompt, and the largest that is possible."""
    at = sample.cells.corners[pairs.cell]
    rest = 1.0 - sample.eps
    mixed = np.einsum("rk,rkjt->rjt", mixtures, sample.centred[pairs.mixed])
    centred = rest * sample.centred[pairs.rival] - mixed
    Y = np.einsum("rjt,rvt->rvj", centred, sample.cells.weights[at])
    mean = np.einsum("rvk,rk->rv", pairs.mean, mixtures)[:, :, None]
    highest = mean + largest_group * (rest - mean)
    Y = Y + mean
    highest = np.maximum(highest[:, :, 0], Y.max(axis=2))
    return Y.reshape(-1, sample.prompts), highest.ravel()
