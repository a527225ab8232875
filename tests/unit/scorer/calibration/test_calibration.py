"""Fitted normalisations spread a sample over [0, 1], keep their direction, and are kept."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio_runtime.config import ConfigError
from palmfolio_scorer.calibration.fitting import (
    FITS,
    CalibrationError,
    fit_minmax,
    fit_quantile,
    fit_sigmoid,
)
from palmfolio_scorer.calibration.normalisation import MinMax
from palmfolio_scorer.calibration.store import CalibrationStore
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.traits.catalogue.spec import parse_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet

RAW = np.array([3.0, -1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0])
TRAITS = """
traits:
  - {name: short, kind: verifier, check: length, normalisation: {kind: minmax, low: 9, high: 0}}
  - {name: double, kind: composite, of: {short: 2}, normalisation: {kind: identity}}
  - {name: other, kind: verifier, check: sentiment, normalisation: {kind: identity}}
"""


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("method", FITS)
@given(raw=st.lists(st.floats(-1e3, 1e3), min_size=8, max_size=60))
def test_every_fit_is_monotonic_in_the_direction_asked_for(
    method: str, falls: bool, raw: list[float]
) -> None:
    values = np.sort(np.round(raw, 3))
    try:
        fitted = FITS[method](values, falls=falls)
    except CalibrationError:
        lower, upper = np.quantile(values, [0.25, 0.75])
        assert lower == upper or values[0] == values[-1]
        return
    normalised = fitted.apply(values)
    assert fitted.falls() == falls
    steps = np.diff(normalised)
    assert (steps <= 1e-12).all() if falls else (steps >= -1e-12).all()


def test_minmax_uses_the_extremes_or_the_tails() -> None:
    assert fit_minmax(RAW, falls=False) == MinMax(low=-1, high=9)
    assert fit_minmax(RAW, falls=True) == MinMax(low=9, high=-1)
    assert fit_minmax(RAW, falls=False, tail=0.25) == MinMax(low=2, high=5)


def test_sigmoid_maps_the_quartiles() -> None:
    fitted = fit_sigmoid(np.linspace(0, 8, 81), falls=False)
    assert fitted.apply(np.array([2.0, 4.0, 6.0])) == pytest.approx([0.25, 0.5, 0.75])


def test_quantile_makes_the_sample_uniform_and_shares_ties() -> None:
    fitted = fit_quantile(np.random.default_rng(0).normal(size=4000), falls=False)
    fresh = np.sort(fitted.apply(np.random.default_rng(1).normal(size=4000)))
    assert np.abs(fresh - np.linspace(0, 1, 4000)).max() < 0.05
    tied = fit_quantile(np.array([0.0] * 6 + [1.0] * 2), falls=False)
    assert tied.apply(np.array([0.0, 1.0])) == pytest.approx([3 / 8, 7 / 8])


def _loaded(store: CalibrationStore, text: str = TRAITS) -> TraitSet:
    traits = TraitSet(parse_traits(text, "test"))
    traits.load(ModelStore("cpu"), store)
    assert traits.failures() == []
    return traits


def _versions(traits: TraitSet) -> dict[str, str]:
    return {served.name: served.version for served in traits}


def test_a_calibration_outlives_the_process_until_the_raw_rewards_change(tmp_path: Path) -> None:
    path = tmp_path / "state" / "calibrations.json"
    traits = _loaded(CalibrationStore(path))
    before = _versions(traits)
    short = traits.get("short")
    assert short is not None
    fitted = fit_minmax(RAW, falls=True)
    CalibrationStore(path).save("short", short.raw_identity, fitted, "request", "digest")
    traits.recalibrate(CalibrationStore(path))
    after = _versions(traits)
    assert {name for name in before if before[name] != after[name]} == {"short", "double"}
    assert _versions(_loaded(CalibrationStore(path))) == after
    changed = TRAITS.replace("check: length", "check: length, strip: false")
    again = _loaded(CalibrationStore(path), changed).get("short")
    assert again is not None and again.fitted is None
    assert CalibrationStore(path).request("request") == "digest"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"normalisations": [], "requests": {}}',
        b'{"normalisations": {"short": {}}, "requests": {}}',
        b'{"normalisations": {"a": {"raw_identity": "x", "normalisation": {}}}, "requests": {}}',
        b'{"normalisations": {}, "requests": {"a": 3}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b"\0" * 64,
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "calibrations.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"calibrations\.json is damaged: .*calibrate the traits"):
        CalibrationStore(path)
