"""A certificate is confirmed, or corrected, by mixtures of the members."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from palmfolio_palm import certificate, verify
from palmfolio_palm.certificates import solver
from palmfolio_palm.certificates.confirmation import confirm
from palmfolio_palm.certificates.mixtures import check_additive
from palmfolio_palm.certificates.solver import solve_game
from tests.support.palm_inputs import Floats, deltas, epsilons, sphere, values_and_portfolio

Case = tuple[Floats, list[int]]


@given(values_and_portfolio(max_n=14, max_d=6), epsilons, deltas)
def test_true_certificates_are_confirmed_as_they_are(case: Case, eps: float, delta: float) -> None:
    V, P = case
    exact = certificate(V, P, eps, delta)
    second = confirm(exact, V, np.array(P), seconds=60)
    assert second.confirmed
    assert second.additive == pytest.approx(exact.additive, abs=1e-8)


@given(values_and_portfolio(max_n=9, max_d=4, positive=True), epsilons, deltas)
def test_an_understated_certificate_is_corrected(case: Case, eps: float, delta: float) -> None:
    V, P = case
    exact = certificate(V, P, eps, delta)
    wrong = replace(exact, additive=0.0, multiplicative=0.0)
    second = confirm(wrong, V, np.array(P), seconds=60)
    assert second.additive == pytest.approx(exact.additive, abs=1e-7)
    assert second.multiplicative == pytest.approx(exact.multiplicative, abs=1e-7)
    assert second.confirmed


def test_without_time_nothing_is_confirmed() -> None:
    V, P = sphere(60, 4), np.arange(8)
    exact = certificate(V, P)
    second = confirm(exact, V, P, seconds=-1.0)
    assert not second.confirmed
    assert second.additive == exact.additive


def test_a_bound_by_mixtures_is_above_every_user() -> None:
    V, P = sphere(200, 5), np.arange(12)
    check = check_additive(V, V[P], 0.05, certificate(V, P, 0.05).additive, time.monotonic() + 60)
    users = np.random.default_rng(0).dirichlet(np.full(5, 0.4), size=3000)
    gaps = 0.95 * (users @ V.T).max(axis=1) - (users @ V[P].T).max(axis=1)
    assert check.finished
    assert check.upper >= gaps.max() - 1e-12
    assert len(check.weights) == 0


@pytest.mark.parametrize("seed", range(40))
def test_rows_that_nearly_agree_are_solved(seed: int) -> None:
    rng = np.random.default_rng(seed)
    step = rng.integers(-4, 5, (4, 2)) * 10.0 ** -rng.integers(6, 17)
    V = np.clip(rng.random(2) + step, 0.0, 1.0) * 10.0 ** -rng.integers(0, 12)
    for k in (1, 2, 3):
        exact, slow = certificate(V, range(k), 0.05), verify(V, range(k), 0.05)
        scale = float(V.max())
        assert exact.additive == pytest.approx(slow.additive, abs=1e-9 * scale)
        assert exact.multiplicative == pytest.approx(slow.multiplicative, abs=1e-8)


def quadruple(seed: int) -> Floats:
    """Four rows over two traits that are nearly the same point, or nearly on one line."""
    rng = np.random.default_rng([13, seed])
    V = np.tile(rng.random(2), (4, 1))
    kind = seed % 4
    if kind == 0:
        V += rng.integers(-4, 5, (4, 2)) * 10.0 ** -rng.integers(12, 17, (4, 2))
    elif kind == 1:
        x = rng.random(4)
        V = np.column_stack([x, 1.0 - x]) + rng.integers(-3, 4, (4, 2)) * 2.0**-50
    elif kind == 2:
        V = np.nextafter(V, rng.integers(0, 2, (4, 2)))
        V[rng.integers(4)] += rng.integers(-2, 3, 2) * 10.0 ** -rng.integers(8, 12)
    else:
        V += rng.integers(-9, 10, (4, 2)) * 10.0 ** -rng.integers(7, 11, 2)
    scaled: Floats = np.clip(V, 0.0, 1.0) * 10.0 ** -rng.integers(0, 12)
    return scaled


@pytest.mark.parametrize("seed", range(60))
def test_nearly_degenerate_quadruples_are_verified(seed: int) -> None:
    V = quadruple(seed)
    for k in (1, 3):
        slow, exact = verify(V, range(k), 0.05), certificate(V, range(k), 0.05)
        assert slow.additive == pytest.approx(exact.additive, abs=2e-9 * float(V.max()))


def test_a_game_that_no_method_ends_is_solved_without_its_last_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    solved = solver._solved

    def fails_on_last_bits(table: Floats) -> solver.Game:
        if (table != np.round(table, 12)).any():
            raise RuntimeError("linear program failed: status 4")
        return solved(table)

    monkeypatch.setattr(solver, "_solved", fails_on_last_bits)
    V = np.array([[0.3, 0.6], [0.3 + 1e-16, 0.6 - 1e-16], [0.5, 0.5], [0.6, 0.3]])
    assert verify(V, [0, 3]).additive == pytest.approx(0.05, abs=1e-9)


def test_a_game_that_is_known() -> None:
    game = solve_game(np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]))
    assert game.weights == pytest.approx(np.full(3, 1 / 3), abs=1e-9)
    assert game.mixture == pytest.approx(np.full(3, 1 / 3), abs=1e-9)
