"""Smallest and best portfolios against exhaustive search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palmfolio_palm import (
    Infeasible,
    Progress,
    Target,
    best_portfolio,
    certificate,
    greedy_cover,
    min_portfolio,
    select,
    tradeoff_curve,
    verify,
)
from palmfolio_palm.certificates import corners
from palmfolio_palm.covers import completion
from tests.support.palm_inputs import Floats, deltas, epsilons, sphere, value_arrays


def smallest(V: Floats, eps: float, delta: float) -> int:
    n = len(V)
    return next(
        k
        for k in range(1, n + 1)
        if any(certificate(V, P, eps, delta).holds for P in itertools.combinations(range(n), k))
    )


def best_gap(V: Floats, k: int, eps: float) -> float:
    subsets = itertools.combinations(range(len(V)), k)
    return min(certificate(V, list(P), eps).additive for P in subsets)


@settings(max_examples=30)
@given(value_arrays(max_n=7), epsilons, deltas)
def test_minimum_equals_exhaustive_search(V: Floats, eps: float, delta: float) -> None:
    result = min_portfolio(V, eps, delta, time_limit=60)
    assert result.certificate.holds
    assert result.optimal
    assert result.size == result.lower_bound == len(result.indices) == smallest(V, eps, delta)


@pytest.mark.parametrize("seed", range(4))
def test_minimum_equals_exhaustive_search_on_fronts(seed: int) -> None:
    V = sphere(9, 3 + seed % 2, seed)
    result = min_portfolio(V, 0.06, 0.0, time_limit=60)
    assert result.optimal
    assert result.size == smallest(V, 0.06, 0.0)


def test_minimum_is_proven_where_greedy_is_not_minimal() -> None:
    V = sphere(100, 4)
    result = min_portfolio(V, 0.1, 0.0, time_limit=120)
    assert (result.size, result.optimal) == (11, True)
    assert len(greedy_cover(V, 0.1, 0.0).indices) > 11
    assert result.certificate.holds


def test_minimum_out_of_time_returns_a_certified_portfolio_and_an_honest_bound() -> None:
    V = sphere(100, 6)
    result = min_portfolio(V, 0.15, 0.0, time_limit=1e-3)
    assert result.certificate.holds
    assert not result.optimal
    # 20 is the proven minimum of this instance.
    assert 1 <= result.lower_bound <= 20 <= result.size


@settings(max_examples=40)
@given(value_arrays(max_n=12), epsilons, deltas, st.sampled_from([1e-9, 1e-3, 1e-2]))
def test_minimum_in_any_time_is_certified_and_its_bound_honest(
    V: Floats, eps: float, delta: float, limit: float
) -> None:
    result = min_portfolio(V, eps, delta, time_limit=limit)
    slow = verify(V, result.indices, eps, delta)
    assert slow.additive <= delta + 1e-7
    assert result.certificate.additive == pytest.approx(slow.additive, abs=1e-7)
    assert 1 <= result.lower_bound <= min_portfolio(V, eps, delta, time_limit=60).size


def test_minimum_needs_no_enumerated_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    V = sphere(60, 4)
    known = min_portfolio(V, 0.1, 0.0, time_limit=60).size
    _forbid_corners(monkeypatch)
    greedy = greedy_cover(V, 0.1, 0.0)
    assert greedy.certificate.method == "lp" and greedy.certificate.holds
    result = min_portfolio(V, 0.1, 0.0, time_limit=60)
    assert result.certificate.holds and result.certificate.method == "lp"
    assert result.lower_bound <= known <= result.size <= len(greedy.indices)


@pytest.mark.parametrize("allowed", [None, range(3, 60)])
def test_minimum_out_of_time_needs_no_enumerated_corners(
    monkeypatch: pytest.MonkeyPatch, allowed: range | None
) -> None:
    _forbid_corners(monkeypatch)
    monkeypatch.setattr(completion, "GRACE", 0.0)
    V = sphere(60, 4)
    some = None if allowed is None else list(allowed)
    result = min_portfolio(V, 0.1, 0.1, allowed=some, time_limit=1e-6)
    assert result.certificate.holds and not result.optimal
    assert certificate(V, result.indices, 0.1).additive <= 0.1 + 1e-9
    assert some is None or set(result.indices) <= set(some)


def test_an_unreachable_target_is_found_without_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    _forbid_corners(monkeypatch)
    V = sphere(40, 4)
    with pytest.raises(Infeasible) as caught:
        min_portfolio(V, 0.0, 0.05, allowed=np.argsort(V[:, 0])[:20], time_limit=1e-6)
    assert caught.value.gap > 0.05
    utility = V @ caught.value.weights
    reached = utility[np.argsort(V[:, 0])[:20]].max()
    assert caught.value.gap == pytest.approx(utility.max() - reached, abs=1e-9)


def _forbid_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let corners count as too many for any portfolio over three and more traits."""
    monkeypatch.setattr(corners, "_FEW_CORNERS", -1)
    monkeypatch.setattr(corners, "MAX_CORNERS", -1)


def test_minimum_reports_progress_that_tightens() -> None:
    seen: list[Progress] = []
    result = min_portfolio(sphere(100, 4), 0.1, 0.0, time_limit=120, progress=seen.append)
    assert seen[-1].upper == result.size and seen[-1].lower == result.lower_bound
    assert all(a.upper >= b.upper and a.lower <= b.lower for a, b in itertools.pairwise(seen))


