"""Scores samples on traits: one call in front of queues, threads and caches."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.prompts import says_nothing
from palmfolio_scorer.engine.admission import Admission
from palmfolio_scorer.engine.columns import (
    all_failed,
    collect_inputs,
    composite_column,
    concatenated,
    distinct_inputs,
    parts_first,
    rewards_of,
    with_empty_responses,
)
from palmfolio_scorer.engine.settings import EngineSettings
from palmfolio_scorer.engine.texts import TextWorkers
from palmfolio_scorer.engine.worker import ModelWorker, Ticket
from palmfolio_scorer.models.device import is_cpu, torch_threads
from palmfolio_scorer.models.model import DeviceModel
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, SampleFailure, check_text
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait
from palmfolio_scorer.traits.kind import ModelTrait, RawRewards, TextTrait

_log = get_logger(__name__)

_CHUNK = 64
"""Samples per step on the text threads; cancellation takes effect between steps."""
_STEP_SECONDS = 300.0
"""A step on a text thread that takes longer is given up, and the thread is replaced."""
_STOP_SECONDS = 5.0
"""Waiting for requests to end when the engine stops."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class RewardTable:
    """Rewards of N samples on d traits."""

    raw: npt.NDArray[np.float64]
    """Shape (N, d); NaN where failed."""
    normalised: npt.NDArray[np.float64]
    """Shape (N, d), in [0, 1]; NaN where failed."""
    failures: Mapping[tuple[int, int], SampleFailure]
    """By (sample, trait) position; exactly where the rewards are NaN."""
    cut: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Tokens that a model's limit cut off, by (sample, trait) position; only where there are
    any."""


class Engine:
    """Scores samples; never blocks the event loop."""

    def __init__(self, settings: EngineSettings, max_characters: int) -> None:
        """A text longer than `max_characters` fails its sample."""
        self._settings = settings
        self._max_characters = max_characters
        # By the model's `id`: the same files may be loaded twice, with different options.
        self._workers: dict[int, ModelWorker] = {}
        self._cpu_lanes = 1
        self._cpu_slots: threading.Semaphore | None = None
        self.admission = Admission(settings.max_queued_samples, settings.max_queued_characters)
        self._text_pool = ThreadPoolExecutor(settings.text_threads, "text")
        self._stuck: set[str] = set()
        self.texts = (
            TextWorkers(settings.text_workers, settings.sample_seconds)
            if settings.text_workers
            else None
        )
        """Processes for traits without a model; None where they run on the text threads."""

    def start(self, models: ModelStore) -> None:
        """Starts the threads of every loaded model that has none yet."""
        if self.texts is not None:
            self.texts.sources = models.sources
        for model in models:
            if id(model) in self._workers:
                continue
            lanes = self._lanes_on(model.device)
            worker = ModelWorker(
                model,
                token_budget=self._settings.budget_for(model.device),
                max_batch=self._settings.max_batch,
                cached_outputs=self._settings.cached_outputs,
                lanes=lanes,
                slots=self._cpu_slots if is_cpu(model.device) else None,
            )
            self._workers[id(model)] = worker
            worker.start()

    def _lanes_on(self, device: str) -> int:
        """Number of lanes of a model; on the CPU also the number of batches of all models."""
        if not is_cpu(device):
            return 1
        if self._cpu_slots is None:
            # Asked only once, because the lanes themselves lower torch's number of threads.
            self._cpu_lanes = self._settings.lanes or torch_threads()
            self._cpu_slots = threading.Semaphore(self._cpu_lanes)
        return self._cpu_lanes

    async def stop(self) -> None:
        """Ends the threads after their current batches; inputs that wait fail as UNAVAILABLE.

        Threads and requests that do not end within some seconds are left behind.
        """
        if self.texts is not None:
            await asyncio.to_thread(self.texts.stop)
        for worker in self._workers.values():
            await asyncio.to_thread(worker.stop)
        # Requests still turn their results into rewards on the text threads.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.admission.idle.wait(), _STOP_SECONDS)
        self._text_pool.shutdown(wait=False, cancel_futures=True)

    def problems(self) -> list[str]:
        """Why not all traits can be scored now, for people; empty when they can."""
        problems = [] if self.texts is None else self.texts.problems()
        return problems + [f"a text never ends in the trait {name}" for name in sorted(self._stuck)]

    async def unload(self, model: DeviceModel) -> None:
        """Ends a model's threads and drops its cached outputs. No request may use it any more."""
        await asyncio.to_thread(self._workers.pop(id(model)).stop)

    def worker(self, model: DeviceModel) -> ModelWorker:
        """The worker that runs a model."""
        return self._workers[id(model)]

    def find_worker(self, model: DeviceModel) -> ModelWorker | None:
        """The worker that runs a model, or None if there is none (any more)."""
        return self._workers.get(id(model))

    async def score(
        self,
        samples: Sequence[Sample],
        traits: Sequence[ServedTrait],
        deadline: float | None = None,
        failed: Mapping[int, SampleFailure] | None = None,
        key: object = None,
    ) -> RewardTable:
        """Scores every sample on every trait.

        Args:
            samples: N samples.
            traits: d traits; one that failed to load fails all samples, but only on itself.
            deadline: in `time.monotonic()`; work that has not begun by then is dropped.
            failed: samples known to be unreadable, by position.
            key: see `Admission.admit`.

        Raises:
            QueueFullError: there is no room now.
        """
        characters = sum(len(s.prompt) + len(s.response) + len(s.reference) for s in samples)
        with self.admission.admit(len(samples), characters, key):
            bad = dict(failed or {})
            for i, sample in enumerate(samples):
                if i not in bad and (failure := check_text(sample, self._max_characters)):
                    bad[i] = failure
            # Only samples with valid texts reach the traits, which need not check them again.
            good = [i for i in range(len(samples)) if i not in bad]
            columns = await self._columns([samples[i] for i in good], traits, deadline)
        return _table(len(samples), good, bad, traits, columns)

    async def _columns(
        self, samples: list[Sample], traits: Sequence[ServedTrait], deadline: float | None
    ) -> list[RawRewards]:
        """The traits' columns: first those of simple traits, then those of composites."""
        needed = parts_first(traits)
        simple = [served for served in needed if not served.parts]
        together: list[ServedTrait] = []
        if self.texts is not None:
            together = [s for s in simple if not s.failure and isinstance(s.trait, TextTrait)]
        apart = [served for served in simple if served not in together]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._alike_columns(samples, alike, deadline))
                for alike in _alike(apart)
            ]
            in_workers = group.create_task(self._in_workers(samples, together, deadline))
        columns = {name: column for task in tasks for name, column in task.result().items()}
        columns |= in_workers.result()
        for served in needed:
            if served.parts:
                column = composite_column(served, columns, len(samples))
                columns[served.name] = _with_stated(column, samples, served)
        return [columns[served.name] for served in traits]

    async def _in_workers(
        self, samples: list[Sample], traits: Sequence[ServedTrait], deadline: float | None
    ) -> dict[str, RawRewards]:
        """The columns of traits without a model, by name; an error fails these columns only."""
        if not traits or self.texts is None:
            return {}
        try:
            results = await self.texts.score(samples, traits, deadline)
        except Exception as error:
            _log.exception("text workers failed")
            failure = SampleFailure("INTERNAL", f"{type(error).__name__}: {error}")
            return {served.name: all_failed(len(samples), failure) for served in traits}
        return {
            served.name: _with_stated(RawRewards.collect(own), samples, served)
            for served, own in zip(traits, results, strict=True)
        }

    async def _alike_columns(
        self, samples: list[Sample], traits: Sequence[ServedTrait], deadline: float | None
    ) -> dict[str, RawRewards]:
        """The columns of traits as `_alike` groups them, by their names."""
        count, rule = len(samples), traits[0].empty_response
        if traits[0].failure:
            failure = SampleFailure("UNAVAILABLE", traits[0].failure)
            return {traits[0].name: all_failed(count, failure)}
        if rule == "judged":
            return await self._judged(samples, traits, deadline)
        judged = [i for i, sample in enumerate(samples) if not says_nothing(sample.response)]
        columns = await self._judged([samples[i] for i in judged], traits, deadline)
        return {
            served.name: with_empty_responses(
                columns[served.name], judged, count, served.empty_response
            )
            for served in traits
        }

    async def _judged(
        self, samples: list[Sample], traits: Sequence[ServedTrait], deadline: float | None
    ) -> dict[str, RawRewards]:
        """The rewards that the traits themselves give; an error fails these columns only."""
        if not samples:
            return {served.name: RawRewards.collect([]) for served in traits}
        try:
            if isinstance(traits[0].trait, ModelTrait):
                return await self._on_model(samples, traits, deadline)
            return {traits[0].name: await self._on_text(samples, traits[0], deadline)}
        except Exception as error:
            names = [served.name for served in traits]
            _log.exception("traits failed", traits=names)
            failure = SampleFailure("INTERNAL", f"{type(error).__name__}: {error}")
            return {name: all_failed(len(samples), failure) for name in names}

    async def _on_text(
        self, samples: list[Sample], served: ServedTrait, deadline: float | None
    ) -> RawRewards:
        trait = cast(TextTrait[Any], served.trait)
        parts = []
        for start in range(0, len(samples), _CHUNK):
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError("the deadline passed")
            chunk = samples[start : start + _CHUNK]
            parts.append(await self._step(served, trait.raw_rewards, chunk))
        return concatenated(parts)

    async def _on_model(
        self, samples: list[Sample], traits: Sequence[ServedTrait], deadline: float | None
    ) -> dict[str, RawRewards]:
        """The rewards of traits with the same model, which computes equal inputs once."""
        loop, first = asyncio.get_running_loop(), traits[0]
        columns = [await self._step(s, collect_inputs, samples, s.trait) for s in traits]
        positions = await self._step(first, distinct_inputs, columns)
        inputs = list(positions)
        worker = self._workers[id(cast(ModelTrait[Any], first.trait).model)]
        worker.count_equal(sum(len(column.inputs) for column in columns) - len(inputs))
        done = asyncio.Event()
        ticket = Ticket(len(inputs), deadline, lambda: loop.call_soon_threadsafe(done.set))
        try:
            for start in range(0, len(inputs), _CHUNK):
                chunk = inputs[start : start + _CHUNK]
                await self._step(first, worker.enqueue, ticket, start, chunk)
            await done.wait()
        except BaseException:  # cancellation included: nobody waits for the results
            worker.cancel(ticket)
            raise
        rewards = {}
        for served, column in zip(traits, columns, strict=True):
            results = [ticket.results[positions[parts]] for parts in column.inputs]
            own = await self._step(served, rewards_of, samples, served.trait, column, results)
            rewards[served.name] = own
        return rewards

    async def _step(
        self, served: ServedTrait, function: Callable[..., Value], *arguments: object
    ) -> Value:
        """Runs a step of a trait on a text thread.

        Raises:
            TimeoutError: it did not end in time. Its thread is left to itself, because a thread
                cannot be killed, and the others get new threads.
        """
        loop, pool = asyncio.get_running_loop(), self._text_pool
        started = asyncio.Event()

        def run() -> Value:
            loop.call_soon_threadsafe(started.set)
            return function(*arguments)

        future = loop.run_in_executor(pool, run)
        waiting = asyncio.create_task(started.wait())
        try:
            either: set[asyncio.Future[Any]] = {future, waiting}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if future.cancelled():  # it waited for a thread that was given up
                return await self._step(served, function, *arguments)
            return await asyncio.wait_for(asyncio.shield(future), _STEP_SECONDS)
        except TimeoutError:
            if future.done():
                raise
            self._stuck.add(served.name)
            if pool is self._text_pool:
                self._text_pool = ThreadPoolExecutor(self._settings.text_threads, "text")
                pool.shutdown(wait=False, cancel_futures=True)
            message = f"a step did not end within {_STEP_SECONDS:.0f} s"
            raise TimeoutError(message) from None
        finally:
            waiting.cancel()


