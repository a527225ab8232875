"""Exact maps over the triangle of weights (three traits).

A user is w = (w_1, w_2, w_3) with w >= 0 and sum 1. Everything drawn is linear in w: the policy
that serves w is an argmax of dot products, and the gap is a difference of two of them. So regions
and contour bands are convex polygons, found by cutting the triangle with lines; no grid is needed,
and the boundaries are exact.
"""

import itertools
from collections.abc import Iterator, Sequence

Point = tuple[float, ...]
"""Three weights that sum to 1."""
Polygon = list[Point]
"""Corners of a convex polygon in order; empty when there is nothing left."""
Functional = tuple[float, ...]
"""Coefficients of a function that is linear in the weights."""

TRIANGLE: Polygon = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]

_TOLERANCE = 1e-12


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """The inner product."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def minus(a: Sequence[float], b: Sequence[float]) -> Functional:
    """a - b."""
    return tuple(x - y for x, y in zip(a, b, strict=True))


def cut(polygon: Polygon, functional: Functional) -> Polygon:
    """The part of a convex polygon where the functional is >= 0."""
    kept: Polygon = []
    for index, here in enumerate(polygon):
        before = polygon[index - 1]
        value, previous = dot(functional, here), dot(functional, before)
        if (value > 0) != (previous > 0) and abs(value - previous) > _TOLERANCE:
            share = previous / (previous - value)
            kept.append(tuple(p + share * (h - p) for p, h in zip(before, here, strict=True)))
        if value >= 0:
            kept.append(here)
    return kept if len(kept) >= 3 else []


def regions(
    values: Sequence[Functional], within: Polygon | None = None
) -> Iterator[tuple[int, Polygon]]:
    """Where each value vector has the largest dot product with the weights.

    Yields (index, polygon) for those that win somewhere. Equal vectors count as the first of them.
    """
    start = TRIANGLE if within is None else within
    for index, value in enumerate(values):
        polygon = start
        for other, rival in enumerate(values):
            if other == index or not polygon:
                continue
            if rival == value:
                polygon = [] if other < index else polygon
            else:
                polygon = cut(polygon, minus(value, rival))
        if area(polygon) > _TOLERANCE:
            yield index, polygon


def gap_cells(
    candidates: Sequence[Functional], members: Sequence[Functional]
) -> Iterator[tuple[Functional, Polygon]]:
    """Cells on which the gap max_c w.c - max_p w.p is one linear function, with that function."""
    for member, region in regions(members):
        for candidate, cell in regions(candidates, region):
            yield minus(candidates[candidate], members[member]), cell


def bands(
    cell: Polygon, functional: Functional, levels: Sequence[float]
) -> Iterator[tuple[int, Polygon]]:
    """Cuts a cell between levels: yields (i, part) where levels[i] <= functional <= levels[i+1]."""
    highest = max(dot(functional, corner) for corner in cell)
    lowest = min(dot(functional, corner) for corner in cell)
    for index, (low, high) in enumerate(itertools.pairwise(levels)):
        if high < lowest or low > highest:
            continue
        # The weights sum to 1, so a constant is a functional as well.
        part = cut(cell, tuple(x - low for x in functional))
        part = cut(part, tuple(high - x for x in functional)) if part else part
        if part:
            yield index, part


def mean_gap(cells: Sequence[tuple[Functional, Polygon]]) -> float:
    """The mean of a piecewise linear gap over all users, each as likely as the other."""
    total = weight = 0.0
    for gap, cell in cells:
        for second, third in itertools.pairwise(cell[1:]):
            triangle = [cell[0], second, third]
            size = area(triangle)
            # A linear function's mean over a triangle is its value at the centre.
            total += size * dot(gap, centre(triangle))
            weight += size
    return total / weight if weight else 0.0


def area(polygon: Polygon) -> float:
    """Twice the area in the coordinates (w_1, w_2)."""
    return abs(
        sum(
            polygon[index - 1][0] * here[1] - here[0] * polygon[index - 1][1]
            for index, here in enumerate(polygon)
        )
    )


def centre(polygon: Polygon) -> Point:
    """The mean of the corners."""
    return tuple(sum(axis) / len(polygon) for axis in zip(*polygon, strict=True))
