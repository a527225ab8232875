from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio_palm import (
    CornersUnavailable,
    certificate,
    corner_weights,
    gap_at,
    multiplicative_gap,
    verify,
)
from palmfolio_palm.certificates import corners
from palmfolio_palm.certificates.certificate import certificates
from tests.support.palm_inputs import Floats, deltas, epsilons, sphere, values_and_portfolio

Case = tuple[Floats, list[int]]


@given(values_and_portfolio(), epsilons, deltas)
@pytest.mark.slow
def test_equals_one_lp_per_candidate(case: Case, eps: float, delta: float) -> None:
    V, P = case
    exact, slow = certificate(V, P, eps, delta), verify(V, P, eps, delta)
    assert exact.additive == pytest.approx(slow.additive, abs=1e-7)
    assert (exact.multiplicative is None) == (slow.multiplicative is None)
    if exact.multiplicative is not None:
        assert exact.multiplicative == pytest.approx(slow.multiplicative, abs=1e-7)


@given(values_and_portfolio(max_n=14, max_d=6, positive=True), epsilons, deltas)
def test_no_user_does_worse(case: Case, eps: float, delta: float) -> None:
    V, P = case
    exact = certificate(V, P, eps, delta)
    assert exact.multiplicative is not None
    d = V.shape[1]
    users = np.random.default_rng(0).dirichlet(np.full(d, 0.5), size=500)
    U, L = (users @ V.T).max(axis=1), (users @ V[P].T).max(axis=1)
    assert ((1 - eps) * U - L).max() <= exact.additive + 1e-9
    assert (1 - (L + delta) / U).max() <= exact.multiplicative + 1e-9


@given(values_and_portfolio(positive=True), epsilons, deltas)
def test_the_worst_user_reaches_the_gap(case: Case, eps: float, delta: float) -> None:
    V, P = case
    exact = certificate(V, P, eps, delta)
    at = gap_at(V, P, exact.worst_weights_additive, eps, delta)
    assert at.additive == pytest.approx(exact.additive, abs=1e-12)
    assert exact.worst_weights_multiplicative is not None
    at = gap_at(V, P, exact.worst_weights_multiplicative, eps, delta)
    assert at.multiplicative == pytest.approx(exact.multiplicative, abs=1e-12)


@given(values_and_portfolio(positive=True), epsilons)
def test_the_two_gaps_are_one_statement(case: Case, eps: float) -> None:
    V, P = case
    additive = certificate(V, P, eps).additive
    assert certificate(V, P, delta=additive).multiplicative == pytest.approx(
        min(eps, multiplicative_gap(V, P, additive)), abs=1e-9
    )
    assert certificate(V, P, eps, additive).holds


@given(values_and_portfolio(), st.integers(0, 1000))
def test_shifting_all_values_keeps_the_additive_gap(case: Case, seed: int) -> None:
    V, P = case
    shift = np.random.default_rng(seed).normal(size=V.shape[1])
    moved = certificate(V + shift, P, shifted=True)
    assert moved.additive == pytest.approx(certificate(V, P).additive, abs=1e-9)


def test_full_portfolio_has_no_gap() -> None:
    V = sphere(40, 4)
    exact = certificate(V, np.arange(40))
    assert exact.additive <= 1e-12
    assert exact.multiplicative is not None and exact.multiplicative <= 1e-12


def test_large_instance_equals_lps() -> None:
    V = np.random.default_rng(5).random((150, 8))
    P = np.arange(20)
    exact, slow = certificate(V, P, 0.05, 0.02), verify(V, P, 0.05, 0.02)
    assert exact.additive == pytest.approx(slow.additive, abs=1e-7)
    assert exact.multiplicative == pytest.approx(slow.multiplicative, abs=1e-7)


@pytest.mark.slow
def test_falls_back_to_lps_when_corners_are_too_many() -> None:
    V = sphere(40, 16)
    with pytest.raises(CornersUnavailable):
        corner_weights(V[:35])
    exact = certificate(V, np.arange(35), 0.01)
    assert exact.method == "lp"
    users = np.random.default_rng(0).dirichlet(np.full(16, 0.3), size=2000)
    gaps = 0.99 * (users @ V.T).max(axis=1) - (users @ V[:35].T).max(axis=1)
    assert gaps.max() <= exact.additive + 1e-9
    at = gap_at(V, np.arange(35), exact.worst_weights_additive, 0.01)
    assert at.additive == pytest.approx(exact.additive, abs=1e-9)


