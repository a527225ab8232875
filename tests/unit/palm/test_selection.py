import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import palmfolio_palm as palm
from palmfolio_palm.selection import (
    Abandoned,
    Target,
    TargetInfeasible,
    baselines,
    confidence,
    curve,
    select,
)

SECONDS = 5.0
VALUES = arrays.arrays(
    float, st.tuples(st.integers(2, 8), st.integers(2, 3)), elements=st.floats(0, 1, width=32)
)
# Three specialists and a compromise that no target of 0.3 needs.
FRONT = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.4, 0.4, 0.4]], dtype=float)


@settings(max_examples=50)
@given(VALUES, st.floats(0, 0.4), st.floats(0.01, 0.3))
def test_the_target_holds_for_every_user(V, epsilon, delta):
    found = select(V, Target(epsilon, delta), SECONDS)
    assert found.certificate.additive <= delta + 1e-6
    independent = palm.verify(V, found.members, epsilon, delta)
    assert found.certificate.additive == pytest.approx(independent.additive, abs=1e-6)


def test_a_size_without_a_target_gives_the_best_of_that_size():
    found = select(FRONT, Target(0, 0, max_size=3), SECONDS)
    gaps = [
        palm.certificate(FRONT, np.array(members)).additive
        for members in ([0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3])
    ]
    assert len(found.members) <= 3
    assert found.plain.additive == pytest.approx(min(gaps), abs=1e-6)


def test_a_size_too_small_for_the_target_names_the_worst_weights():
    with pytest.raises(TargetInfeasible) as error:
        select(FRONT, Target(0, 0.01, max_size=2), SECONDS)
    utility = FRONT @ error.value.weights
    assert error.value.gap > 0.01
    assert error.value.gap <= utility.max() + 1e-9


def test_a_size_large_enough_for_the_target_meets_it():
    found = select(FRONT, Target(0, 0.5, max_size=3), SECONDS)
    assert len(found.members) <= 3
    assert found.certificate.holds


@given(VALUES)
def test_baselines_are_what_the_certificate_says(V):
    found = baselines(V, base=1)
    alone = [palm.certificate(V, np.array([p])).additive for p in range(len(V))]
    assert found.best_single == pytest.approx(min(alone), abs=1e-9)
    assert alone[found.best_single_index] == pytest.approx(min(alone), abs=1e-9)
    assert found.base_model == pytest.approx(alone[1], abs=1e-9)
    assert baselines(V, base=None).base_model is None


def test_a_smallest_portfolio_is_proven_smallest():
    found = select(FRONT, Target(0, 0.35), SECONDS)
    assert found.optimal
    assert found.size_lower_bound == len(found.members)


def test_the_greedy_cover_meets_the_target_too():
    found = select(FRONT, Target(0, 0.3), SECONDS, greedy=True)
    assert found.certificate.holds
    assert found.size_lower_bound <= len(found.members)


def test_the_curve_gives_the_best_of_every_size():
    points = curve(FRONT, 4, SECONDS)
    for point in points:
        every = itertools.combinations(range(len(FRONT)), point.size)
        best = min(palm.certificate(FRONT, np.array(members)).additive for members in every)
        assert point.gap == pytest.approx(best, abs=1e-5)
        assert point.lower_bound <= best + 1e-9


def test_the_confidence_bound_covers_the_plain_gap_and_shrinks_with_prompts():
    random = np.random.default_rng(0)
    noise = random.uniform(-0.1, 0.1, (4, 4000, 3))
    X = np.clip(FRONT[:, None, :] + noise, 0, 1)
    members = np.array([0, 1])
    few, many = confidence(X[:, :200], members, 0.95), confidence(X, members, 0.95)
    assert few.gap >= many.gap >= palm.certificate(X.mean(axis=1), members).additive
    assert few.method == many.method == "max_t"
    assert confidence(X[:, :5], members, 0.95).method == "hoeffding"
    assert confidence(X[:, :1], members, 0.95) is None


def test_a_search_that_nobody_waits_for_ends():
    for search in (
        lambda stopped: select(FRONT, Target(0, 0.1), SECONDS, stopped=stopped),
        lambda stopped: select(FRONT, Target(0, 0, max_size=2), SECONDS, stopped=stopped),
        lambda stopped: curve(FRONT, 2, SECONDS, stopped=stopped),
    ):
        with pytest.raises(Abandoned):
            search(lambda: True)
