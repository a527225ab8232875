"""How many standard errors a bound needs to hold for all comparisons at once.

Source: docs/algorithms.md, section 6.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from palmfolio_palm.prompts.comparisons import SCREENING, Comparisons, Sample
from palmfolio_palm.validation import FloatArray, IntArray

# Policies that are drawn together, and rivals that are tried at most. Where there are more, the
# ones drawn stand for the others, and the tail probability is divided among all.
_DRAWN, _RIVALS = 250, 12
_NEVER = -1e9


def critical_value(
    sample: Sample,
    compared: Comparisons,
    members: IntArray,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """The level-quantile of the largest studentised error, by multiplier bootstrap over prompts.

    At each weight one policy is the best, though it is not known which: the largest of the
    quantiles for each of those that may be.
    """
    tail = (1.0 - SCREENING) * (1.0 - level)
    used = np.flatnonzero(compared.member.any(axis=0))
    drawn = _drawn(used, members, rng)
    rivals = _rivals(sample, compared)
    noise = _noise(sample, np.union1d(drawn, rivals), draws, rng)
    place = {policy: index for index, policy in enumerate(np.union1d(drawn, rivals))}
    lead = sample.utility.argmax(axis=1)
    base, by_rival = [], []
    for m in np.flatnonzero(compared.member[:, drawn].any(axis=1)):
        second = drawn[compared.member[m][drawn]]
        at = noise @ sample.cells.weights[m]
        largest = {}
        for c in rivals[compared.rival[m][rivals]]:
            error = sample.errors(m, np.array([c]), second, sample.eps)[0]
            difference = at[:, [place[p] for p in second]] - (1.0 - sample.eps) * at[:, [place[c]]]
            ratio = np.where(second == c, _NEVER, difference / error)
            largest[c] = ratio.max(axis=1)
        base.append(largest[lead[m]])
        by_rival.append([largest.get(c, largest[lead[m]]) for c in rivals])
    statistics = [np.max(base, axis=0)]
    statistics += [np.max([row[i] for row in by_rival], axis=0) for i in range(len(rivals))]
    quantile = max(float(np.quantile(statistic, 1.0 - tail)) for statistic in statistics)
    quantile = max(quantile, float(-ndtri(tail)))
    return float(-ndtri(ndtr(-quantile) * len(drawn) / len(used)))


def _drawn(used: IntArray, members: IntArray, rng: np.random.Generator) -> IntArray:
    """The policies that the bootstrap draws: the members among them, and others by chance."""
    if len(used) <= _DRAWN:
        return used
    own = np.intersect1d(used, members)[:_DRAWN]
    rest = np.setdiff1d(used, own)
    chosen = rng.choice(rest, min(len(rest), _DRAWN - len(own)), replace=False)
    return np.sort(np.concatenate([own, chosen]).astype(np.intp))


def _rivals(sample: Sample, compared: Comparisons) -> IntArray:
    """Policies that may be best somewhere: those that are, and the ones that come nearest."""
    utility = sample.utility
    short = np.where(compared.rival, utility.max(axis=1, keepdims=True) - utility, np.inf)
    nearest = np.argsort(short.min(axis=0), kind="stable")[:_RIVALS]
    leaders = np.unique(utility.argmax(axis=1))
    return np.union1d(leaders, nearest).astype(np.intp)


def _noise(sample: Sample, policies: IntArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """(draws, p, d) errors of the means, with those that no prompt may have shown."""
    centred = sample.centred[policies]
    p, prompts, d = centred.shape
    flat = centred.transpose(1, 0, 2).reshape(prompts, p * d)
    seen = rng.standard_normal((draws, prompts)) @ flat / np.sqrt(prompts * (prompts - 1.0))
    unseen = rng.standard_normal((draws, p * d)) * (np.sqrt(0.5) / prompts)
    noise: FloatArray = (seen + unseen).reshape(draws, p, d)
    return noise
