from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from palmfolio_palm import Infeasible, certificate, greedy_cover, grid_weights
from tests.support.palm_inputs import Floats, deltas, epsilons, sphere, value_arrays


@given(value_arrays(), epsilons, deltas)
def test_certified_and_without_spare_members(V: Floats, eps: float, delta: float) -> None:
    cover = greedy_cover(V, eps, delta)
    assert cover.certificate.holds
    for member in cover.indices:
        rest = cover.indices[cover.indices != member]
        if rest.size:
            assert not certificate(V, rest, eps, delta).holds


@pytest.mark.parametrize("d", [3, 4, 6])
def test_fronts_are_covered_without_spare_members(d: int) -> None:
    V = sphere(150, d, d)
    cover = greedy_cover(V, 0.08, 0.0)
    assert cover.certificate.holds
    for member in cover.indices:
        assert not certificate(V, cover.indices[cover.indices != member], 0.08).holds


@given(value_arrays(), epsilons, deltas)
def test_no_time_gives_more_members_that_are_certified(V: Floats, eps: float, delta: float) -> None:
    quick = greedy_cover(V, eps, delta, time_limit=1e-9)
    assert quick.certificate.holds


def test_a_time_limit_is_positive() -> None:
    with pytest.raises(ValueError, match="time_limit must be a number > 0"):
        greedy_cover([[0.5, 0.5]], 0.0, 0.1, time_limit=0.0)


def test_grid_demand_alone_breaks_the_claim_between_its_points() -> None:
    broken = 0
    for seed in range(12):
        V = sphere(100, 3, seed)
        cover = greedy_cover(V, 0.05, 0.0, weights=grid_weights(3, 0.3, 0.3))
        assert cover.certificate.holds
        broken += cover.covered_demand_only < len(cover.indices)
    assert broken > 0


def test_only_allowed_policies_are_chosen() -> None:
    V = sphere(60, 3)
    allowed = np.arange(0, 60, 2)
    cover = greedy_cover(V, 0.1, 0.02, allowed=allowed)
    assert set(cover.indices) <= set(allowed)
    assert cover.certificate.holds


def test_a_target_out_of_reach_names_the_weights_and_the_gap() -> None:
    V = [[1.0, 0.0], [0.2, 0.9], [0.1, 0.3]]
    with pytest.raises(Infeasible) as caught:
        greedy_cover(V, 0.0, 0.1, allowed=[0, 2])
    assert caught.value.weights == pytest.approx([0.0, 1.0])
    assert caught.value.gap == pytest.approx(0.6)
    assert caught.value.target == 0.1
    assert "gap is 0.6" in str(caught.value)


def test_equal_policies_need_one_member() -> None:
    assert len(greedy_cover(np.full((7, 3), 0.4), 0.0, 0.0).indices) == 1
