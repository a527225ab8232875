"""No certificate is understated: random certificates of awkward families in exact arithmetic.

`PALM_FUZZ=100000 pytest tests/unit/palm/certificates/test_certificate_fuzz.py` runs that many.
"""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import pytest

from palmfolio_palm import certificate
from tests.support.exact_gaps import additive_above, game_value, multiplicative_above
from tests.support.palm_inputs import Floats, awkward_values

COUNT = int(os.environ.get("PALM_FUZZ", "2000"))
BATCHES = 20
# Relative to the largest value: far below any reward that is measured.
ALLOWED = Fraction(1, 10**9)


def check(V: Floats, P: list[int], eps: float, delta: float) -> str | None:
    """What is wrong with the certificate, if anything."""
    shifted = bool(V.max() > 1.0 or V.min() < 0.0)
    made = certificate(V, P, eps, delta, shifted=shifted)
    numbers = [made.additive, *made.worst_weights_additive]
    if made.multiplicative is not None:
        assert made.worst_weights_multiplicative is not None
        numbers += [made.multiplicative, *made.worst_weights_multiplicative]
    if not np.isfinite(numbers).all():
        return f"not finite: {numbers}"
    scale = Fraction(float(np.abs(V).max()))
    more = additive_above(V, P, eps, Fraction(made.additive) + ALLOWED * scale)
    if more is not None:
        return f"additive {made.additive} by {made.method}, in truth {float(more)}"
    if made.multiplicative is not None:
        more = multiplicative_above(V, P, delta, Fraction(made.multiplicative) + ALLOWED)
        if more is not None:
            return f"multiplicative {made.multiplicative} by {made.method}, truly {float(more)}"
    return None


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_certificate_is_understated(batch: int) -> None:
    for number in range(batch, COUNT, BATCHES):
        V, P, eps, delta = awkward_values(number)
        wrong = check(V, P, eps, delta)
        assert wrong is None, f"number {number}: {wrong}\n{V!r}\n{P}, {eps}, {delta}"


@pytest.mark.parametrize("number", [13042, 14026, 55042, 59290, 63714])
def test_points_that_rounding_puts_on_one_line_hide_no_gap(number: int) -> None:
    assert check(*awkward_values(number)) is None


@pytest.mark.parametrize(
    ("V", "P", "gap"),
    [
        (
            [[0.1, 0.1], [0.10000000000000002, 0.09999999999999999], [0.05, 0.9], [1, 0]],
            [0, 1, 2],
            0.9,
        ),
        ([[0.9, 0], [0.1, 1e-310], [0.5, 0.8]], [0, 1], 0.8),
    ],
)
def test_corners_that_are_not_finite_hide_no_gap(
    V: list[list[float]], P: list[int], gap: float
) -> None:
    made = certificate(V, P)
    assert made.additive == pytest.approx(gap, abs=1e-12)
    assert not made.holds
    assert np.isfinite(made.worst_weights_additive).all()


def test_the_oracle_solves_games_that_are_known() -> None:
    stone = [[0, -1, 1], [1, 0, -1], [-1, 1, 0]]
    assert game_value([[Fraction(a) for a in row] for row in stone]) == 0
    assert game_value([[Fraction(3), Fraction(1)], [Fraction(0), Fraction(2)]]) == Fraction(3, 2)
