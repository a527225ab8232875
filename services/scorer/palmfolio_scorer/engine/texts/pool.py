"""The workers of one scorer: samples in, rewards out, whatever a text does to its worker."""

import asyncio
import math
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from palmfolio_runtime.digest import digest
from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.engine.texts.messages import Load, Loaded, Refused, Result, Score
from palmfolio_scorer.engine.texts.process import WorkerDied, WorkerProcess, WorkerStuck
from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import EXPIRED, STOPPED, Sample, SampleFailure
from palmfolio_scorer.traits.catalogue.served_trait import ServedTrait

_log = get_logger(__name__)

_CHUNK = 64
"""Samples per message to a worker; requests take turns between messages."""
_MOST_TRAITS = 256
"""A worker with more traits, left by reloads, is replaced."""
_DEATHS = 3
"""Workers that end in a row, with no reward between them, until the scorer is not ready."""
_DEATHS_COUNT_SECONDS = 60.0
"""After this time without another death the scorer is ready again: there may be no traffic."""


@dataclass
class _Job:
    """Some samples on some traits, and the results so far."""

    samples: Sequence[Sample]
    traits: Sequence[ServedTrait]
    deadline: float | None
    results: list[Result] = field(default_factory=list)
    """Sample after sample, and for each sample trait after trait."""
    cancelled: bool = False

    @property
    def complete(self) -> bool:
        return len(self.results) == len(self.samples) * len(self.traits)

    def unwanted(self) -> bool:
        """Whether nobody waits for the rest."""
        return self.cancelled or (self.deadline is not None and time.monotonic() > self.deadline)

    def fail_rest(self, failure: SampleFailure) -> None:
        missing = len(self.samples) * len(self.traits) - len(self.results)
        self.results += [failure] * missing


