"""The bound over everything trainable, against fronts whose best values are known."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio_palm.exploration import Trainings, next_weights, refute, trainable_gap
from palmfolio_palm.validation import FloatArray

CENTROID = [1 / 3, 1 / 3, 1 / 3]
STARTS = np.array([CENTROID, [0.96, 0.02, 0.02], [0.02, 0.96, 0.02], [0.02, 0.02, 0.96]])


def sphere(W: FloatArray) -> FloatArray:
    """The best values for weights on the front Σ v² = 1, v ≥ 0."""
    return W / np.linalg.norm(W, axis=1, keepdims=True)


def train(W: FloatArray, alpha: float = 0.0) -> Trainings:
    """Trainings that are optimal on the sphere front."""
    return Trainings(W=W, own=list(range(len(W))), V=sphere(W), alpha=alpha)


def users(seed: int, count: int = 400) -> FloatArray:
    """Random weights, some on edges."""
    random = np.random.default_rng(seed)
    W = random.dirichlet(np.full(3, 0.5), count)
    return np.vstack([W, np.eye(3)])


@given(st.integers(0, 10_000), st.integers(2, 7), st.sampled_from([0.0, 0.1]))
def test_no_trainable_policy_is_above_the_bound(seed: int, count: int, alpha: float) -> None:
    W = np.random.default_rng(seed).dirichlet(np.ones(3), count)
    trained = train(W, alpha)
    gap = trainable_gap(trained, trained.V, 0.0)
    everyone = users(seed)
    true_gap = (np.linalg.norm(everyone, axis=1) - (everyone @ trained.V.T).max(axis=1)).max()
    assert gap.gap >= true_gap - 1e-9
    assert gap.worst_weights.sum() == pytest.approx(1)


@given(st.integers(0, 10_000))
def test_shortfalls_within_alpha_keep_the_bound_true(seed: int) -> None:
    random = np.random.default_rng(seed)
    W, alpha = random.dirichlet(np.ones(3), 5), 0.15
    V = sphere(W) * (1 - alpha * random.uniform(0, 1, (5, 1)))
    trained = Trainings(W=W, own=list(range(5)), V=V, alpha=alpha)
    everyone = users(seed)
    true_gap = (np.linalg.norm(everyone, axis=1) - (everyone @ V.T).max(axis=1)).max()
    assert trainable_gap(trained, V, 0.0).gap >= true_gap - 1e-9


def test_one_training_at_the_centroid_leaves_what_the_cut_allows() -> None:
    trained = Trainings(W=np.array([[0.5, 0.5]]), own=[0], V=np.array([[0.5, 0.5]]), alpha=0.0)
    # v1 + v2 <= 1 and v in [0, 1]²: a user of one trait may get 1 and has 0.5.
    gap = trainable_gap(trained, trained.V, 0.0)
    assert gap.gap == pytest.approx(0.5, abs=1e-6)
    assert gap.worst_weights.max() == pytest.approx(1)


def test_epsilon_lowers_the_gap() -> None:
    trained = train(STARTS)
    gaps = [trainable_gap(trained, trained.V, epsilon).gap for epsilon in (0.0, 0.05, 0.2)]
    assert gaps == sorted(gaps, reverse=True) and gaps[0] > gaps[-1]


def test_training_where_it_is_proposed_reaches_the_target() -> None:
    W, delta = STARTS, 0.05
    for _ in range(40):
        trained = train(W)
        rows = next_weights(trained, 0.0, delta, 1, W)
        if not len(rows):
            break
        W = np.vstack([W, rows])
    assert trainable_gap(train(W), sphere(W), 0.0).gap <= delta
    # A uniform lattice with the same certificate needs 21 (docs/algorithms.md section 5).
    assert len(W) <= 30


def test_several_proposals_are_apart_and_new() -> None:
    trained = train(STARTS)
    rows = next_weights(trained, 0.0, 0.0, 3, STARTS)
    assert len(rows) == 3
    for one, other in itertools.combinations(rows, 2):
        assert np.abs(one - other).sum() > 0.1
    again = next_weights(trained, 0.0, 0.0, 3, np.vstack([STARTS, rows]))
    assert not any(np.allclose(row, old) for row in again for old in rows)


def test_a_policy_that_is_better_elsewhere_refutes_nothing() -> None:
    assert refute(train(STARTS), None) == []


def test_a_failed_training_is_refuted_by_the_policy_that_outdid_it() -> None:
    trained = train(STARTS)
    trained.V[0] = [0.1, 0.1, 0.1]
    (found,) = refute(trained, None)
    assert found.training == 0
    best = float((STARTS[0] @ trained.V.T).max())
    assert STARTS[0] @ trained.V[found.better] == pytest.approx(best)
    assert found.shortfall == pytest.approx(1 - 0.1 / best)


def test_a_shortfall_that_alpha_allows_is_no_refutation() -> None:
    V = np.array([[0.45, 0.45], [0.5, 0.5]])
    W = np.array([[0.5, 0.5]])
    assert refute(Trainings(W, [0], V, alpha=0.2), None) == []
    assert len(refute(Trainings(W, [0], V, alpha=0.05), None)) == 1


def test_a_difference_that_noise_explains_is_no_refutation() -> None:
    random = np.random.default_rng(0)
    W = np.array([[0.5, 0.5]])
    noisy = random.uniform(0, 1, (2, 30, 2))
    noisy[1] = np.clip(noisy[1] + 0.01, 0, 1)
    assert refute(Trainings(W, [0], noisy.mean(axis=1), 0.0), noisy) == []
    clear = np.stack([np.full((30, 2), 0.4), np.full((30, 2), 0.5)])
    clear += random.uniform(0, 0.01, clear.shape)
    assert len(refute(Trainings(W, [0], clear.mean(axis=1), 0.0), clear)) == 1