def test_minimum_starts_from_a_cover_that_is_known() -> None:
    V = sphere(60, 3)
    cover = greedy_cover(V, 0.05, 0.0)
    result = min_portfolio(V, 0.05, 0.0, start=cover, time_limit=60)
    assert result.size == min_portfolio(V, 0.05, 0.0, time_limit=60).size
    assert result.certificate.holds
    with pytest.raises(ValueError, match=r"start must be a cover at eps = 0\.02"):
        min_portfolio(V, 0.02, 0.0, start=cover)
    with pytest.raises(ValueError, match="start holds policies that may not be chosen"):
        min_portfolio(V, 0.05, 0.0, start=cover, allowed=cover.indices[1:])


def test_progress_may_end_the_search() -> None:
    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        min_portfolio(sphere(50, 4), 0.05, 0.0, progress=stop)


def test_minimum_of_allowed_policies() -> None:
    V = sphere(12, 3)
    allowed = [0, 2, 3, 5, 7, 8, 9, 11]
    result = min_portfolio(V, 0.0, 0.37, allowed=allowed, time_limit=60)
    sizes = [
        k
        for k in range(1, len(allowed) + 1)
        if any(certificate(V, P, 0.0, 0.37).holds for P in itertools.combinations(allowed, k))
    ]
    assert set(result.indices) <= set(allowed)
    assert result.optimal and result.size == sizes[0]


def test_minimum_of_an_unreachable_target_names_the_weights() -> None:
    V = [[1.0, 0.0], [0.2, 0.9], [0.1, 0.3]]
    with pytest.raises(Infeasible) as caught:
        min_portfolio(V, 0.0, 0.1, allowed=[0, 2])
    assert caught.value.weights == pytest.approx([0.0, 1.0])
    assert caught.value.gap == pytest.approx(0.6)


@settings(max_examples=30)
@given(value_arrays(max_n=6), epsilons)
def test_best_equals_exhaustive_search(V: Floats, eps: float) -> None:
    for k in range(1, min(3, len(V)) + 1):
        result = best_portfolio(V, k, eps=eps, time_limit=60)
        assert len(result.indices) <= k
        assert result.optimal
        assert result.lower_bound <= result.gap
        assert result.gap == pytest.approx(best_gap(V, k, eps), abs=2e-6)
        assert result.certificate.additive == pytest.approx(result.gap, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_best_multiplicative_equals_exhaustive_search(k: int) -> None:
    V = np.maximum(sphere(11, 3, 4), 0.05)
    result = best_portfolio(V, k, objective="multiplicative", delta=0.01, time_limit=60)
    gaps = [
        certificate(V, list(P), delta=0.01).multiplicative
        for P in itertools.combinations(range(11), k)
    ]
    assert result.optimal
    assert result.gap == pytest.approx(min(g for g in gaps if g is not None), abs=2e-6)


def test_targets_are_relative_to_tiny_values_too() -> None:
    V = [[0.9, 1e-10], [0.5, 9e-10]]
    result = min_portfolio(V, 0.05, 0.0)
    assert (result.size, result.optimal) == (2, True)
    assert not certificate(V, [0], 0.05).holds
    assert result.certificate.multiplicative == 0.0
    assert len(greedy_cover(V, 0.05, 0.0).indices) == 2
    assert select(V, Target(0.05, 0.0), 5).members.tolist() == [0, 1]


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e-9, 1e-13])
def test_the_best_is_the_same_at_every_scale(scale: float) -> None:
    V = np.maximum(sphere(11, 3, 4), 0.05)
    result = best_portfolio(scale * V, 2, objective="multiplicative", time_limit=60)
    assert result.optimal
    assert result.gap == result.certificate.multiplicative
    gaps = [certificate(V, list(P)).multiplicative for P in itertools.combinations(range(11), 2)]
    assert result.gap == pytest.approx(min(g for g in gaps if g is not None), abs=2e-6)
    additive = best_portfolio(scale * V, 2, time_limit=60)
    assert additive.optimal and additive.gap == additive.certificate.additive
    assert additive.gap == pytest.approx(scale * best_gap(V, 2, 0.0), abs=2e-6 * scale)


def test_curve_equals_exhaustive_search_and_never_rises() -> None:
    V = sphere(9, 3, 2)
    curve = tradeoff_curve(V, 5, time_limit=120)
    assert [p.k for p in curve] == [1, 2, 3, 4, 5]
    for point in curve:
        assert point.optimal
        assert point.gap == pytest.approx(best_gap(V, point.k, 0.0), abs=2e-6)
    assert all(
        a.gap >= b.gap and a.lower_bound >= b.lower_bound for a, b in itertools.pairwise(curve)
    )


def test_curve_out_of_time_keeps_its_bounds_honest() -> None:
    V = sphere(10, 4, 1)
    for point in tradeoff_curve(V, 4, time_limit=1e-3):
        exact = best_gap(V, point.k, 0.0)
        assert point.lower_bound - 1e-9 <= exact <= point.gap + 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be a whole number from 1 to 2"),
        ({"k": 3}, "k must be a whole number from 1 to 2"),
        ({"k": 1, "time_limit": 0.0}, "time_limit must"),
        ({"k": 1, "objective": "median"}, "objective must be one of"),
        ({"k": 1, "objective": "multiplicative"}, "V needs values ≥ 0 and a positive"),
        ({"k": 1, "eps": 1.0}, "eps must"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        best_portfolio([[0.5, 0.0], [0.1, 0.0]], **arguments)  # type: ignore[arg-type]
