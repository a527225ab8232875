from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palmfolio_palm import OuterBound, certificate, starting_weights, uniform_lattice
from tests.support.palm_inputs import Floats, sphere


def trained(V: Floats, w: Floats) -> Floats:
    """The best value vector of the front V at w."""
    return V[int(np.argmax(V @ w))]


def build(V: Floats, count: int) -> OuterBound:
    outer = OuterBound(V.shape[1])
    for _ in range(count):
        w = outer.next_weights()[0]
        outer.add(w, trained(V, w))
    return outer


@settings(max_examples=15)
@given(st.integers(2, 4), st.integers(0, 500), st.integers(1, 9))
@pytest.mark.slow
def test_bounds_everything_trainable(d: int, seed: int, count: int) -> None:
    V = sphere(60, d, seed)
    outer = build(V, count)
    W = np.random.default_rng(seed).dirichlet(np.full(d, 0.6), size=25)
    best = (W @ V.T).max(axis=1)
    assert (outer.upper(W) >= best - 1e-9).all()
    gap = outer.certified_gap()
    reached = (W @ outer.values.T).max(axis=1)
    assert gap.gap >= (best - reached).max() - 1e-9
    # The certified gap is exactly the largest difference of the two bounds.
    assert gap.gap >= (outer.upper(W) - reached).max() - 1e-7
    assert gap.gap == pytest.approx(gap.upper - gap.reached, abs=1e-12)
    at_worst = outer.upper(gap.worst_weights[None])[0]
    assert at_worst == pytest.approx(gap.upper, abs=1e-7)


@pytest.mark.parametrize("d", [2, 3])
def test_adaptive_training_reaches_the_target_and_keeps_its_promise(d: int) -> None:
    V = sphere(3000, d, 1)
    outer = OuterBound(d)
    while len(outer.weights) <= d or outer.certified_gap().gap > 0.05:
        w = outer.next_weights()[0]
        outer.add(w, trained(V, w))
        assert len(outer.weights) < 40
    stacked = np.concatenate([V, outer.values])
    exact = certificate(stacked, np.arange(len(V), len(stacked))).additive
    assert exact <= outer.certified_gap().gap + 1e-9


def test_few_trainings_on_a_polytope() -> None:
    V = np.random.default_rng(3).random((8, 3))
    outer = OuterBound(3)
    while len(outer.weights) < 4 or outer.certified_gap().gap > 0.05:
        w = outer.next_weights()[0]
        outer.add(w, trained(V, w))
    lattice = OuterBound(3)
    for w in uniform_lattice(3, 5):
        lattice.add(w, trained(V, w))
    assert len(outer.weights) <= len(lattice.weights)


def test_first_weights_are_the_centroid_and_the_corners() -> None:
    first = OuterBound(3).next_weights(4)
    assert first[0] == pytest.approx([1 / 3] * 3)
    assert (first[1:].argmax(axis=1) == [0, 1, 2]).all()
    assert first.min() > 0.0
    assert first.sum(axis=1) == pytest.approx(np.ones(4))


@given(st.integers(2, 6), st.floats(0.0, 1.0))
def test_the_first_weights_keep_further_inside_for_a_wider_target(d: int, target: float) -> None:
    W, exact = starting_weights(d, target), starting_weights(d, 0.0)
    assert W.shape == (d + 1, d)
    assert W.sum(axis=1) == pytest.approx(np.ones(d + 1))
    assert (W[1:].argmax(axis=1) == np.arange(d)).all()
    assert W.min() >= exact.min() > 0.0


def test_weights_that_failed_are_not_asked_for_again() -> None:
    outer = OuterBound(3)
    first = outer.next_weights(4)
    for w in first[[0, 1, 3]]:
        outer.add(w, trained(sphere(500, 3), w))
    tried = [first[2]]
    for _ in range(6):
        w = outer.next_weights(tried=tried)[0]
        assert min(np.abs(w - old).max() for old in [*first, *tried]) > 1e-3
        tried.append(w)


def test_members_that_were_not_trained_count() -> None:
    V = sphere(500, 3)
    outer = build(V, 5)
    assert outer.certified_gap_of(outer.values).gap == pytest.approx(outer.certified_gap().gap)
    worst = outer.certified_gap().worst_weights
    more = np.concatenate([outer.values, trained(V, worst)[None]])
    assert outer.certified_gap_of(more).gap < outer.certified_gap().gap
    w = outer.next_weights(members=more)[0]
    assert np.abs(w - outer.next_weights()[0]).max() > 1e-3


