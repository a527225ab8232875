from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio_palm import even_weights, random_portfolios, uniform_lattice, uniform_portfolio


@given(st.integers(1, 5), st.integers(1, 7))
def test_even_weights_lie_in_the_simplex(d: int, size: int) -> None:
    if d == 1:
        size = 1
    W = even_weights(d, size)
    assert W.shape == (size, d)
    assert (W >= 0).all() and np.allclose(W.sum(axis=1), 1.0)
    assert (even_weights(d, size) == W).all()
    assert len(np.unique(W.round(9), axis=0)) == size


def test_even_weights_leave_no_user_far_away() -> None:
    """More weights are nearer to everyone, and nearer than random ones."""
    users = uniform_lattice(3, 30)
    reach = []
    for size in range(1, 8):
        distance = np.linalg.norm(users[:, None] - even_weights(3, size)[None], axis=2)
        reach.append(float((distance.min(axis=1) ** 2).mean()))
    assert reach == sorted(reach, reverse=True)
    assert reach[0] == pytest.approx(float(((users - 1 / 3) ** 2).sum(axis=1).mean()))


def test_even_weights_of_two_traits() -> None:
    assert even_weights(2, 4).tolist() == [
        [0.875, 0.125],
        [0.625, 0.375],
        [0.375, 0.625],
        [0.125, 0.875],
    ]


@given(st.integers(2, 4), st.integers(1, 12), st.integers(0, 10_000))
def test_uniform_portfolio_is_a_set_of_policies(d: int, n: int, seed: int) -> None:
    """It does not depend on the order of the policies."""
    generator = np.random.default_rng(seed)
    W = generator.dirichlet(np.ones(d), size=n)
    size = int(generator.integers(1, n + 1))
    chosen = uniform_portfolio(W, size)
    assert chosen.tolist() == sorted(set(chosen.tolist())) and len(chosen) == size
    order = generator.permutation(n)
    assert set(order[uniform_portfolio(W[order], size)]) == set(chosen)


def test_uniform_portfolio_finds_evenly_trained_policies() -> None:
    even = even_weights(3, 4)
    others = np.random.default_rng(0).dirichlet(np.ones(3) * 9, size=20)
    assert uniform_portfolio(np.vstack([others, even]), 4).tolist() == [20, 21, 22, 23]


def test_random_portfolios() -> None:
    drawn = random_portfolios(6, 3, draws=4000, seed=7)
    assert (drawn == random_portfolios(6, 3, draws=4000, seed=7)).all()
    assert (np.diff(drawn, axis=1) > 0).all() and drawn.min() >= 0 and drawn.max() < 6
    counts = dict.fromkeys(combinations(range(6), 3), 0)
    for row in drawn.tolist():
        counts[tuple(row)] += 1
    assert min(counts.values()) > 130 and max(counts.values()) < 270


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="size must be 1 to 2"):
        uniform_portfolio([[0.5, 0.5], [1.0, 0.0]], 3)
    with pytest.raises(ValueError, match="size must be 1 to 4"):
        random_portfolios(4, 0, draws=1, seed=0)
    with pytest.raises(ValueError, match="weights must be finite"):
        uniform_portfolio(np.array([[np.nan, 1.0]]), 1)
    with pytest.raises(ValueError, match="size must be at most"):
        even_weights(3, 1000)
    with pytest.raises(ValueError, match="size must be at most 1 for 1 trait"):
        even_weights(1, 2)
