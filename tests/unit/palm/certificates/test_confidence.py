from __future__ import annotations

import numpy as np
import pytest

from palmfolio_palm import certificate, certificate_ucb
from tests.support.palm_inputs import Floats, sphere


def rewards(true: Floats, prompts: int, rng: np.random.Generator) -> Floats:
    """Paired rewards in {0, 1} with mean `true`: prompts are easy or hard for all policies."""
    luck = rng.random((prompts, true.shape[1]))
    return (luck[None] < true[:, None]).astype(float)


def test_bounds_cover_the_true_gap_of_a_portfolio_chosen_on_the_same_prompts() -> None:
    true = 0.2 + 0.6 * sphere(9, 3, 5)
    rng = np.random.default_rng(0)
    covered = {"max_t": 0, "hoeffding": 0, "plug_in": 0}
    runs = 40
    for _ in range(runs):
        X = rewards(true, 120, rng)
        means = X.mean(axis=1)
        P = np.argsort([certificate(means, [p]).additive for p in range(9)])[:3]
        exact = certificate(true, P).additive
        for method in ("max_t", "hoeffding"):
            result = certificate_ucb(X, P, 0.95, method, draws=200)
            covered[method] += result.bound >= exact
        covered["plug_in"] += result.estimate >= exact
    assert covered["max_t"] >= 0.9 * runs
    assert covered["hoeffding"] == runs


@pytest.mark.slow
def test_split_covers_when_the_portfolio_was_chosen_on_other_prompts() -> None:
    true = 0.2 + 0.6 * sphere(8, 3, 6)
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(30):
        X = rewards(true, 200, rng)
        first = X[:, :100].mean(axis=1)
        P = np.argsort([certificate(first, [p]).additive for p in range(8)])[:2]
        bound = certificate_ucb(X, P, 0.95, "split", draws=100).bound
        covered += bound >= certificate(true, P).additive
    assert covered >= 25


def test_bounds_tighten_with_prompts_and_order_as_expected() -> None:
    true = 0.2 + 0.6 * sphere(10, 3, 1)
    rng = np.random.default_rng(2)
    few, many = rewards(true, 100, rng), rewards(true, 1600, rng)
    for method in ("max_t", "hoeffding"):
        a = certificate_ucb(few, [0, 1, 2], 0.95, method, draws=200)
        b = certificate_ucb(many, [0, 1, 2], 0.95, method, draws=200)
        assert b.bound < a.bound
        assert b.bound >= b.estimate
    tight = certificate_ucb(many, [0, 1, 2], 0.95, "max_t", draws=200).bound
    assert tight < certificate_ucb(many, [0, 1, 2], 0.95, "hoeffding").bound


def test_a_higher_level_gives_a_larger_bound() -> None:
    X = rewards(0.2 + 0.6 * sphere(6, 3, 1), 80, np.random.default_rng(3))
    bounds = [certificate_ucb(X, [0, 1], level, draws=400).bound for level in (0.8, 0.95, 0.99)]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[2]


def test_rewards_without_spread_give_the_exact_gap() -> None:
    true = sphere(6, 3, 2)
    X = np.repeat(true[:, None, :], 10, axis=1)
    exact = certificate(true, [0, 1]).additive
    assert certificate_ucb(X, [0, 1], draws=50).bound == pytest.approx(exact, abs=1e-7)


def test_the_whole_set_has_no_gap() -> None:
    X = np.random.default_rng(0).random((4, 30, 2))
    assert certificate_ucb(X, [0, 1, 2, 3], draws=50).bound == 0.0


def test_relative_loss_lowers_the_bound() -> None:
    X = rewards(0.2 + 0.6 * sphere(6, 3, 1), 80, np.random.default_rng(3))
    plain = certificate_ucb(X, [0, 1], draws=200).bound
    assert certificate_ucb(X, [0, 1], eps=0.1, draws=200).bound < plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((3, 4))}, "X must be a"),
        ({"X": np.zeros((3, 1, 2))}, "X must be a"),
        ({"X": np.full((3, 4, 2), np.nan)}, "X must be finite"),
        ({"X": np.full((3, 4, 2), 2.0)}, "X must lie"),
        ({"P": []}, "P must"),
        ({"P": [3]}, "P holds"),
        ({"level": 1.0}, "level must"),
        ({"method": "normal"}, "method must"),
        ({"eps": 1.0}, "eps must"),
        ({"draws": 0}, "draws must"),
        ({"method": "split", "held_out": [0]}, "held_out must"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, object], message: str) -> None:
    call: dict[str, object] = {"X": np.full((3, 4, 2), 0.5), "P": [0], **change}
    with pytest.raises(ValueError, match=message):
        certificate_ucb(**call)  # type: ignore[arg-type]