def test_several_weights_at_once_differ() -> None:
    outer = build(sphere(500, 3), 4)
    W = outer.next_weights(5)
    distances = np.abs(W[:, None] - W[None]).sum(axis=2) + 9 * np.eye(5)
    assert distances.min() > 0.05


def test_alpha_loosens_the_bound_by_its_factor() -> None:
    V = sphere(200, 3)
    exact, loose = OuterBound(3), OuterBound(3)
    for w in uniform_lattice(3, 3):
        exact.add(w, trained(V, w))
        loose.add(w, trained(V, w), alpha=0.1)
    w = np.full((1, 3), 1 / 3)
    assert exact.upper(w)[0] < loose.upper(w)[0] <= exact.upper(w)[0] / 0.9 + 1e-9
    assert loose.certified_gap().gap > exact.certified_gap().gap


def test_a_failed_training_is_refuted_and_its_repetition_clears_it() -> None:
    V = sphere(400, 3)
    outer = build(V, 8)
    assert outer.refute() == []
    w = outer.next_weights()[0]
    outer.add(w, 0.6 * trained(V, w))
    outer.add([0.4, 0.35, 0.25], trained(V, np.array([0.4, 0.35, 0.25])))
    refuted = outer.refute()
    assert [r.training for r in refuted] == [8]
    assert w @ outer.values[refuted[0].better] > w @ outer.values[8]
    utility = outer.values @ w
    assert refuted[0].shortfall == pytest.approx(1 - utility[8] / utility.max())
    outer.replace(8, trained(V, w))
    assert outer.refute() == []


def test_a_stated_alpha_is_not_refuted_within_it() -> None:
    outer = OuterBound(2)
    outer.add([0.5, 0.5], [0.45, 0.45], alpha=0.2)
    outer.add([0.9, 0.1], [0.5, 0.5])
    assert outer.refute() == []
    outer.replace(0, [0.3, 0.3], alpha=0.2)
    assert [r.training for r in outer.refute()] == [0]


def test_shifted_values_are_bounded_below_by_lo() -> None:
    V = sphere(300, 3) - 0.3
    outer = OuterBound(3, lo=-0.3, hi=0.7)
    for w in uniform_lattice(3, 3):
        outer.add(w, trained(V, w))
    W = np.random.default_rng(0).dirichlet(np.ones(3), size=50)
    assert (outer.upper(W) >= (W @ V.T).max(axis=1) - 1e-9).all()


def test_a_portfolio_of_some_trainings_has_the_larger_gap() -> None:
    outer = build(sphere(300, 3), 9)
    assert outer.certified_gap([0, 1]).gap > outer.certified_gap().gap


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o: OuterBound(0), "d must"),
        (lambda o: OuterBound(2, lo=1.0, hi=0.0), "lo must not exceed"),
        (lambda o: OuterBound(2, hi=[1.0]), "hi must"),
        (lambda o: o.add([0.0, 0.0], [0.5, 0.5]), "w must"),
        (lambda o: o.add([1.0, 0.0], [0.5, 1.5]), r"v must lie in \[lo, hi\]"),
        (lambda o: o.add([1.0, 0.0], [0.5]), "v must have shape"),
        (lambda o: o.add([1.0, 0.0], [0.5, np.nan]), "v must be finite"),
        (lambda o: o.add([1.0, 0.0], [0.5, 0.5], alpha=1.0), "alpha must"),
        (lambda o: o.certified_gap(), "P must"),
        (lambda o: o.next_weights(0), "count must"),
        (lambda o: o.next_weights(tried=[[0.0, 0.0]]), "tried must"),
        (lambda o: o.next_weights(members=[[0.1]]), "members must"),
        (lambda o: o.certified_gap_of([[0.1, 0.2, 0.3]]), "members must"),
        (lambda o: starting_weights(2, -1.0), "target must"),
        (lambda o: o.upper([[1.0]]), "W must"),
        (lambda o: o.refute(-1.0), "tolerance must"),
        (lambda o: o.replace(0, [0.1, 0.1]), "training holds index 0"),
    ],
)
def test_bad_arguments_are_named(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=message):
        call(OuterBound(2))