def _alike(traits: Sequence[ServedTrait]) -> list[list[ServedTrait]]:
    """Groups of loaded traits that read the same samples with the same model; others are apart."""
    groups: dict[tuple[int, bool], list[ServedTrait]] = {}
    for served in traits:
        trait = served.trait
        shared = trait.model if isinstance(trait, ModelTrait) and not served.failure else served
        groups.setdefault((id(shared), served.empty_response == "judged"), []).append(served)
    return list(groups.values())


def _with_stated(column: RawRewards, samples: Sequence[Sample], served: ServedTrait) -> RawRewards:
    """A column with what is stated for responses that say nothing."""
    if served.failure or served.empty_response == "judged":
        return column
    judged = [i for i, sample in enumerate(samples) if not says_nothing(sample.response)]
    kept = RawRewards.collect(
        [column.failures.get(i, float(column.values[i])) for i in judged],
        {at: column.cut[i] for at, i in enumerate(judged) if i in column.cut},
    )
    return with_empty_responses(kept, judged, len(samples), served.empty_response)


def _table(
    count: int,
    good: Sequence[int],
    bad: Mapping[int, SampleFailure],
    traits: Sequence[ServedTrait],
    columns: Sequence[RawRewards],
) -> RewardTable:
    raw = np.full((count, len(traits)), np.nan)
    normalised = np.full_like(raw, np.nan)
    failures = {(i, j): failure for i, failure in bad.items() for j in range(len(traits))}
    cut: dict[tuple[int, int], int] = {}
    for j, (served, column) in enumerate(zip(traits, columns, strict=True)):
        raw[good, j] = column.values
        normalised[good, j] = served.normalisation.apply(column.values)
        failures.update({(good[i], j): failure for i, failure in column.failures.items()})
        cut.update({(good[i], j): tokens for i, tokens in column.cut.items()})
    return RewardTable(raw, normalised, failures, cut)
