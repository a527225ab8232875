"""Corner weights: the finitely many weights at which a portfolio's worst gap can occur.

Source: docs/algorithms.md, section 3. They are the weight parts of the vertices of
{(w, t) : w ∈ Δ, t ≥ w·v_p for every member p}.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import HalfspaceIntersection, QhullError

from palmfolio_palm.pareto import pareto_rows
from palmfolio_palm.validation import FloatArray, check_values

# More corners than this, by an estimate, are not enumerated: over few traits they take two seconds
# and 400 MB. Over d traits a corner takes 1 + d²/250 times the work (measured from 3 to 60 traits)
# and counts for as many.
MAX_CORNERS = 400_000

# Up to this `corner_bound` corners are enumerated without estimating how many there are. Real
# fronts have far fewer than the bound.
_FEW_CORNERS = 20_000
# `corner_bound` of the samples that estimate the number: a larger one estimates better and costs
# a part of the enumeration that it may save.
_SAMPLE_CORNERS = 20_000

# A trait whose spread is below this share of the largest is enumerated in its own scale as well:
# rounding of 1e-16 in the common scale is 1e-12 in its own, where corners would be lost.
_UNEVEN = 1e-4
# Weights below this, in a trait's own scale, are rounding and would grow when scaled back.
_SNAP = 1e-12
# How far the weights of a vertex may be from Σ = 1 before the enumeration is given up.
_SUM = 1e-6
# Rows that differ by less on every trait, in units of the largest spread, are one member: some
# thousand times the rounding of their differences.
_SAME = 1e-13


class CornersUnavailable(RuntimeError):
    """The corners are too many, or too close to degenerate, to be enumerated.

    Example:
        >>> import numpy as np
        >>> try:
        ...     corner_weights(np.random.default_rng(0).random((40, 20)))
        ... except CornersUnavailable as error:
        ...     print(error)
        40 members over 20 traits have too many corners
    """


def corner_weights(members: ArrayLike) -> FloatArray:
    """Corner weights of a portfolio, (q, d) with Σ = 1, the unit vectors among them.

    Args:
        members: (k, d) value vectors of the members; any finite values.

    Raises:
        ValueError: naming `members`.
        CornersUnavailable: see the class.

    Example:
        Besides the unit vectors, the weights at which two members are equally good:

        >>> corner_weights([[1.0, 0.0], [0.0, 1.0]]).tolist()
        [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    return corners_of(check_values(members, "members", shifted=True))


def corners_of(members: FloatArray, most: float | None = None) -> FloatArray:
    """As `corner_weights`, for values that were checked already.

    Args:
        most: give up above this many, by an estimate; default `MAX_CORNERS`.
    """
    most = MAX_CORNERS if most is None else min(most, MAX_CORNERS)
    known = _latest.get(members.tobytes())
    if known is not None and known.shape[1] == members.shape[1] and MAX_CORNERS > 0:
        return known
    found = _enumerated(members, most)
    # A search asks for the corners of one portfolio several times in a row.
    _latest.clear()
    _latest[members.tobytes()] = found
    return found


# The corners of the portfolio that was last asked for, by its values.
_latest: dict[bytes, FloatArray] = {}


def _enumerated(members: FloatArray, most: float) -> FloatArray:
    d = members.shape[1]
    if d == 1:
        return np.ones((1, 1))
    points = members[pareto_rows(members)]
    # An affine change of t moves no corner; it brings every input to the same scale.
    points = points - points.mean(axis=0)
    spread = np.abs(points).max(axis=0)
    if len(points) == 1 or spread.max() == 0.0:
        return np.eye(d)
    scaled = _distinct(points / spread.max())
    if d > 2 and estimated_corners(scaled) > most:
        raise CornersUnavailable(f"{len(points)} members over {d} traits have too many corners")
    find = _envelope if d == 2 else _intersect
    corners = find(scaled)
    if spread[spread > 0.0].min() < _UNEVEN * spread.max():
        # Rescaling a trait rescales its weight. Corners that hang on a trait of tiny spread are
        # accurate only in its own scale; a weight that is needless is harmless.
        own = np.where(spread > 0.0, spread, spread.max())
        scaled = find(_distinct(points / own))
        # As multiples of the smallest spread: 1 / spread of a denormal one is infinite.
        scaled = np.where(scaled < _SNAP, 0.0, scaled) * (own.min() / own)
        total = scaled.sum(axis=1, keepdims=True)
        corners = np.concatenate([corners, (scaled / np.where(total > 0.0, total, 1.0))])
        corners = corners[corners.sum(axis=1) > 0.5]
    if not np.isfinite(corners).all():
        raise CornersUnavailable("a corner weight of the members is not finite")
    return corners


def _distinct(points: FloatArray) -> FloatArray:
    """A subset of the rows such that every row is within `_SAME` of one of them on every trait.

    Rows that differ in the last bits only are parallel half-spaces up to rounding, whose
    intersections are anywhere. Leaving some out moves no gap by more than `_SAME`.
    """
    kept: list[int] = []
    for i in range(len(points)):
        if not kept or np.abs(points[kept] - points[i]).max(axis=1).min() > _SAME:
            kept.append(i)
    return points[kept]


def corner_bound(k: int, d: int) -> int:
    """Upper bound on the number of corners of k members over d traits (upper bound theorem)."""
    facets = k + d + 1
    low, high = d // 2, (d - 1) // 2
    return math.comb(facets - (d + 1) // 2, low) + math.comb(facets - low - 1, high)


def estimated_corners(points: FloatArray) -> float:
    """About how many corners (k, d) points have, in units of the work for one over few traits.

    `corner_bound` is reached by contrived inputs only: random fronts have up to thousands of times
    fewer corners. So the corners of two samples are counted, and their growth is continued.
    """
    k, d = points.shape
    work = 1.0 + d * d / 250.0
    if corner_bound(k, d) * work <= _FEW_CORNERS:
        return 0.0
    if corner_bound(min(k, 3), d) * work > _SAMPLE_CORNERS:
        return math.inf
    few = max(m for m in range(2, k + 1) if m == 2 or corner_bound(m, d) * work <= _SAMPLE_CORNERS)
    sample = points[np.random.default_rng(0).permutation(k)[:few]]
    half, whole = (len(_intersect(rows)) for rows in (sample[: few // 2], sample))
    growth = max(1.0, math.log(whole / half) / math.log(few / (few // 2)))
    return float(work * whole * (k / few) ** growth)


def _envelope(points: FloatArray) -> FloatArray:
    """Breakpoints of x ↦ max_p x·p_0 + (1 − x)·p_1.

    Rounding may leave points that another one dominates, and equal slopes: of these only the
    highest line counts.
    """
    slopes, heights = points[:, 0] - points[:, 1], points[:, 1]
    order = np.lexsort((heights, slopes))
    slope, height = slopes[order], heights[order]
    hull: list[int] = []
    breaks: list[float] = []
    for i in range(len(order)):
        x = -math.inf
        while hull:
            j = hull[-1]
            if slope[i] > slope[j]:
                x = (height[j] - height[i]) / (slope[i] - slope[j])
                if not breaks or x > breaks[-1]:
                    break
            hull.pop()
            if breaks:
                breaks.pop()
        if hull:
            breaks.append(float(x))
        hull.append(i)
    inner = np.clip(np.array(breaks), 0.0, 1.0)
    x_all = np.concatenate([[0.0], inner, [1.0]])
    return np.column_stack([x_all, 1.0 - x_all])


def _intersect(points: FloatArray) -> FloatArray:
    k, d = points.shape
    ceiling = 3.0
    rows = np.zeros((d + k + 1, d + 1))
    rows[: d - 1, : d - 1] = -np.eye(d - 1)
    rows[d - 1, : d - 1] = 1.0
    rows[d - 1, d] = -1.0
    rows[d : d + k, : d - 1] = points[:, :-1] - points[:, -1:]
    rows[d : d + k, d - 1] = -1.0
    rows[d : d + k, d] = points[:, -1]
    rows[-1, d - 1] = 1.0
    rows[-1, d] = -ceiling
    interior = np.full(d, 1.0 / d)
    interior[-1] = (points.mean(axis=1).max() + ceiling) / 2.0
    try:
        vertices = HalfspaceIntersection(rows, interior).intersections
    except QhullError as error:
        raise CornersUnavailable("the members are too close to degenerate for Qhull") from error
    vertices = vertices[np.isfinite(vertices).all(axis=1)]
    head = vertices[:, : d - 1]
    weights = np.clip(np.column_stack([head, 1.0 - head.sum(axis=1)]), 0.0, None)
    total = weights.sum(axis=1, keepdims=True)
    if not (np.abs(total - 1.0) < _SUM).all():
        # A vertex outside the simplex: Qhull lost its way, and may have lost others altogether.
        raise CornersUnavailable("the members are too close to degenerate for Qhull")
    weights /= total
    distinct = np.unique(np.round(weights, 14), axis=0)
    distinct /= distinct.sum(axis=1, keepdims=True)
    result: FloatArray = np.concatenate([np.eye(d), distinct])
    return result
