import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import ArrayLike

import palmfolio_palm as palm
from palmfolio_palm import Target, TargetInfeasible
from palmfolio_palm.selection import (
    Selection,
    baselines,
    certify,
    confidence,
    confidence_of_means,
    curve,
    select,
    whole,
)
from palmfolio_palm.validation import FloatArray

SECONDS = 5.0
VALUES = arrays.arrays(
    float, st.tuples(st.integers(2, 8), st.integers(2, 3)), elements=st.floats(0, 1, width=32)
)
# Three specialists and a compromise that no target of 0.3 needs.
FRONT = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.4, 0.4, 0.4]], dtype=float)


def bound_of(X: FloatArray, members: ArrayLike) -> palm.ConfidenceBound:
    """The confidence bound at 95 %, which there are prompts enough for."""
    bound = confidence(X, members, 0.95)
    assert bound is not None
    return bound


@settings(max_examples=50)
@given(VALUES, st.floats(0, 0.4), st.floats(0.01, 0.3))
@pytest.mark.slow
def test_the_target_holds_for_every_user(V: FloatArray, epsilon: float, delta: float) -> None:
    found = select(V, Target(epsilon, delta), SECONDS)
    assert found.certificate.additive <= delta + 1e-6
    independent = palm.verify(V, found.members, epsilon, delta)
    assert found.certificate.additive == pytest.approx(independent.additive, abs=1e-6)


def test_a_size_without_a_target_gives_the_best_of_that_size() -> None:
    found = select(FRONT, Target(0, 0, max_size=3), SECONDS)
    gaps = [
        palm.certificate(FRONT, np.array(members)).additive
        for members in ([0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3])
    ]
    assert len(found.members) <= 3
    assert found.plain.additive == pytest.approx(min(gaps), abs=1e-6)


def test_a_size_too_small_for_the_target_names_the_worst_weights() -> None:
    with pytest.raises(TargetInfeasible) as error:
        select(FRONT, Target(0, 0.01, max_size=2), SECONDS)
    utility = FRONT @ error.value.weights
    assert error.value.gap > 0.01
    assert error.value.gap <= utility.max() + 1e-9


def test_a_size_large_enough_for_the_target_meets_it() -> None:
    found = select(FRONT, Target(0, 0.5, max_size=3), SECONDS)
    assert len(found.members) <= 3
    assert found.certificate.holds


@given(VALUES)
def test_baselines_are_what_the_certificate_says(V: FloatArray) -> None:
    found = baselines(V, base=1)
    single_gaps = [palm.certificate(V, np.array([p])).additive for p in range(len(V))]
    assert found.best_single == pytest.approx(min(single_gaps), abs=1e-9)
    assert single_gaps[found.best_single_index] == pytest.approx(min(single_gaps), abs=1e-9)
    assert found.base_model == pytest.approx(single_gaps[1], abs=1e-9)
    assert baselines(V, base=None).base_model is None


def test_a_smallest_portfolio_is_proven_smallest() -> None:
    found = select(FRONT, Target(0, 0.35), SECONDS)
    assert found.optimal
    assert found.size_lower_bound == len(found.members)


def test_the_greedy_cover_meets_the_target_too() -> None:
    found = select(FRONT, Target(0, 0.3), SECONDS, greedy=True)
    assert found.certificate.holds
    assert found.size_lower_bound <= len(found.members)


def test_the_curve_gives_the_best_of_every_size() -> None:
    points = curve(FRONT, 4, SECONDS)
    for point in points:
        every = itertools.combinations(range(len(FRONT)), point.k)
        best = min(palm.certificate(FRONT, np.array(members)).additive for members in every)
        assert point.gap == pytest.approx(best, abs=1e-5)
        assert point.lower_bound <= best + 1e-9


def test_the_confidence_bound_covers_the_plain_gap_and_shrinks_with_prompts() -> None:
    random = np.random.default_rng(0)
    noise = random.uniform(-0.1, 0.1, (4, 4000, 3))
    X = np.clip(FRONT[:, None, :] + noise, 0, 1)
    members = np.array([0, 1])
    few, many = bound_of(X[:, :200], members), bound_of(X, members)
    assert few.bound >= many.bound >= palm.certificate(X.mean(axis=1), members).additive
    assert few.method == many.method == bound_of(X[:, :8], members).method == "likelihood"
    assert confidence(X[:, :1], members, 0.95) is None


