"""PALM against uniform and random weights, at the same size and on the same pool.

A method chooses `size` policies; its gaps are exact over all users, against the whole pool. PALM's
portfolio is chosen for the gap that is shown: one for the additive gap (at ε = 0), and one for the
multiplicative gap (at δ = 0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pool import Floats, Pool

from palmfolio_palm import (
    best_portfolio,
    certificate,
    greedy_cover,
    output_diversity,
    random_portfolios,
    uniform_portfolio,
)
from palmfolio_palm.output_diversity import cosine_distances, mean_distance

MINIMUM, GREEDY, UNIFORM, RANDOM = METHODS = ("minimum", "greedy", "uniform", "random")
OBJECTIVES = ("additive", "multiplicative")
_ROUNDING = 1e-9
_BISECTIONS = 24
_SECONDS = 600.0

Rows = NDArray[np.intp]
Gaps = dict[str, float]


@dataclass(frozen=True, slots=True)
class Diversity:
    """Figures of one portfolio's answers (docs/algorithms.md, section 9); None for one member."""

    distinct: float | None
    """distinct-2."""
    self_bleu: float | None
    distance: float | None
    """Mean distance of two members' embeddings; None without embeddings."""


def gaps(values: Floats, members: Rows) -> Gaps:
    """Both pure gaps of a portfolio, by objective.

    Raises:
        ValueError: the multiplicative gap has no meaning, because a user has no utility at all.
    """
    exact = certificate(values, members)
    if exact.multiplicative is None:
        raise ValueError("there are weights at which every policy has the utility 0")
    return {"additive": exact.additive, "multiplicative": exact.multiplicative}


def minimum(values: Floats, size: int, objective: str) -> Rows:
    """PALM's portfolio with the smallest gap.

    Raises:
        RuntimeError: it is not proven within the time limit.
    """
    chosen = best_portfolio(
        values,
        size,
        objective="additive" if objective == "additive" else "multiplicative",
        time_limit=_SECONDS,
    )
    if not chosen.optimal:
        raise RuntimeError(f"the best portfolio of {size} is not proven in time")
    return chosen.indices


def greedy(values: Floats, size: int, objective: str) -> Rows:
    """The greedy cover of at most `size` policies for the smallest gap that bisection finds."""
    best: tuple[float, Rows] | None = None
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        allowed = (low + high) / 2
        eps, delta = (0.0, allowed) if objective == "additive" else (allowed, 0.0)
        members = greedy_cover(values, eps, delta).indices
        if len(members) > size:
            low = allowed
            continue
        high = allowed
        gap = gaps(values, members)[objective]
        if best is None or gap < best[0]:
            best = gap, members
    if best is None:
        raise RuntimeError(f"no greedy cover has {size} policies or fewer")
    return best[1]


def compare(
    chosen_on: Floats, measured_on: Floats, weights: Floats, size: int, seeds: Sequence[int]
) -> dict[str, Gaps]:
    """The gaps by method and objective; those of random weights are means over the seeds.

    Args:
        chosen_on: (n, d) values that PALM chooses by.
        measured_on: (n, d) values that the gaps are for.
        weights: (n, d) training weights.
        size: members.
        seeds: of the random weights.
    """
    palm: dict[str, Callable[[Floats, int, str], Rows]] = {MINIMUM: minimum, GREEDY: greedy}
    found = {
        method: {
            each: gaps(measured_on, choose(chosen_on, size, each))[each] for each in OBJECTIVES
        }
        for method, choose in palm.items()
    }
    found[UNIFORM] = gaps(measured_on, uniform_portfolio(weights, size))
    drawn = [gaps(measured_on, draw(len(weights), size, seed)) for seed in seeds]
    found[RANDOM] = {each: float(np.mean([row[each] for row in drawn])) for each in OBJECTIVES}
    if chosen_on is measured_on:
        check(found, [found[UNIFORM], *drawn], size)
    return found


def check(found: dict[str, Gaps], others: Sequence[Gaps], size: int) -> None:
    """Checks that no other portfolio of the size has a smaller gap than PALM's minimum.

    Raises:
        AssertionError: one has; then a search or a certificate is wrong.
    """
    for each in OBJECTIVES:
        smallest = min([found[GREEDY][each], *(row[each] for row in others)])
        if found[MINIMUM][each] > smallest + _ROUNDING:
            raise AssertionError(
                f"size {size}: PALM's smallest {each} gap is {found[MINIMUM][each]}, and another "
                f"portfolio has {smallest}"
            )


def halves(pool: Pool, size: int, seeds: Sequence[int]) -> dict[str, Gaps]:
    """As `compare`, chosen on one half of the prompts and measured on the other: means over seeds,
    each of which divides the prompts in another way.
    """
    rows = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(pool.rewards.shape[1])
        first, second = (pool.rewards[:, part].mean(axis=1) for part in np.array_split(order, 2))
        rows.append(compare(first, second, pool.weights, size, [seed]))
    return {
        method: {each: float(np.mean([row[method][each] for row in rows])) for each in OBJECTIVES}
        for method in METHODS
    }


def draw(n: int, size: int, seed: int) -> Rows:
    """Policies at random weights of the pool."""
    drawn: Rows = random_portfolios(n, size, 1, seed)[0]
    return drawn


def diversity(pool: Pool, members: Rows, embeddings: Floats | None) -> Diversity:
    """Diversity of a portfolio's answers to the same prompts.

    Args:
        pool: the answers.
        members: rows of the pool.
        embeddings: (n, N·samples, e) the answers' embeddings.
    """
    columns = range(len(pool.responses[0]))
    figures = output_diversity([[pool.responses[p][c] for p in members] for c in columns])
    distance = None
    if embeddings is not None:
        distance = mean_distance([cosine_distances(embeddings[members, c]) for c in columns])
    return Diversity(figures.distinct[1], figures.self_bleu, distance)


def mean_diversity(figures: Sequence[Diversity]) -> Diversity:
    """The mean of several portfolios' figures."""

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return Diversity(
        mean([each.distinct for each in figures]),
        mean([each.self_bleu for each in figures]),
        mean([each.distance for each in figures]),
    )
