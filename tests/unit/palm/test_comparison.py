"""Which policies are compared on which prompts, where rewards are missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from palmfolio_palm import compare
from palmfolio_palm.comparison import MIN_COMMON_SHARE, MIN_COMPLETE_SHARE

TABLES = arrays.arrays(
    np.bool_,
    st.tuples(st.integers(1, 8), st.integers(1, 30)),
    elements=st.sampled_from([True] * 9 + [False]),
)


@given(TABLES)
def test_who_is_compared_has_every_prompt_that_counts(complete: np.ndarray) -> None:
    chosen = compare(complete)
    assert complete[np.ix_(chosen.policies, chosen.prompts)].all()
    assert chosen.complete.tolist() == complete.sum(axis=1).tolist()
    if len(chosen.policies):
        assert len(chosen.prompts) >= MIN_COMMON_SHARE * chosen.scorable
        shares = chosen.complete[chosen.policies] / chosen.scorable
        assert (shares >= MIN_COMPLETE_SHARE - 1e-9).all()
        dropped = np.setdiff1d(np.arange(complete.shape[1]), chosen.prompts)
        assert not complete[np.ix_(chosen.policies, dropped)].all(axis=0).any()
    else:
        assert not len(chosen.prompts)


@given(TABLES, st.integers(0, 3))
def test_a_prompt_that_nobody_has_counts_against_nobody(complete: np.ndarray, more: int) -> None:
    chosen = compare(complete)
    nobody = np.zeros((len(complete), more), dtype=np.bool_)
    with_more = compare(np.hstack([complete, nobody]))
    assert with_more.policies.tolist() == chosen.policies.tolist()
    assert with_more.prompts.tolist() == chosen.prompts.tolist()


def test_everything_complete_leaves_nothing_out() -> None:
    chosen = compare(np.ones((3, 4)))
    assert (chosen.policies.tolist(), chosen.prompts.tolist()) == ([0, 1, 2], [0, 1, 2, 3])


def test_a_policy_below_nine_tenths_takes_no_prompt_from_the_others() -> None:
    complete = np.ones((3, 10))
    complete[1, :1] = 0
    complete[2, 5:7] = 0
    chosen = compare(complete)
    assert chosen.policies.tolist() == [0, 1]
    assert chosen.prompts.tolist() == list(range(1, 10))


def test_many_small_gaps_exclude_until_half_of_the_prompts_are_common() -> None:
    complete = 1 - np.repeat(np.eye(10), 10, axis=1)  # each policy lacks a tenth of its own
    chosen = compare(complete)
    assert (len(chosen.policies), len(chosen.prompts)) == (5, 50)


@pytest.mark.parametrize("rows", [1, 3])
def test_nothing_scorable_compares_nobody(rows: int) -> None:
    chosen = compare(np.zeros((rows, 5)))
    assert (len(chosen.policies), len(chosen.prompts), chosen.scorable) == (0, 0, 0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_a_wrong_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="complete must be"):
        compare(np.ones(shape))
