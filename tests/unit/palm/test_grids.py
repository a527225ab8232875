from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio_palm import (
    grid_size,
    grid_weights,
    lattice_resolution,
    round_weight,
    uniform_lattice,
)
from tests.support.palm_inputs import sphere


@pytest.mark.parametrize(
    ("d", "target", "cube", "thinned"),
    [(2, 0.05, 119, 59), (3, 0.05, 15_769, 5_257), (4, 0.1, 150_415, 37_601)],
)
def test_published_sizes(d: int, target: float, cube: int, thinned: int) -> None:
    assert grid_size(d, target, target, thinned=False) == cube
    assert grid_size(d, target, target) == thinned
    assert len(grid_weights(d, target, target)) == thinned
    assert len(grid_weights(d, target, target, thinned=False)) == cube


@given(st.integers(1, 4), st.floats(0.05, 0.9), st.floats(0.05, 5.0), st.booleans())
def test_size_counts_the_enumerated_grid(d: int, eps: float, delta: float, thinned: bool) -> None:
    if grid_size(d, eps, delta, thinned=thinned) > 20_000:
        return
    W = grid_weights(d, eps, delta, thinned=thinned)
    assert W.shape == (grid_size(d, eps, delta, thinned=thinned), d)
    assert np.allclose(W.sum(axis=1), 1.0)
    assert len(np.unique(np.round(W, 12), axis=0)) == len(W)


def test_size_of_a_grid_too_large_to_enumerate() -> None:
    assert grid_size(20, 0.01, 0.01) > 10**40
    with pytest.raises(ValueError, match="eps and delta give a grid of"):
        grid_weights(20, 0.01, 0.01)


@given(st.integers(2, 5), st.integers(0, 10_000), st.floats(0.02, 0.5), st.floats(0.01, 2.0))
def test_rounding_lands_on_the_thinned_grid(d: int, seed: int, eps: float, delta: float) -> None:
    w = np.random.default_rng(seed).dirichlet(np.full(d, 0.4))
    w = np.maximum(w, 1e-300)
    rounded = round_weight(w, eps, delta)
    exponents = -np.log(rounded / rounded.max()) / -np.log1p(-eps)
    assert np.allclose(exponents, np.round(exponents), atol=1e-6)
    assert int(np.round(exponents).sum()) % d == 0
    levels = max(0, np.ceil(-np.log(delta / (d - 1)) / -np.log1p(-eps) - 1e-9))
    assert exponents.max() <= levels + 1e-6
    clipped = np.maximum(w / w.max(), (1 - eps) ** levels)
    ratio = clipped / rounded
    assert ratio.max() / ratio.min() <= 1 / (1 - eps) * (1 + 1e-9)


@pytest.mark.parametrize("thinned", [True, False])
@pytest.mark.parametrize("d", [2, 3])
def test_grid_guarantee_holds_for_random_users(d: int, thinned: bool) -> None:
    eps, delta = 0.1, 0.1
    V = sphere(300, d, seed=3)
    best = np.unique((grid_weights(d, eps, delta, thinned=thinned) @ V.T).argmax(axis=1))
    users = np.random.default_rng(1).dirichlet(np.full(d, 0.5), size=4000)
    users /= users.max(axis=1, keepdims=True)
    U, L = (users @ V.T).max(axis=1), (users @ V[best].T).max(axis=1)
    assert ((1 - eps) * U - delta <= L + 1e-12).all()


def test_lattice_figures() -> None:
    assert lattice_resolution(3, 0.05) == 27
    assert len(uniform_lattice(3, 27)) == 406
    assert lattice_resolution(1, 0.05) == 1


@pytest.mark.parametrize(("d", "n"), [(1, 3), (2, 5), (3, 4), (4, 3)])
def test_lattice_is_every_composition(d: int, n: int) -> None:
    expected = {z for z in itertools.product(range(n + 1), repeat=d) if sum(z) == n}
    got = {tuple(z) for z in np.round(uniform_lattice(d, n) * n).astype(int).tolist()}
    assert got == expected


@given(st.integers(2, 5), st.floats(0.05, 0.9), st.integers(0, 1000))
def test_lattice_radius_bounds_the_distance(d: int, delta: float, seed: int) -> None:
    n = lattice_resolution(d, delta)
    w = np.random.default_rng(seed).dirichlet(np.ones(d))
    z = np.floor(w * n)
    f = w * n - z
    z[np.argsort(-f)[: round(n - z.sum())]] += 1
    assert np.abs(w - z / n).sum() <= delta + 1e-9


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: grid_size(0, 0.1, 0.1), "d must"),
        (lambda: grid_size(3, 0.0, 0.1), "eps must"),
        (lambda: grid_size(3, 1.0, 0.1), "eps must"),
        (lambda: grid_size(3, 0.1, 0.0), "delta must"),
        (lambda: grid_size(3, 0.1, -1.0), "delta must"),
        (lambda: grid_size(3, 0.1, float("nan")), "delta must"),
        (lambda: round_weight([0.0, 0.0], 0.1, 0.1), "w must"),
        (lambda: round_weight([0.5, -0.1], 0.1, 0.1), "w must"),
        (lambda: uniform_lattice(3, 0), "resolution must"),
        (lambda: lattice_resolution(3, 0.0), "delta must"),
    ],
)
def test_bad_arguments_are_named(call: object, name: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=name):
        call()
