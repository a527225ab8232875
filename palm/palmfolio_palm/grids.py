"""Weight grids that make a set of optimal policies approximate for every user.

Source: docs/algorithms.md, section 1. A policy optimal at every point of the geometric grid gives
an (eps, delta)-approximate set; the thinned grid has the same guarantee with d times fewer points.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from palmfolio_palm.validation import (
    Exponents,
    FloatArray,
    check_delta,
    check_dimension,
    check_eps,
    check_positive,
    check_weights,
)

# Largest grid that `grid_weights` and `uniform_lattice` enumerate: 200 MB for five traits.
MAX_POINTS = 5_000_000


def grid_size(d: int, eps: float, delta: float, *, thinned: bool = True) -> int:
    """Number of points of the geometric grid, exact for any size (nothing is enumerated).

    Args:
        d: number of traits.
        eps: relative loss, in (0, 1); unused when d = 1.
        delta: additive loss on weights whose largest entry is 1, > 0; unused when d = 1.
        thinned: count the thinned grid instead of the cube grid.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> grid_size(3, 0.05, 0.05), grid_size(3, 0.05, 0.05, thinned=False)
        (5257, 15769)
    """
    d = check_dimension(d)
    if d == 1:
        return 1
    _, levels = _steps(d, eps, delta)
    if not thinned:
        return int((levels + 1) ** d - levels**d)
    return _count_multiples(d, 0, levels) - _count_multiples(d, 1, levels)


def grid_weights(d: int, eps: float, delta: float, *, thinned: bool = True) -> FloatArray:
    """The grid's weights as (m, d) rows with Σ = 1; m = `grid_size(d, eps, delta)`.

    Raises:
        ValueError: naming the argument, also when the grid has more than `MAX_POINTS` points.

    Example:
        >>> grid_weights(2, 0.5, 0.25).round(2).tolist()
        [[0.2, 0.8], [0.5, 0.5], [0.8, 0.2]]
    """
    size = grid_size(d, eps, delta, thinned=thinned)
    if size > MAX_POINTS:
        raise ValueError(
            f"eps and delta give a grid of {size} points for {d} traits, more than {MAX_POINTS}; "
            "raise them"
        )
    if d == 1:
        return np.ones((1, 1))
    step, levels = _steps(d, eps, delta)
    return _from_exponents(_exponents(d, levels, thinned), step)


def round_weight(w: ArrayLike, eps: float, delta: float) -> FloatArray:
    """The point of the thinned grid that stands for `w`, as (d,) weights with Σ = 1.

    With a and b the smallest and largest ratio of the (clipped) weights to the grid point's,
    b/a ≤ 1/(1 − eps).

    Raises:
        ValueError: naming the argument.

    Example:
        >>> round_weight([0.7, 0.3], 0.5, 0.25).round(2).tolist()
        [0.8, 0.2]
    """
    size = np.size(np.asarray(w, dtype=object))
    weights = check_weights(w, size)
    d = weights.size
    if d == 1:
        return np.ones(1)
    step, levels = _steps(d, eps, delta)
    if levels == 0:
        return np.full(d, 1.0 / d)
    scaled = np.maximum(weights / weights.max(), math.exp(-step * levels))
    x = np.clip(-np.log(scaled) / step, 0.0, levels)
    z = np.minimum(np.floor(x).astype(np.int64), levels - 1)
    missing = int(-z.sum() % d)
    z[np.argsort(-(x - z), kind="stable")[:missing]] += 1
    rounded: FloatArray = _from_exponents((z - z.min())[None, :], step)[0]
    return rounded


def lattice_resolution(d: int, delta: float) -> int:
    """Smallest N for which optimal policies at all weights z/N are (0, delta)-approximate.

    Rounding a weight to the lattice moves it by at most 2⌊d/2⌋⌈d/2⌉/(dN) in the 1-norm, which
    bounds the loss for values in [0, 1].

    Raises:
        ValueError: naming the argument.

    Example:
        >>> lattice_resolution(3, 0.05)
        27
    """
    d = check_dimension(d)
    delta = check_positive(delta, "delta")
    radius = 2.0 * (d // 2) * ((d + 1) // 2) / d
    return max(1, _ceil(radius / delta))


def uniform_lattice(d: int, resolution: int) -> FloatArray:
    """All weights z/resolution with whole z ≥ 0: (C(resolution + d − 1, d − 1), d), Σ = 1.

    Raises:
        ValueError: naming the argument, also when the lattice has more than `MAX_POINTS` points.

    Example:
        >>> uniform_lattice(2, 2).tolist()
        [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    d = check_dimension(d)
    n = check_dimension(resolution, "resolution")
    size = math.comb(n + d - 1, d - 1)
    if size > MAX_POINTS:
        raise ValueError(
            f"resolution {n} gives {size} points for {d} traits, more than {MAX_POINTS}; lower it"
        )
    z = np.zeros((1, 0), dtype=np.int64)
    for _ in range(d - 1):
        left = n - z.sum(axis=1)
        rows = np.repeat(np.arange(len(z)), left + 1)
        starts = np.cumsum(left + 1) - (left + 1)
        z = np.column_stack([z[rows], np.arange(rows.size) - np.repeat(starts, left + 1)])
    last = (n - z.sum(axis=1))[:, None]
    weights: FloatArray = np.hstack([z, last])[::-1] / n
    return weights


def _steps(d: int, eps: float, delta: float) -> tuple[float, int]:
    """The logarithmic step L and the largest exponent J."""
    eps = check_positive(check_eps(eps), "eps")
    delta = check_positive(check_delta(delta), "delta")
    step = -math.log1p(-eps)
    return step, max(0, _ceil(-math.log(delta / (d - 1)) / step))


def _ceil(x: float) -> int:
    # A quotient that is whole but for rounding must not cost another layer of the grid.
    return math.ceil(x - 1e-12 * max(1.0, abs(x)))


def _count_multiples(d: int, low: int, high: int) -> int:
    """Number of z ∈ {low..high}^d with Σz a multiple of d."""
    one = [0] * d
    for residue in range(d):
        first = low + (residue - low) % d
        one[residue] = max(0, (high - first) // d + 1) if first <= high else 0
    total = [1] + [0] * (d - 1)
    for _ in range(d):
        total = [sum(total[i] * one[(r - i) % d] for i in range(d)) for r in range(d)]
    return total[0]


def _exponents(d: int, levels: int, thinned: bool) -> Exponents:
    """All exponents z ∈ {0..levels}^d with min z = 0, (thinned) Σz a multiple of d."""
    axes = np.indices((levels + 1,) * (d - 1)).reshape(d - 1, -1).T
    has_zero = axes.min(axis=1) == 0
    parts = [np.column_stack([axes[~has_zero], np.zeros(int((~has_zero).sum()), dtype=np.int64)])]
    if thinned:
        parts = [parts[0][parts[0].sum(axis=1) % d == 0]]
    prefix = axes[has_zero]
    residue = (-prefix.sum(axis=1)) % d
    for last in range(levels + 1):
        rows = prefix[residue == last % d] if thinned else prefix
        parts.append(np.column_stack([rows, np.full(len(rows), last, dtype=np.int64)]))
    return np.concatenate(parts).astype(np.int64)


def _from_exponents(z: Exponents, step: float) -> FloatArray:
    weights = np.exp(-step * z)
    normalised: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return normalised
