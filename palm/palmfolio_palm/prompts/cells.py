"""The simplex of users cut into small simplices.

A function that is convex in the weights is on each cell at most its largest value at the cell's
corners, so bounds at finitely many weights hold for every user.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from palmfolio_palm.grids import uniform_lattice
from palmfolio_palm.validation import FloatArray, IntArray

# Weights at most, and steps per side at most: finer cells make a bound a few per cent smaller.
_MAX_WEIGHTS, _MAX_STEPS = 45, 12
# With more traits the corners of the simplex are all the weights: cells grow with the factorial.
_MAX_CUT = 7


@dataclass(frozen=True, eq=False)
class Cells:
    """A triangulation of the simplex.

    Attributes:
        weights: (m, d) the corners of all cells, Σ = 1.
        corners: (q, d) rows of `weights`, the corners of each cell.
    """

    weights: FloatArray
    corners: IntArray


@lru_cache(maxsize=16)
def cells_of(d: int) -> Cells:
    """The cells for d traits: the edgewise subdivision of the simplex.

    Example:
        >>> cells_of(3).weights.shape, cells_of(3).corners.shape
        ((45, 3), (64, 3))
    """
    steps = 1
    if 1 < d <= _MAX_CUT:
        while steps < _MAX_STEPS and math.comb(steps + d, d - 1) <= _MAX_WEIGHTS:
            steps += 1
    weights = uniform_lattice(d, steps)
    if steps == 1:
        return Cells(weights, np.arange(d, dtype=np.intp)[None])
    place = {tuple(np.rint(row * steps).astype(int)): index for index, row in enumerate(weights)}
    found = []
    # In sums y_i = w_{i+1} + … + w_d the simplex is steps ≥ y_1 ≥ … ≥ y_{d−1} ≥ 0, a union of the
    # simplices into which the diagonals cut the unit cubes.
    for start in itertools.product(range(steps), repeat=d - 1):
        for order in itertools.permutations(range(d - 1)):
            path = [list(start)]
            for axis in order:
                path.append([y + (i == axis) for i, y in enumerate(path[-1])])
            points = [tuple(-np.diff([steps, *y, 0])) for y in path]
            if all(point in place for point in points):
                found.append([place[point] for point in points])
    return Cells(weights, np.array(found, dtype=np.intp))
