"""Normalisations map raw rewards into [0, 1], monotonically, and say what they are."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from palmfolio_scorer.calibration.normalisation import MinMax, Normalisation, Quantile, Sigmoid

ADAPTER: TypeAdapter[Normalisation] = TypeAdapter(Normalisation)
EXAMPLES = [
    {"kind": "identity"},
    {"kind": "minmax", "low": -2, "high": 3},
    {"kind": "sigmoid", "centre": 1, "scale": 0.5},
    {"kind": "quantile", "knots": [-1, 0, 4], "levels": [0, 0.5, 1]},
]


@pytest.mark.parametrize("config", EXAMPLES, ids=lambda config: config["kind"])
@given(raw=st.lists(st.floats(allow_nan=False, width=32), min_size=2, max_size=20))
def test_rising_and_bounded(config: dict[str, Any], raw: list[float]) -> None:
    normalised = ADAPTER.validate_python(config).apply(np.sort(np.array(raw)))
    assert ((normalised >= 0) & (normalised <= 1)).all()
    assert (np.diff(normalised) >= 0).all()


@pytest.mark.parametrize("config", EXAMPLES, ids=lambda config: config["kind"])
def test_nan_stays_nan(config: dict[str, Any]) -> None:
    assert np.isnan(ADAPTER.validate_python(config).apply(np.array([np.nan]))).all()


def test_values() -> None:
    assert MinMax(low=200, high=0).apply(np.array([0, 50, 300.0])).tolist() == [1, 0.75, 0]
    assert Sigmoid(centre=2, scale=1).apply(np.array([2.0])).tolist() == [0.5]
    assert Sigmoid(scale=2).apply(np.array([3.0]))[0] == pytest.approx(1 / (1 + np.exp(-1.5)))
    quantile = Quantile(knots=(0, 10), levels=(0.2, 1.0))
    assert quantile.apply(np.array([-5, 5, 20.0])) == pytest.approx([0.2, 0.6, 1.0])


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "minmax", "low": 1, "high": 1},
        {"kind": "minmax", "low": float("nan"), "high": 1},
        {"kind": "sigmoid", "scale": 0},
        {"kind": "quantile", "knots": [0, 0], "levels": [0, 1]},
        {"kind": "quantile", "knots": [0, 1, 2], "levels": [0.5, 0.1, 0.3]},
        {"kind": "quantile", "knots": [0, 1, 2], "levels": [0, 1]},
        {"kind": "zscore"},
    ],
)
def test_what_is_no_normalisation_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(config)


def test_identity_tells_normalisations_apart() -> None:
    assert MinMax(low=0, high=1).identity() != MinMax(low=0, high=2).identity()
    assert MinMax(low=0, high=200).describe() == "minmax(0, 200)"
