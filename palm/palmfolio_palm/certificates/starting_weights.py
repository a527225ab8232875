"""The weights to train before anything is known about the front (docs/algorithms.md, section 5)."""

from __future__ import annotations

import numpy as np

from palmfolio_palm.validation import FloatArray, check_delta, check_dimension

# Share that the first trainings give to every trait but their own, between LEAST and MOST. A bare
# unit weight leaves the values of the other traits arbitrary. On a smooth front a training serves
# the users within about √target of it, so one on the very edge would waste half of its reach.
# Measured with benchmarks/palm/adaptive.py at d = 4 and target 0.05, together with the least
# weight of later trainings (outer_bound._INSET): against the fixed share of 0.02 the trainings
# needed fell from 62 to 51 on the sphere, 71 to 58 on the noisy front, 36 to 31 on the ellipsoid.
LEAST_FLOOR, MOST_FLOOR, _FLOOR_PER_ROOT = 0.02, 0.08, 0.36


def starting_weights(d: int, target: float = 0.0) -> FloatArray:
    """The centroid, then near-unit weights: what is trained before anything is known.

    Args:
        d: number of traits.
        target: additive gap that is to be certified, ≥ 0; 0 for as small as can be.

    Returns:
        (1 + d, d) weights, each Σ = 1; (1, 1) for one trait.

    Raises:
        ValueError: naming the argument.

    Example:
        >>> starting_weights(2).tolist()
        [[0.5, 0.5], [0.98, 0.02], [0.02, 0.98]]
    """
    d, target = check_dimension(d), check_delta(target, "target")
    centroid = np.full((1, d), 1.0 / d)
    if d == 1:
        return centroid
    floor = float(np.clip(_FLOOR_PER_ROOT * np.sqrt(target), LEAST_FLOOR, MOST_FLOOR))
    floor = min(floor, 0.5 / d)
    return np.concatenate([centroid, (1.0 - floor * d) * np.eye(d) + floor])