def test_a_search_whose_report_raises_ends() -> None:
    class Abandoned(Exception):
        pass

    def abandon(_: object) -> None:
        raise Abandoned

    for search in (
        lambda: select(FRONT, Target(0, 0.1), SECONDS, progress=abandon),
        lambda: select(FRONT, Target(0, 0, max_size=2), SECONDS, progress=abandon),
        lambda: curve(FRONT, 2, SECONDS, progress=abandon),
    ):
        with pytest.raises(Abandoned):
            search()


def test_the_interim_answer_meets_the_target() -> None:
    seen: list[Selection] = []
    found = select(FRONT, Target(0, 0.1), SECONDS, interim=seen.append)
    (first,) = seen
    assert first.certificate.holds
    assert len(first.members) >= len(found.members)


@given(VALUES, st.floats(0, 0.4), st.floats(0, 0.3))
def test_all_pareto_optimal_candidates_lose_nothing(
    V: FloatArray, epsilon: float, delta: float
) -> None:
    everyone = whole(V, Target(epsilon, delta))
    exact = certify(V, everyone.members, Target(epsilon, delta))
    assert everyone.certificate.additive == 0 == everyone.plain.additive
    assert exact.plain.additive == pytest.approx(0, abs=1e-9)
    assert (everyone.plain.multiplicative is None) == (exact.plain.multiplicative is None)


@pytest.mark.slow
def test_of_the_smallest_portfolios_one_of_a_small_gap_is_taken() -> None:
    # On this table a smallest cover that only meets the target leaves a gap of 0.0493, the best of
    # its size 0.0371.
    rng = np.random.default_rng(0)
    V = rng.dirichlet(np.ones(3), 40) ** 0.5
    found = select(V, Target(0, 0.05), 20)
    best = palm.best_portfolio(V, len(found.members), time_limit=20)
    assert found.optimal
    assert found.plain.additive == pytest.approx(best.gap, abs=2e-6)


@pytest.mark.slow
def test_the_order_of_the_candidates_does_not_matter() -> None:
    # The lattice is symmetric in the traits, so many portfolios tie.
    V = palm.uniform_lattice(3, 3) ** 0.5
    orders = [np.random.default_rng(seed).permutation(len(V)) for seed in range(5)]
    chosen = [order[select(V[order], Target(0, 0.2), SECONDS).members] for order in orders]
    assert len({frozenset(members.tolist()) for members in chosen}) == 1


@pytest.mark.slow
def test_one_rule_for_the_bound_whatever_the_number_of_policies() -> None:
    random = np.random.default_rng(1)
    X = random.uniform(0, 1, (201, 25, 2))
    bounds = [bound_of(X[:n], [0, 1]) for n in (150, 151, 200, 201)]
    assert {bound.method for bound in bounds} == {"likelihood"}
    values = [bound.bound for bound in bounds]
    assert max(values) - min(values) < 0.05
    means = confidence_of_means(X.mean(axis=1), 25, [0, 1], 0.95)
    assert means is not None and means.method == "hoeffding"
    many = np.repeat(X[:, :2], 10, axis=0)
    assert bound_of(many, [0, 1]).method == "hoeffding"
    assert confidence_of_means(X.mean(axis=1), 1, [0, 1], 0.95) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Target(1.0, 0.1), "epsilon must"),
        (lambda: Target(0.0, -0.1), "delta must"),
        (lambda: Target(0.0, 0.1, max_size=-1), "max_size must"),
        (lambda: select(FRONT, Target(0, 0.1), 0.0), "seconds must"),
        (lambda: select([[2.0]], Target(0, 0.1), 1.0), r"V must lie in \[0, 1\]"),
        (lambda: certify(FRONT, [9], Target(0, 0.1)), "members holds index 9"),
        (lambda: curve(FRONT, 5, 1.0), "largest must"),
        (lambda: confidence(np.zeros((2, 3)), [0]), "X must be"),
    ],
)
def test_bad_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
