"""Families of rewards on prompts with known means, to measure how often a bound covers.

Each family draws (n, N, d) rewards in [0, 1], the same prompts for all policies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from fronts import Floats, sphere

Draw: TypeAlias = Callable[[np.random.Generator], Floats]


@dataclass(frozen=True, eq=False)
class Family:
    """Rewards of one kind.

    Attributes:
        true: (n, d) the means over all prompts there could be.
        draw: (n, N, d) rewards on N prompts.
        size: members of the portfolio that is chosen on them.
        group: prompts of each template that are drawn together.
        spread: whether prompts differ enough that a tight bound can be asked for.
    """

    true: Floats
    draw: Draw
    size: int = 1
    group: int = 1
    spread: bool = False


def together(true: Floats, prompts: int, size: int = 1) -> Family:
    """Binary: a prompt that one policy fails is failed by all that are worse."""

    def draw(rng: np.random.Generator) -> Floats:
        luck = rng.random((prompts, true.shape[1]))
        return (luck[None] < true[:, None]).astype(float)

    return Family(true, draw, size)


def binary(true: Floats, prompts: int, size: int = 1) -> Family:
    """Binary, independent."""

    def draw(rng: np.random.Generator) -> Floats:
        return (rng.random((len(true), prompts, true.shape[1])) < true[:, None]).astype(float)

    return Family(true, draw, size)


def beta(
    true: Floats, prompts: int, size: int, strength: float = 3.0, *, spread: bool = True
) -> Family:
    """Continuous: hard and easy prompts for everyone, and each policy's own luck."""

    def draw(rng: np.random.Generator) -> Floats:
        a, b = strength * true[:, None], strength * (1.0 - true[:, None])
        n, d = true.shape
        shared = rng.standard_gamma(1.0, (1, prompts, d)), rng.standard_gamma(1.0, (1, prompts, d))
        up = rng.standard_gamma(a, (n, prompts, d))
        down = rng.standard_gamma(b, (n, prompts, d))
        own = up / (up + down)
        # Half the prompts' luck is shared and has mean 1/2 for everyone, so means are known.
        return 0.7 * own + 0.3 * shared[0] / (shared[0] + shared[1])

    return Family(0.7 * true + 0.15, draw, size, spread=spread)


def heavy(scale: Floats, prompts: int, size: int) -> Family:
    """Heavy-tailed: mostly tiny, rarely 1. P(reward > x) = (1 + x/scale)^(−1.5) below 1."""

    def draw(rng: np.random.Generator) -> Floats:
        tail = rng.pareto(1.5, (len(scale), prompts, scale.shape[1]))
        return np.minimum(1.0, scale[:, None] * tail)

    return Family(2.0 * scale * (1.0 - (1.0 + 1.0 / scale) ** -0.5), draw, size)


def clustered(true: Floats, templates: int, prompts: int, size: int, strength: float) -> Family:
    """Prompts of a template share their luck: each template has means of its own."""

    def draw(rng: np.random.Generator) -> Floats:
        n, d = true.shape
        a, b = strength * true[:, None], strength * (1.0 - true[:, None])
        means = rng.beta(a, b, (n, templates, d)).repeat(prompts, axis=1)
        return (rng.random(means.shape) < means).astype(float)

    return Family(true, draw, size, group=prompts)


def one_better(n: int, prompts: int, errors: float) -> Family:
    """One policy is the best and all others are alike, a few standard errors behind."""
    sd = 0.15
    true = np.full((n, 1), 0.5)
    true[0] += errors * sd * np.sqrt(2.0 / prompts)

    def draw(rng: np.random.Generator) -> Floats:
        noise = rng.uniform(-1.0, 1.0, (n, prompts, 1)) * sd * np.sqrt(3.0)
        drawn: Floats = true[:, None] + noise
        return drawn

    return Family(true, draw, 1)


def _means(n: int, d: int, low: float, high: float, seed: int) -> Floats:
    return np.random.default_rng(seed).uniform(low, high, (n, d))


def _high(n: int) -> Floats:
    return np.where((np.arange(n)[:, None] + np.arange(2)) % 2 == 0, 0.97, 0.99)


def _front(n: int, d: int, seed: int = 0) -> Floats:
    return 0.1 + 0.8 * sphere(n, d, seed)


FAMILIES: dict[str, Family] = {
    "low, together 3 x 20": together(_means(3, 2, 0.02, 0.15, 0), 20),
    "low, together 6 x 30": together(_means(6, 2, 0.02, 0.15, 1), 30),
    "low, together 6 x 8": together(_means(6, 2, 0.02, 0.3, 2), 8),
    ".97 and .99, 3 x 100": together(_high(3), 100),
    ".97 and .99, 6 x 100": binary(_high(6), 100, 2),
    "binary 2 x 8": binary(np.array([[0.8, 0.6], [0.6, 0.8]]), 8),
    "binary 2 x 8, together": together(np.array([[0.9, 0.6], [0.7, 0.65]]), 8),
    "unanimous 3 x 8": binary(np.array([[0.99, 0.01], [0.01, 0.99], [0.9, 0.9]]), 8, 2),
    "bounded 6 x 8": beta(_front(6, 2), 8, 2, spread=False),
    "bounded 10 x 20": beta(_front(10, 3), 20, 3, spread=False),
    "heavy 6 x 8": heavy(_means(6, 2, 0.01, 0.08, 3), 8, 2),
    "heavy 6 x 30": heavy(_means(6, 2, 0.01, 0.08, 3), 30, 1),
    "heavy 6 x 100": heavy(_means(6, 2, 0.01, 0.08, 3), 100, 1),
    "templates 10 x 4": clustered(_front(4, 2), 10, 4, 1, 2.0),
    "templates 4 x 10": clustered(_front(4, 2), 4, 10, 1, 2.0),
    "one better, 1.5": one_better(30, 100, 1.5),
    "one better, 2.5": one_better(30, 100, 2.5),
    "spread 20 x 400": beta(_front(20, 3), 400, 7),
    "spread 12 x 100": beta(_front(12, 3), 100, 4),
    "spread 12 x 50": beta(_front(12, 3), 50, 4),
    "spread 10 x 200": beta(_front(10, 2), 200, 3),
}
"""name → family; n x N is policies times prompts."""
