"""The contract of executors, on processes of this machine.

The processes run a scripted program here; the real worker runs in the integration tests.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits
from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_trainer.executors.executor import (
    Cancelled,
    Crashed,
    Failed,
    Job,
    Outcome,
    Progress,
    Succeeded,
)
from palmfolio_trainer.executors.local.executor import LocalExecutor
from palmfolio_trainer.policies.spec import TrainingSpec
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings
from tests.support.prompts import text_prompts

WORKER = Path(__file__).parents[2] / "support" / "scripted_worker.py"
SPEC = TrainingSpec(
    base_model="tiny",
    base_revision="r1",
    weights={"brevity": 1.0},
    trait_versions={"brevity": "b1"},
    prompts_digest="0" * 64,
    seed=0,
    initial_policy=None,
    settings=GrpoSettings(),
)


@pytest.fixture(params=[True, False], ids=["spare", "no spare"])
async def executor(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalExecutor]:
    """An executor of two slots."""
    made = LocalExecutor(
        folder=tmp_path / "jobs",
        slots=2,
        devices=[],
        environment={},
        warm_spare=request.param,
        grace_seconds=0.5,
        command=(sys.executable, str(WORKER)),
    )
    await made.start()
    yield made
    await made.close()


def job(part: str, folder: Path, attempt: int = 1) -> Job:
    """A job that plays a part of the scripted worker."""
    return Job(
        id=part.replace(" ", "-"),
        attempt=attempt,
        policy=SPEC.address,
        spec=SPEC,
        prompts=text_prompts(part),
        base_path="tiny",
        initial_adapter=None,
        folder=folder / part,
        scorer=Endpoint(address="127.0.0.1:1"),
        limits=Limits(),
        score_timeout_seconds=1,
        scorer_patience_seconds=1,
    )


async def until_progress(executor: LocalExecutor, job: Job, message: str) -> None:
    """Polls until the job says something."""
    async with asyncio.timeout(30):
        while True:
            report = executor.poll(job.id, job.attempt)
            if any(progress.message == message for progress in report.progress):
                return
            await asyncio.sleep(0.02)


async def outcome(executor: LocalExecutor, job: Job) -> tuple[list[Progress], Outcome]:
    """Polls until the job has ended."""
    seen: list[Progress] = []
    async with asyncio.timeout(30):
        while True:
            report = executor.poll(job.id, job.attempt)
            seen += report.progress
            if report.outcome is not None:
                return seen, report.outcome
            await asyncio.sleep(0.02)


async def test_progress_arrives_in_order_and_then_the_end(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    good = job("succeed", tmp_path)
    await executor.submit(good)
    progress, end = await outcome(executor, good)
    assert [event.step for event in progress] == [1, 2]
    assert progress[0].reward_means == {"brevity": 0.5}
    assert end == Succeeded()


async def test_slots_are_taken_and_freed(executor: LocalExecutor, tmp_path: Path) -> None:
    first, second = job("never stop", tmp_path), job("stop when told", tmp_path)
    await executor.submit(first)
    await executor.submit(second)
    assert executor.free_slots() == 0
    with pytest.raises(RuntimeError, match="no slot"):
        await executor.submit(job("succeed", tmp_path))
    await until_progress(executor, second, "listening")
    await executor.cancel(second.id, second.attempt)
    await outcome(executor, second)
    assert executor.free_slots() == 1
    third = job("succeed", tmp_path)
    await executor.submit(third)
    assert (await outcome(executor, third))[1] == Succeeded()


async def test_an_error_is_the_outcome(executor: LocalExecutor, tmp_path: Path) -> None:
    bad = job("fail", tmp_path)
    await executor.submit(bad)
    assert (await outcome(executor, bad))[1] == Failed(error="the loss is NaN")


async def test_a_death_is_told_with_the_end_of_the_log(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    bad = job("die", tmp_path)
    await executor.submit(bad)
    _, end = await outcome(executor, bad)
    assert isinstance(end, Crashed)
    for part in ("SIGKILL", "out of memory", str(bad.log)):
        assert part in end.error


@pytest.mark.parametrize(("part", "cause"), [("exit", "code 3"), ("babble", "SIGKILL")])
async def test_a_process_that_says_no_outcome_has_crashed(
    executor: LocalExecutor, tmp_path: Path, part: str, cause: str
) -> None:
    bad = job(part, tmp_path)
    await executor.submit(bad)
    _, end = await outcome(executor, bad)
    assert isinstance(end, Crashed)
    assert cause in end.error


async def test_cancelling_asks_first(executor: LocalExecutor, tmp_path: Path) -> None:
    polite = job("stop when told", tmp_path)
    await executor.submit(polite)
    await until_progress(executor, polite, "listening")
    await executor.cancel(polite.id, polite.attempt)
    assert (await outcome(executor, polite))[1] == Cancelled()


async def test_cancelling_ends_in_the_end(executor: LocalExecutor, tmp_path: Path) -> None:
    stubborn = job("never stop", tmp_path)
    await executor.submit(stubborn)
    await until_progress(executor, stubborn, "listening")
    await executor.cancel(stubborn.id, stubborn.attempt)
    await executor.cancel(stubborn.id, stubborn.attempt)
    assert isinstance((await outcome(executor, stubborn))[1], Crashed)


async def test_only_what_runs_here_can_be_reattached_and_polled(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    running = job("stop when told", tmp_path)
    await executor.submit(running)
    assert await executor.reattach(running.id, 1)
    assert not await executor.reattach(running.id, 2)
    with pytest.raises(KeyError):
        executor.poll("unknown", 1)
    await executor.cancel("unknown", 1)


def children() -> set[str]:
    """The ids of this process's children."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


async def test_closing_ends_every_process(tmp_path: Path) -> None:
    others = children()
    executor = LocalExecutor(tmp_path, 1, [], {}, True, 0.5, (sys.executable, str(WORKER)))
    await executor.start()
    running = job("never stop", tmp_path)
    await executor.submit(running)
    await until_progress(executor, running, "listening")
    assert children() - others
    await executor.close()
    assert not children() - others


def test_a_jobs_prompts_reach_its_process_as_they_are(tmp_path: Path) -> None:
    turns = (ChatMessage("system", "Be brief."), ChatMessage("user", "Two?"))
    prompts = (*text_prompts("One?"), Prompt.of_text("2 + 2?", "#### 4"), Prompt(turns))
    sent = job("succeed", tmp_path).model_copy(update={"prompts": prompts})
    assert Job.model_validate_json(sent.model_dump_json()).prompts == prompts
