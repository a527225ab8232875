"""Builds that go on when a service dies under them."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from palmfolio.v1 import portfolios_pb2
from tests.integration.selector.conftest import selector_config
from tests.support.services.processes import ServiceProcess, start_service
from tests.support.services.selector_calls import Caller, comparable

WEIGHTS = ({"brevity": 1.0, "warmth": 0.2}, {"brevity": 0.2, "warmth": 1.0})
StartSelector = Callable[..., ServiceProcess]


@pytest.fixture
def start_selector(tmp_path: Path, scorer_process: ServiceProcess) -> Iterator[StartSelector]:
    """Starts a selector with a state of its own, before a given trainer."""
    started: list[ServiceProcess] = []

    def start(trainer: ServiceProcess, name: str = "selector") -> ServiceProcess:
        folder = tmp_path / name
        config = selector_config(folder, trainer, scorer_process)
        started.append(start_service("selector", config, folder))
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.mark.parametrize(
    "stage", [portfolios_pb2.BUILD_STAGE_TRAINING, portfolios_pb2.BUILD_STAGE_SCORING]
)
def test_a_killed_selector_resumes_to_the_same_portfolio(
    start_selector: StartSelector,
    trainer_process: ServiceProcess,
    stage: portfolios_pb2.BuildStage.ValueType,
) -> None:
    killed = start_selector(trainer_process)
    caller = Caller(killed.channel)
    spec = caller.spec(*WEIGHTS, seed=int(stage))
    operation = caller.build("p", spec).name
    last = caller.await_event(operation, lambda event: event.stage == stage)
    killed.kill()
    killed.start()
    caller = Caller(killed.channel)
    done = caller.wait(operation)
    assert not done.HasField("error"), done.error
    resumed = caller.portfolio("p")
    events = caller.events(operation)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert events[-1].number > last.number

    # Another selector, which was never killed, finds the same with nothing of the first's state.
    other = Caller(start_selector(trainer_process, "other").channel)
    undisturbed = other.built("p", other.spec(*WEIGHTS, seed=int(stage)))
    assert comparable(resumed) == comparable(undisturbed)


def test_a_selector_that_is_killed_while_it_explores_resumes_to_the_same(
    start_selector: StartSelector, trainer_process: ServiceProcess
) -> None:
    def spec_for(caller: Caller) -> portfolios_pb2.PortfolioSpec:
        spec = caller.spec(seed=3, max_trainings=4)
        spec.strategy.adaptive.SetInParent()
        return spec

    killed = start_selector(trainer_process)
    caller = Caller(killed.channel)
    operation = caller.build("p", spec_for(caller)).name
    caller.await_event(operation, lambda event: "everything trainable" in event.message)
    killed.kill()
    killed.start()
    caller = Caller(killed.channel)
    done = caller.wait(operation)
    assert not done.HasField("error"), done.error
    other = Caller(start_selector(trainer_process, "other").channel)
    undisturbed = other.built("p", spec_for(other))
    assert comparable(caller.portfolio("p")) == comparable(undisturbed)


def test_responses_that_were_lost_are_sampled_again_as_they_were(
    start_selector: StartSelector, trainer_process: ServiceProcess, tmp_path: Path
) -> None:
    selector = start_selector(trainer_process)
    caller = Caller(selector.channel)
    before = caller.built("before", caller.spec(*WEIGHTS, seed=5))
    selector.kill()
    (file,) = (tmp_path / "selector" / "state").glob("*.db")
    with closing(sqlite3.connect(file)) as database, database:
        # What a kill in the middle of a call leaves: the first prompt's responses.
        (first,) = database.execute("SELECT min(prompt) FROM responses").fetchone()
        database.execute("DELETE FROM means")
        database.execute("DELETE FROM evaluations WHERE prompt > ?", (first,))
        deleted = database.execute("DELETE FROM responses WHERE prompt > ?", (first,))
        assert deleted.rowcount > 0
    selector.start()
    caller = Caller(selector.channel)
    after = caller.built("after", caller.spec(*WEIGHTS, seed=5))
    assert comparable(after) == comparable(before)


def test_a_build_says_that_it_waits_for_the_trainer_and_goes_on_with_it(
    start_selector: StartSelector,
    tmp_path: Path,
    scorer_process: ServiceProcess,
    tiny_base_model: Path,
) -> None:
    config = {
        "state_dir": str(tmp_path / "trainer" / "state"),
        "scorer": {"address": scorer_process.address},
        "base_models": {"tiny": str(tiny_base_model)},
        "threads": 1,
        "sampling_threads": 1,
        "lease_seconds": 2.0,
    }
    trainer = start_service("trainer", config, tmp_path / "trainer")
    try:
        caller = Caller(start_selector(trainer).channel)
        operation = caller.build("p", caller.spec(*WEIGHTS)).name
        caller.await_event(
            operation, lambda event: event.stage == portfolios_pb2.BUILD_STAGE_TRAINING
        )
        trainer.kill()
        waiting = caller.await_event(
            operation, lambda event: event.stage == portfolios_pb2.BUILD_STAGE_WAITING
        )
        assert "trainer" in waiting.message and trainer.address in waiting.message
        trainer.start()
        caller.await_event(operation, lambda event: event.message == "the trainer is back")
        done = caller.wait(operation)
        assert not done.HasField("error"), done.error
        assert len(caller.portfolio("p").candidates) == 3
    finally:
        trainer.stop()
