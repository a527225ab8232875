"""Weights in canonical form."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.weights import canonical_weights

weights = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4),
    st.floats(min_value=0, max_value=1e6, allow_nan=False),
    min_size=1,
    max_size=8,
).filter(lambda values: max(values.values()) > 1e-6)


@given(weights)
def test_canonical_weights_are_on_the_simplex_and_stay(
    values: dict[str, float],
) -> None:
    canonical = canonical_weights(values)
    assert list(canonical) == sorted(values)
    assert math.fsum(canonical.values()) == pytest.approx(1.0, abs=1e-12)
    assert all(value >= 0 and value == round(value, 9) for value in canonical.values())
    assert canonical_weights(canonical) == canonical


@given(weights, st.sampled_from([2.0, 0.5, 1024.0]))
def test_scale_does_not_matter(values: dict[str, float], scale: float) -> None:
    scaled = {trait: value * scale for trait, value in values.items()}
    assert canonical_weights(scaled) == canonical_weights(values)


def test_huge_weights_do_not_overflow() -> None:
    assert canonical_weights({"a": 1e308, "b": 1e308}) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({}, "weights.values", "required"),
        ({"a": -0.1, "b": 1}, "weights.values[a]", ">= 0"),
        ({"a": math.nan}, "weights.values[a]", "finite"),
        ({"a": math.inf}, "weights.values[a]", "finite"),
        ({"a": 0.0, "b": 0.0}, "weights.values", "all weights are zero"),
        ({"charm": 1.0}, "weights.values[charm]", "known traits: a, b"),
    ],
)
def test_bad_weights_name_the_field(values: dict[str, float], field: str, words: str) -> None:
    with pytest.raises(ServiceError) as caught:
        canonical_weights(values, traits=["b", "a"])
    assert caught.value.code.name == "INVALID_ARGUMENT"
    assert caught.value.message.startswith(field + ":")
    assert words in caught.value.message