def test_many_members_have_far_fewer_corners_than_they_might() -> None:
    V = sphere(700, 6)
    exact, W = certificate(V, np.arange(550), 0.01), corner_weights(V[:550])
    gaps = 0.99 * (W @ V.T).max(axis=1) - (W @ V[:550].T).max(axis=1)
    assert exact.additive == pytest.approx(gaps.max(), abs=1e-9)
    users = np.random.default_rng(0).dirichlet(np.full(6, 0.5), size=2000)
    gaps = 0.99 * (users @ V.T).max(axis=1) - (users @ V[:550].T).max(axis=1)
    assert gaps.max() <= exact.additive + 1e-9


@given(values_and_portfolio(max_n=14, max_d=6), epsilons, deltas)
def test_mixtures_give_what_corners_give(case: Case, eps: float, delta: float) -> None:
    V, P = case
    by_corners = certificate(V, P, eps, delta)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corners, "_FEW_CORNERS", -1)
        patch.setattr(corners, "MAX_CORNERS", -1)
        exact = certificate(V, P, eps, delta)
    assert exact.additive == pytest.approx(by_corners.additive, abs=1e-8)
    assert exact.multiplicative == pytest.approx(by_corners.multiplicative, abs=1e-8)
    assert exact.exact


@pytest.mark.parametrize("d", [2, 5, 20])
def test_out_of_time_the_gaps_are_upper_bounds(d: int) -> None:
    V, P = sphere(300, d), np.arange(12)
    true = certificate(V, P, 0.02, 0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corners, "_FEW_CORNERS", -1)
        patch.setattr(corners, "MAX_CORNERS", -1)
        late = certificates(V, P, [(0.02, 0.01)], time.monotonic() - 1.0)[0]
    assert late.additive >= true.additive - 1e-9
    assert late.multiplicative is not None and true.multiplicative is not None
    assert late.multiplicative >= true.multiplicative - 1e-9
    if d > 2:
        assert late.method == "lp" and not late.exact


def test_two_traits_by_hand() -> None:
    # Members (1, 0) and (0, 1) leave (.6, .6) short by .1 for the even user.
    exact = certificate([[1.0, 0.0], [0.0, 1.0], [0.6, 0.6]], [0, 1])
    assert exact.additive == pytest.approx(0.1)
    assert exact.multiplicative == pytest.approx(1 - 0.5 / 0.6)
    assert exact.worst_weights_additive == pytest.approx([0.5, 0.5])


def test_a_trait_nobody_serves_has_no_multiplicative_gap() -> None:
    V = [[1.0, 0.0], [0.5, 0.0]]
    exact = certificate(V, [1])
    assert exact.additive == pytest.approx(0.5)
    assert exact.multiplicative is None
    with pytest.raises(ValueError, match=r"V has a negative value or weights w with U\(w\) ≤ 0"):
        multiplicative_gap(V, [1])


@pytest.mark.parametrize(
    ("V", "P", "eps", "delta", "message"),
    [
        ([0.1, 0.2], [0], 0.0, 0.0, "V must be a non-empty"),
        (np.zeros((0, 2)), [0], 0.0, 0.0, "V must be a non-empty"),
        ([[0.1], [0.2, 0.3]], [0], 0.0, 0.0, "V must be a rectangular"),
        ([[0.1, np.nan]], [0], 0.0, 0.0, r"V must be finite, but V\[0, 1\]"),
        ([[0.1, np.inf]], [0], 0.0, 0.0, "V must be finite"),
        ([[0.1, 1.2]], [0], 0.0, 0.0, r"V must lie in \[0, 1\]"),
        ([[0.1, -0.2]], [0], 0.0, 0.0, r"V must lie in \[0, 1\]"),
        ([[0.1, 0.2]], [], 0.0, 0.0, "P must be a non-empty"),
        ([[0.1, 0.2]], [1], 0.0, 0.0, r"P holds index 1, outside \[0, 1\)"),
        ([[0.1, 0.2]], [-1], 0.0, 0.0, "P holds index -1"),
        ([[0.1, 0.2]], [0.0], 0.0, 0.0, "P must hold integer"),
        ([[0.1, 0.2]], [0], 1.0, 0.0, r"eps must lie in \[0, 1\)"),
        ([[0.1, 0.2]], [0], -0.1, 0.0, "eps must"),
        ([[0.1, 0.2]], [0], float("nan"), 0.0, "eps must"),
        ([[0.1, 0.2]], [0], 0.0, -0.1, "delta must"),
        ([[0.1, 0.2]], [0], 0.0, float("inf"), "delta must"),
    ],
)
def test_bad_arguments_are_named(
    V: object, P: object, eps: float, delta: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        certificate(V, P, eps, delta)  # type: ignore[arg-type]


@pytest.mark.parametrize("w", [[0.0, 0.0], [-0.1, 1.0], [np.nan, 1.0], [1.0], [[1.0, 0.0]]])
def test_bad_weights_are_named(w: object) -> None:
    with pytest.raises(ValueError, match="w must"):
        gap_at([[0.1, 0.2]], [0], w)  # type: ignore[arg-type]
