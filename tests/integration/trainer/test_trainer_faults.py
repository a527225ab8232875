"""Processes that die: the job's, the trainer, the scorer."""

import os
import signal
import time

import grpc
import pytest

from palmfolio.v1 import trainer_pb2
from tests.support.services.processes import ServiceProcess, start_service
from tests.support.services.training import ENDLESS, Client, alive, spec


def test_a_killed_job_is_repeated_once_and_then_says_why(trainer: Client) -> None:
    operation = trainer.train(spec(seed=10, steps=ENDLESS))
    for attempt in (1, 2):
        step = trainer.until_step(operation.name)
        while step.progress.attempt < attempt:
            step = trainer.until_step(operation.name, after=step.number)
        os.kill(trainer.job_process(operation.name), signal.SIGKILL)
    error = trainer.done(operation.name).error
    for part in ("attempt 2", "SIGKILL", "job.log"):
        assert part in error.message
    policy = trainer.policy_of(operation)
    assert policy.state == trainer_pb2.POLICY_STATE_FAILED
    assert policy.error == error
    messages = [event.message for event in trainer.watch(operation.name)]
    assert any("attempt 1 is repeated" in message for message in messages)


def test_a_killed_trainer_takes_its_job_along_and_goes_on_with_it(trainer: Client) -> None:
    operation = trainer.train(spec(seed=11, steps=100))
    last = trainer.until_step(operation.name)
    job = trainer.job_process(operation.name)
    trainer.process.kill()
    give_up = time.monotonic() + 30
    while alive(job):
        assert time.monotonic() < give_up, "the job outlived its trainer"
        time.sleep(0.05)
    trainer.process.start()
    done = trainer.done(operation.name)
    assert trainer.policy_of(done).state == trainer_pb2.POLICY_STATE_READY, done.error
    events = list(trainer.watch(operation.name, after=last.number))
    assert events[0].number == last.number + 1
    assert events[-1].progress.attempt == 2


def test_a_training_waits_for_its_scorer(trainer: Client, scorer_process: ServiceProcess) -> None:
    operation = trainer.train(spec(seed=12, steps=ENDLESS))
    trainer.until_step(operation.name)
    scorer_process.kill()
    try:
        event = next(e for e in trainer.watch(operation.name) if e.message.startswith("waiting"))
        assert scorer_process.address in event.message
        with pytest.raises(grpc.RpcError) as caught:
            trainer.train(spec(seed=13))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "scorer" in str(caught.value.details())
    finally:
        scorer_process.start()
    later = trainer.until_step(operation.name, after=event.number)
    assert later.progress.attempt == 1
    assert later.progress.step > event.progress.step
    trainer.cancel(operation.name)


def test_a_second_trainer_may_not_use_the_state(trainer: Client) -> None:
    process = trainer.process
    with pytest.raises(AssertionError, match="in use by another process"):
        start_service("trainer", process.config, process.folder / "second")


def test_a_trainer_that_is_stopped_goes_on_with_its_job_later(trainer: Client) -> None:
    operation = trainer.train(spec(seed=14, steps=ENDLESS))
    trainer.until_step(operation.name)
    job = trainer.job_process(operation.name)
    trainer.process.stop()
    assert not alive(job)
    trainer.process.start()
    later = trainer.until_step(operation.name)
    while later.progress.attempt < 2:
        later = trainer.until_step(operation.name, after=later.number)
    trainer.cancel(operation.name)