class TextWorkers:
    """Worker processes for traits that are plain functions of the texts.

    A sample on which a worker takes longer than `seconds`, or dies, has no reward on that trait,
    and says why. All others are scored by a new worker. Where other programs take the cores, a
    worker has more time, until it has computed for as long.
    """

    def __init__(self, count: int, seconds: float) -> None:
        """`count` processes at most, started when the first sample comes; `seconds` a reward."""
        self._count, self._seconds = count, seconds
        self._threads = ThreadPoolExecutor(count, "text-worker")
        self._idle: queue.SimpleQueue[WorkerProcess | None] = queue.SimpleQueue()
        for _ in range(count):
            self._idle.put(None)
        self._running: set[WorkerProcess] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._deaths = 0
        self._last_death = (-math.inf, "")
        self._immortal = 0
        self.sources = ModelSources()
        """The models that traits may read."""
        self.replaced = 0
        """Workers that were killed or died."""

    async def score(
        self, samples: Sequence[Sample], traits: Sequence[ServedTrait], deadline: float | None
    ) -> list[list[Result]]:
        """The results of each trait, in the order of the samples.

        Work that has not begun at `deadline` (in `time.monotonic()`) is dropped.
        """
        jobs = [
            _Job(samples[start : start + _CHUNK], traits, deadline)
            for start in range(0, len(samples), _CHUNK)
        ]
        waiting = iter(jobs)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._count, len(jobs))):
                group.create_task(self._work(waiting))
        results = [result for job in jobs for result in job.results]
        return [results[i :: len(traits)] for i in range(len(traits))]

    def problems(self) -> list[str]:
        """Why workers do not work, for readiness."""
        problems = []
        when, reason = self._last_death
        if self._deaths >= _DEATHS and time.monotonic() < when + _DEATHS_COUNT_SECONDS:
            problems.append(f"the last {self._deaths} text workers ended at once: {reason}")
        if self._immortal:
            problems.append(f"{self._immortal} text workers cannot be killed")
        return problems

    def pids(self) -> list[int]:
        """The ids of the running worker processes."""
        with self._lock:
            return [worker.pid for worker in self._running]

    def stop(self) -> None:
        """Kills all workers; samples that wait fail as UNAVAILABLE. Blocking, for some seconds."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for worker in running:
            worker.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _work(self, waiting: Iterator[_Job]) -> None:
        loop = asyncio.get_running_loop()
        for job in waiting:
            try:
                # A job comes back after each worker that it costs, and queues up again: a request
                # full of bad texts does not hold up the others.
                while not job.complete:
                    if self._stopped:
                        job.fail_rest(STOPPED)
                    elif job.unwanted():
                        job.fail_rest(EXPIRED)
                    else:
                        await loop.run_in_executor(self._threads, self._advance, job)
            except asyncio.CancelledError:
                job.cancelled = True
                raise

    def _advance(self, job: _Job) -> None:
        """Adds at least one result to a job, unless nobody wants it any more."""
        worker = self._idle.get()
        try:
            worker = self._alive(worker)
            self._run(worker, job)
        except WorkerStuck:
            self._discard(worker)
            worker = None
            if not job.unwanted():
                self._blame(job, f"takes longer than {self._seconds:g} s", timed_out=True)
        except WorkerDied as error:
            self._discard(worker)
            worker = None
            if not self._stopped:
                self._count_death(str(error))
                self._blame(job, str(error))
        except Exception as error:  # no process can be started, or it cannot load its traits
            self._discard(worker)
            worker = None
            if self._stopped:
                return
            _log.exception("text worker failed")
            self._count_death(str(error))
            job.fail_rest(SampleFailure("UNAVAILABLE", str(error) or type(error).__name__))
        finally:
            self._idle.put(worker)

    def _run(self, worker: WorkerProcess, job: _Job) -> None:
        """Scores the samples of a job that have no results yet."""
        try:
            loaded = [self._loaded(worker, served) for served in job.traits]
        except WorkerStuck as error:
            raise RuntimeError("the worker takes too long to load its traits") from error
        except WorkerDied as error:
            raise RuntimeError(f"while it loaded its traits, {error}") from error
        done, within = divmod(len(job.results), len(job.traits))
        # A trait whose worker died in the middle of a sample: first the rest of that sample.
        chosen = range(within, len(job.traits)) if within else range(len(job.traits))
        samples = job.samples[done : done + 1] if within else job.samples[done:]
        failures = {
            i: SampleFailure("UNAVAILABLE", answer.reason)
            for i in chosen
            if isinstance(answer := loaded[i], Refused)
        }
        keys = tuple(job.traits[i].raw_identity for i in chosen if i not in failures)
        fields = tuple((s.prompt, s.response, s.reference, s.turns) for s in samples)
        rewards = worker.score(Score(keys, fields), self._seconds, job.unwanted) if keys else None
        for _ in samples:
            for i in chosen:
                if i in failures or rewards is None:
                    job.results.append(failures[i])
                else:
                    job.results.append(next(rewards))
                    self._deaths = 0

    def _loaded(self, worker: WorkerProcess, served: ServedTrait) -> Loaded | Refused:
        """Makes a trait in a worker that has not made it yet."""
        known = worker.loaded.get(served.raw_identity)
        if known is not None:
            return known
        identity = digest(served.trait.identity())
        spec = served.spec
        return worker.load(
            Load(served.raw_identity, identity, spec.kind, spec.options, self.sources)
        )

    def _alive(self, worker: WorkerProcess | None) -> WorkerProcess:
        if worker is not None and len(worker.loaded) > _MOST_TRAITS:
            self._discard(worker, counted=False)
            worker = None
        if worker is None:
            worker = WorkerProcess()
            with self._lock:
                self._running.add(worker)
                stopped = self._stopped
            if stopped:
                raise WorkerDied("the scorer is shutting down")
        return worker

    def _discard(self, worker: WorkerProcess | None, *, counted: bool = True) -> None:
        if worker is None:
            return
        self.replaced += counted
        if not worker.kill():
            self._immortal += 1
        with self._lock:
            self._running.discard(worker)

    def _blame(self, job: _Job, reason: str, *, timed_out: bool = False) -> None:
        """Fails the reward that the worker was at."""
        trait = job.traits[len(job.results) % len(job.traits)].name
        _log.warning("text worker replaced", trait=trait, reason=reason)
        job.results.append(SampleFailure("INTERNAL", reason, timed_out=timed_out))

    def _count_death(self, reason: str) -> None:
        self._deaths += 1
        self._last_death = (time.monotonic(), reason)
