"""The fronts the benchmarks run on, with fixed seeds.

Sampled fronts return (n, d) values; trainable fronts return the best value vector at given weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Trainable: TypeAlias = Callable[[Floats], Floats]


def sphere(n: int, d: int, seed: int = 0) -> Floats:
    """The positive orthant of the unit sphere, sampled uniformly."""
    x = np.abs(np.random.default_rng(seed).normal(size=(n, d)))
    directions: Floats = x / np.linalg.norm(x, axis=1, keepdims=True)
    return directions


def power(n: int, d: int, seed: int = 0) -> Floats:
    """Σ v^1.5 = 1 with v ≥ 0; directions uniform on the sphere."""
    x = sphere(n, d, seed)
    scaled: Floats = x / (x**1.5).sum(axis=1, keepdims=True) ** (1 / 1.5)
    return scaled


def clustered(n: int, d: int, seed: int = 0) -> Floats:
    """Eight clusters around points of the sphere, clipped to [0, 1]."""
    rng = np.random.default_rng(seed)
    centres = 0.9 * sphere(8, d, seed)
    return np.clip(centres[rng.integers(0, 8, n)] + 0.05 * rng.normal(size=(n, d)), 0.0, 1.0)


def crowded(n: int, d: int, seed: int = 0) -> Floats:
    """A noisy front: points of a shrunken sphere with independent errors."""
    rng = np.random.default_rng(seed)
    noise = 0.1 * rng.normal(size=(n, d))
    return np.clip(0.3 + 0.5 * sphere(n, d, seed) + noise, 0.0, 1.0)


def roots(n: int, d: int, seed: int = 0) -> Floats:
    """Square roots of uniform points of the simplex: a sphere with fewer points at its rim."""
    values: Floats = np.random.default_rng(seed).dirichlet(np.ones(d), n) ** 0.5
    return values


def trainable_sphere(d: int) -> Trainable:
    """Smooth: the unit sphere."""
    return lambda w: w / np.linalg.norm(w)


def trainable_ellipsoid(d: int) -> Trainable:
    """Smooth: an ellipsoid with half-axes in [0.5, 1]."""
    axes = np.random.default_rng(0).uniform(0.5, 1.0, d)
    return lambda w: axes * axes * w / np.linalg.norm(axes * w)


def trainable_power(d: int) -> Trainable:
    """Smooth: Σ v^1.5 = 1, flat in the middle and sharp at the traits' own ends."""

    def best(w: Floats) -> Floats:
        x = (w / w.max()) ** 2
        return np.asarray(x / (x**1.5).sum() ** (1 / 1.5))

    return best


def trainable_polytope(d: int) -> Trainable:
    """The hull of twelve points of the sphere."""
    points = sphere(12, d, 0)
    return lambda w: points[int(np.argmax(points @ w))]


def trainable_noisy(d: int) -> Trainable:
    """The sphere, trained to within 1 % of the best at the weights: the loss varies with them."""

    def best(w: Floats) -> Floats:
        v = w / np.linalg.norm(w)
        return np.asarray(v * (1.0 - 0.01 * (0.5 + 0.5 * np.sin(97.0 * w.sum() + 53.0 * w[0]))))

    return best


TRAINABLE: dict[str, tuple[Callable[[int], Trainable], float]] = {
    "sphere": (trainable_sphere, 0.0),
    "ellipsoid": (trainable_ellipsoid, 0.0),
    "power": (trainable_power, 0.0),
    "polytope": (trainable_polytope, 0.0),
    "noisy": (trainable_noisy, 0.01),
}
"""name → (front of d traits, the alpha within which its trainings are optimal)."""
