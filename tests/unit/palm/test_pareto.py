from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from palmfolio_palm import pareto
from palmfolio_palm.pareto import pareto_rows
from tests.support.palm_inputs import Floats, sphere, value_arrays


def brute(V: Floats) -> list[int]:
    kept = []
    for i, v in enumerate(V):
        dominated = any((u >= v).all() and (u > v).any() for u in V)
        earlier = any((u == v).all() for u in V[:i])
        if not dominated and not earlier:
            kept.append(i)
    return kept


@given(value_arrays(max_n=12))
def test_equals_brute_force(V: Floats) -> None:
    assert pareto(V).tolist() == brute(V)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("digits", [1, 2, 9])
def test_equals_brute_force_over_several_blocks(d: int, digits: int) -> None:
    V = np.round(np.random.default_rng(digits).random((700, d)) - 0.5, digits)
    assert pareto(np.abs(V)).tolist() == brute(np.abs(V))
    assert pareto_rows(V).tolist() == brute(V)


def test_a_front_is_kept_whole() -> None:
    assert len(pareto(sphere(2000, 4))) == 2000


def test_bad_argument_is_named() -> None:
    with pytest.raises(ValueError, match="V must be a non-empty"):
        pareto(np.zeros((0, 3)))
