from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from palmfolio_palm import pareto
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


def test_equals_brute_force_over_several_blocks() -> None:
    V = np.round(np.random.default_rng(0).random((900, 3)), 2)
    assert pareto(V).tolist() == brute(V)


def test_a_front_is_kept_whole() -> None:
    assert len(pareto(sphere(2000, 4))) == 2000


def test_bad_argument_is_named() -> None:
    with pytest.raises(ValueError, match="V must be a non-empty"):
        pareto(np.zeros((0, 3)))
