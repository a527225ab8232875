"""Upper bounds on means of bounded values by empirical likelihood.

Source: docs/algorithms.md, section 6. The bound is the largest mean of a distribution on the
observed values and the largest possible one whose log-likelihood is within `allowance` of the best.
"""

from __future__ import annotations

import numpy as np

from palmfolio_palm.validation import FloatArray

# A value that never came counts as so many observations, divided by itself plus the number of
# effective events: a sample without spread says little of rare values, one with spread a lot.
_UNSEEN = 1.0
# Halvings of the search, in the logarithm of a positive number between the limits.
_HALVINGS, _SMALLEST, _LARGEST = 30, 1e-8, 1e4
_TINY = 1e-14


def upper_means(Y: FloatArray, highest: FloatArray, allowance: float) -> FloatArray:
    """Upper bounds (r,) on the means of the rows of `Y` (r, N), whose values are ≤ `highest` (r,).

    `allowance` = q²/2 corresponds to q standard errors where the prompts are many.

    Example:
        No event in 20 prompts: at most as large a share as the rule of three allows, and a little.

        >>> import numpy as np
        >>> bool(0.15 < upper_means(np.zeros((1, 20)), np.ones(1), 1.645**2 / 2)[0] < 0.3)
        True
    """
    unseen = _unseen(Y)
    count = Y.shape[1] + unseen
    low = np.full(len(Y), np.log(_SMALLEST))
    high = np.full(len(Y), np.log(_LARGEST))
    # The best weights of mean m are proportional to 1/(ν − y) with a ν > highest; both the mean
    # and what the likelihood loses fall as ν grows.
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        excess = np.exp(middle)
        distance = (highest + excess)[:, None] - Y
        total = (1.0 / distance).sum(axis=1) + unseen / excess
        loss = np.log(distance).sum(axis=1) + unseen * middle + count * np.log(total / count)
        too_far = loss > allowance
        low, high = np.where(too_far, middle, low), np.where(too_far, high, middle)
    excess = np.exp(low)
    distance = (highest + excess)[:, None] - Y
    total = (1.0 / distance).sum(axis=1) + unseen / excess
    bound: FloatArray = np.minimum(highest, highest + excess - count / total)
    return bound


def within(Y: FloatArray, highest: FloatArray, allowance: float, limit: float) -> FloatArray:
    """Which rows surely have an upper mean of at most `limit`, as (r,) booleans: a quick test."""
    mean, room = Y.mean(axis=1), highest - limit
    # Any multiplier gives a lower bound on the loss of a mean as large as the limit.
    slope = np.where(room > 0.0, 0.97 / np.maximum(room, _TINY), 0.0)
    slope = np.clip((limit - mean) / np.maximum(Y.var(axis=1), _TINY), 0.0, slope)
    loss = np.log1p(slope[:, None] * (limit - Y)).sum(axis=1)
    loss += _unseen(Y) * np.log1p(-slope * np.maximum(room, 0.0))
    sure: FloatArray = (room <= 0.0) | ((mean < limit) & (loss >= allowance))
    return sure


def _unseen(Y: FloatArray) -> FloatArray:
    """Observations that the largest possible value counts for: 1 without spread."""
    squares = (Y - Y.mean(axis=1, keepdims=True)) ** 2
    fourth = (squares**2).sum(axis=1)
    events = np.where(fourth > _TINY, squares.sum(axis=1) ** 2 / np.maximum(fourth, _TINY), 0.0)
    unseen: FloatArray = _UNSEEN / (_UNSEEN + events)
    return unseen
