import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio_palm.routing import route

REWARDS = st.floats(0, 1)
VALUES = st.lists(st.fixed_dictionaries({"a": REWARDS, "b": REWARDS}), min_size=1, max_size=6)


@given(VALUES, st.floats(0, 1), st.data())
def test_nobody_in_the_portfolio_serves_better(values, share, data):
    everyone = range(len(values))
    members = sorted(data.draw(st.sets(st.sampled_from(everyone), min_size=1)))
    weights = {"a": share, "b": 1 - share}
    found = route(values, members, weights)
    utilities = [share * v["a"] + (1 - share) * v["b"] for v in values]
    assert found.index in members
    assert found.utility == pytest.approx(max(utilities[m] for m in members))
    assert found.gap == pytest.approx(max(utilities) - found.utility)
    assert found.gap >= 0


def test_equal_members_are_decided_by_their_order():
    values = [{"a": 0.5, "b": 0.5}] * 3
    assert route(values, [1, 2], {"a": 0.3, "b": 0.7}).index == 1
    assert route(values, [2, 1], {"a": 0.3, "b": 0.7}).index == 2


def test_traits_left_out_weigh_nothing():
    values = [{"a": 0.1, "b": 1.0}, {"a": 0.2, "b": 0.0}]
    assert route(values, [0, 1], {"a": 1.0}).index == 1
