"""A gap that an error shows can be given as the delta, and is then met."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import palmfolio_palm as palm


@given(st.floats(0, 1e6), st.integers(1, 15))
def test_never_below_the_number_and_close_to_it(value: float, digits: int) -> None:
    text = palm.rounded_up(value, digits)
    assert value <= float(text) <= value * (1 + 10.0 ** (1 - digits)) + 5e-324
    # As many digits as asked for, and the same number again.
    assert palm.rounded_up(float(text), digits) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.07322330470336313, "0.0732234"),
        (0.0732232, "0.0732232"),
        (0.1, "0.1"),
        (1 / 3, "0.333334"),
        (0.9999999, "1"),
        (1.2345678e-9, "1.23457e-09"),
        (1e-300, "1e-300"),
        (123456.5, "123457"),
        (0.30000000000000004, "0.300001"),
    ],
)
def test_examples(value: float, shown: str) -> None:
    assert palm.rounded_up(value) == shown


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_gap_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="value must be a finite number"):
        palm.rounded_up(value)


@pytest.mark.parametrize("seed", range(8))
def test_the_gap_of_a_refusal_is_allowed_when_given_as_delta(seed: int) -> None:
    generator = np.random.default_rng(seed)
    V = generator.dirichlet(np.ones(3), 6) ** 0.6
    epsilon, size = (0.0, 0.05)[seed % 2], 1 + seed % 4 // 2
    with pytest.raises(palm.TargetInfeasible) as refused:
        palm.select(V, palm.Target(epsilon, 1e-4, size), seconds=20)
    shown = re.search(r"a gap of ([^ ;]+)", str(refused.value))
    assert shown is not None
    delta = float(shown[1])
    assert delta >= refused.value.gap
    chosen = palm.select(V, palm.Target(epsilon, delta, size), seconds=20)
    assert len(chosen.members) <= size
    assert chosen.certificate.additive <= delta


@pytest.mark.parametrize("seed", range(6))
def test_the_gap_of_policies_that_are_not_allowed_is_rounded_up(seed: int) -> None:
    V = np.random.default_rng(seed).random((8, 3))
    with pytest.raises(palm.Infeasible) as refused:
        palm.min_portfolio(V, 0.0, 1e-6, allowed=[0])
    shown = re.search(r"reachable gap is ([^ ;]+);", str(refused.value))
    assert shown is not None and float(shown[1]) >= refused.value.gap
