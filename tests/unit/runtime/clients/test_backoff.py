"""Pauses before a service that is away is called again."""

import time

import pytest

from palmfolio_runtime.clients.backoff import DependencyBackoff


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, which stands still until a test moves it."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_pauses_grow_up_to_the_longest(clock: list[float]) -> None:
    away = DependencyBackoff(max_seconds=4)
    pauses = []
    for _ in range(12):
        away.failed("trainer", "refused")
        pause = away.seconds_left()
        assert pause is not None
        pauses.append(pause)
        clock[0] += pause + 0.01
    assert all(pause <= 4 for pause in pauses)
    assert max(pauses[:1]) < 0.5 < 1.9 < min(pauses[-3:])


def test_only_news_are_told(clock: list[float]) -> None:
    away = DependencyBackoff(max_seconds=4)
    assert away.failed("trainer", "refused")
    assert not away.failed("trainer", "refused")
    assert away.failed("trainer", "starting")
    assert away.failed("scorer", "refused")


def test_who_answers_is_back_once(clock: list[float]) -> None:
    away = DependencyBackoff(max_seconds=4)
    away.answered("trainer")
    assert away.take_back() == []
    away.failed("trainer", "refused")
    assert away.blocks(["trainer"]) and not away.blocks(["scorer"])
    away.answered("trainer")
    away.answered("trainer")
    assert not away.blocks(["trainer"])
    assert away.take_back() == ["trainer"]
    assert away.take_back() == []


def test_a_pause_ends(clock: list[float]) -> None:
    away = DependencyBackoff(max_seconds=4)
    away.failed("trainer", "refused")
    clock[0] += 10
    assert not away.blocks(["trainer"])
    assert away.seconds_left() is None
