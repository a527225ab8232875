from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palmfolio_palm import best_for_population, population_gaps
from tests.support.palm_inputs import Floats, sphere, value_arrays


def users(m: int, d: int, seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.full(d, 0.7), size=m), rng.integers(1, 5, size=m).astype(float)


@given(value_arrays(), st.integers(0, 999), st.sampled_from([0.0, 0.1]))
def test_gaps_equal_those_of_repeated_users(V: Floats, seed: int, eps: float) -> None:
    W, counts = users(7, V.shape[1], seed)
    gaps = population_gaps(V, [0], W, counts=counts, levels=(0.5, 0.9), eps=eps)
    single = np.repeat(
        np.maximum(0, (1 - eps) * (W @ V.T).max(axis=1) - W @ V[0]), counts.astype(int)
    )
    assert gaps.mean == pytest.approx(single.mean(), abs=1e-12)
    assert gaps.worst == pytest.approx(single.max(), abs=1e-12)
    for level, value in gaps.quantiles.items():
        assert (single <= value + 1e-12).mean() >= level - 1e-9
        below = single[single < value - 1e-9]
        assert len(below) / len(single) < level


@settings(max_examples=40)
@given(value_arrays(max_n=7), st.integers(0, 999), st.integers(1, 3))
def test_best_mean_equals_exhaustive_search(V: Floats, seed: int, k: int) -> None:
    k = min(k, len(V))
    W, counts = users(12, V.shape[1], seed)
    result = best_for_population(V, k, W, counts=counts, time_limit=60)
    exact = min(
        population_gaps(V, list(P), W, counts=counts).mean
        for P in itertools.combinations(range(len(V)), k)
    )
    assert result.optimal
    assert result.objective == pytest.approx(exact, abs=1e-6)
    assert population_gaps(V, result.indices, W, counts=counts).mean == pytest.approx(
        result.objective
    )


@settings(max_examples=40)
@given(value_arrays(max_n=7), st.integers(0, 999), st.sampled_from([0.5, 0.8, 1.0]))
def test_best_quantile_equals_exhaustive_search(V: Floats, seed: int, level: float) -> None:
    k = min(2, len(V))
    W, counts = users(12, V.shape[1], seed)
    result = best_for_population(
        V, k, W, counts=counts, objective="quantile", level=level, time_limit=60
    )
    exact = min(
        population_gaps(V, list(P), W, counts=counts, levels=(level,)).quantiles[level]
        for P in itertools.combinations(range(len(V)), k)
    )
    assert result.optimal
    assert result.objective == pytest.approx(exact, abs=1e-6)


def test_a_bound_is_reported_when_time_is_short() -> None:
    V = sphere(40, 4)
    W, _ = users(100, 4, 0)
    short = best_for_population(V, 6, W, time_limit=1e-3)
    longer = best_for_population(V, 6, W, time_limit=3)
    assert short.lower_bound <= longer.objective <= short.objective + 1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must"),
        ({"k": 3}, "k must"),
        ({"W": [[0.0, 0.0]]}, "W must"),
        ({"W": [[0.5, -0.5]]}, "W must"),
        ({"W": [[1.0]]}, "W must"),
        ({"counts": [1.0]}, "counts must"),
        ({"counts": [0.0, 0.0]}, "counts must"),
        ({"level": 0.0}, "level must"),
        ({"objective": "median"}, "objective must"),
        ({"time_limit": -1.0}, "time_limit must"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    call: dict[str, object] = {"k": 1, "W": [[0.5, 0.5], [0.9, 0.1]], **arguments}
    with pytest.raises(ValueError, match=message):
        best_for_population([[0.5, 0.1], [0.1, 0.7]], **call)  # type: ignore[arg-type]
