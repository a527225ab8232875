from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from palmfolio_palm.routing import route

VALUES = arrays.arrays(float, st.tuples(st.integers(1, 6), st.just(2)), elements=st.floats(0, 1))


@given(VALUES, st.floats(0, 1), st.data())
def test_nobody_in_the_portfolio_serves_better(V: Any, share: float, data: st.DataObject) -> None:
    everyone = range(len(V))
    members = sorted(data.draw(st.sets(st.sampled_from(everyone), min_size=1)))
    found = route(V, members, [share, 1 - share])
    utilities = V @ [share, 1 - share]
    assert found.index in members
    assert found.utility == pytest.approx(max(utilities[m] for m in members))
    assert found.gap == pytest.approx(max(utilities) - found.utility)
    assert found.gap >= 0


def test_equal_members_are_decided_by_their_order() -> None:
    V = [[0.5, 0.5]] * 3
    assert route(V, [1, 2], [0.3, 0.7]).index == 1
    assert route(V, [2, 1], [0.3, 0.7]).index == 2


@pytest.mark.parametrize(
    ("V", "members", "w", "message"),
    [
        ([[0.5, np.nan]], [0], [0.5, 0.5], "V must be finite"),
        ([[0.5, 0.5]], [], [0.5, 0.5], "members must be a non-empty"),
        ([[0.5, 0.5]], [1], [0.5, 0.5], "members holds index 1"),
        ([[0.5, 0.5]], [0], [0.5], "w must have shape"),
    ],
)
def test_bad_arguments_are_named(V: Any, members: Any, w: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        route(V, members, w)
