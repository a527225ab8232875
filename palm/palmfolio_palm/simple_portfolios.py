"""Portfolios that are chosen without looking at values: what others are compared with."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from palmfolio_palm.grids import uniform_lattice
from palmfolio_palm.validation import FloatArray, IntArray, check_dimension

# Steps of the lattice that stands for the simplex, and the points it may have.
_STEPS, _POINTS = 24, 10_000
_ROUNDS = 50


def even_weights(d: int, size: int) -> FloatArray:
    """Weights that are spread evenly over the simplex, as (size, d) rows with Σ = 1.

    The simplex is divided into `size` parts, by Lloyd's rounds over a lattice; the weights are the
    means of the parts. Deterministic; exact for two traits.

    Raises:
        ValueError: naming the argument, also when the size is above the lattice's points.

    Example:
        >>> even_weights(3, 1).round(3).tolist(), even_weights(2, 2).round(3).tolist()
        ([[0.333, 0.333, 0.333]], [[0.75, 0.25], [0.25, 0.75]])
    """
    d, size = check_dimension(d), check_dimension(size, "size")
    if d == 2:
        first = 1.0 - (np.arange(size) + 0.5) / size
        return np.column_stack([first, 1.0 - first])
    points = uniform_lattice(d, _steps(d))
    if size > len(points):
        raise ValueError(f"size must be at most {len(points)} for {d} traits, got {size}")
    centres = points[_far_apart(points, size)]
    for _ in range(_ROUNDS):
        nearest = cdist(points, centres, "sqeuclidean").argmin(axis=1)
        moved = np.array(
            [
                points[nearest == part].mean(axis=0) if (nearest == part).any() else centres[part]
                for part in range(size)
            ]
        )
        if np.allclose(moved, centres, rtol=0.0, atol=1e-12):
            break
        centres = moved
    weights: FloatArray = centres / centres.sum(axis=1, keepdims=True)
    return weights


def uniform_portfolio(weights: ArrayLike, size: int) -> IntArray:
    """The policies that were trained nearest to evenly spread weights.

    Each of the `size` weights of `even_weights` is given another policy, so that the sum of the
    squared distances to the policies' training weights is smallest.

    Args:
        weights: (n, d) training weights, Σ = 1.
        size: 1 to n.

    Returns:
        (size,) sorted rows.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> uniform_portfolio([[1, 0], [0.5, 0.5], [0.25, 0.75], [0, 1]], 2).tolist()
        [0, 2]
    """
    trained = np.asarray(weights, dtype=np.float64)
    if trained.ndim != 2 or 0 in trained.shape or not np.isfinite(trained).all():
        raise ValueError(f"weights must be finite, of shape (n, d), got shape {trained.shape}")
    _check_size(size, len(trained))
    wanted = even_weights(trained.shape[1], size)
    _, rows = linear_sum_assignment(cdist(wanted, trained, "sqeuclidean"))
    return np.sort(rows.astype(np.intp))


def random_portfolios(n: int, size: int, draws: int, seed: int) -> IntArray:
    """Portfolios of `size` of n policies, each set as likely, as (draws, size) sorted rows.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> random_portfolios(5, 2, draws=3, seed=0).shape
        (3, 2)
    """
    n, draws = check_dimension(n, "n"), check_dimension(draws, "draws")
    _check_size(size, n)
    generator = np.random.default_rng(seed)
    drawn = [generator.choice(n, size, replace=False) for _ in range(draws)]
    return np.sort(np.array(drawn, dtype=np.intp), axis=1)


def _check_size(size: int, n: int) -> None:
    if not 1 <= size <= n:
        raise ValueError(f"size must be 1 to {n}, the number of policies, got {size}")


def _far_apart(points: FloatArray, size: int) -> list[int]:
    """Rows of points, each the furthest from those before it; the first point comes first."""
    rows = [0]
    nearest = np.full(len(points), np.inf)
    while len(rows) < size:
        nearest = np.minimum(nearest, ((points - points[rows[-1]]) ** 2).sum(axis=1))
        rows.append(int(np.argmax(nearest)))
    return rows


def _steps(d: int) -> int:
    """The finest lattice of at most `_POINTS` points, of `_STEPS` steps at most."""
    steps = _STEPS
    while steps > 1 and math.comb(steps + d - 1, d - 1) > _POINTS:
        steps -= 1
    return steps
