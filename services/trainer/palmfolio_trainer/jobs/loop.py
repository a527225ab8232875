"""Reconciles the executor with the jobs table: claim, submit, record, publish."""

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import grpc

from palmfolio.v1 import errors_pb2, trainer_pb2
from palmfolio_runtime import operations
from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.volumes import is_no_room
from palmfolio_trainer.config import TrainerConfig
from palmfolio_trainer.executors.executor import (
    Cancelled,
    Crashed,
    Executor,
    Job,
    Outcome,
    Progress,
    Succeeded,
    VolumeFull,
)
from palmfolio_trainer.jobs.volumes import VolumeWatch
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.artifacts import ArtifactError, ArtifactStore
from palmfolio_trainer.policies.spec import TrainingSpec
from palmfolio_trainer.store import jobs as store
from palmfolio_trainer.store.jobs import Claim

log = get_logger(__name__)

_POLL_SECONDS = 0.2
# Another replica's work, and cancellations sent to it, are seen after this long at the latest.
_IDLE_SECONDS = 1.0
_LOST = "the attempt lost its process"
# A process that dies without an outcome gets one more attempt: something else on the machine may
# have killed it.
_ALLOWED_CRASHES = 1

_Attempt = tuple[str, int]


class JobLoop:
    """Claims queued jobs, submits them, records what they report, and publishes their adapters.

    Every step is safe to repeat: with its old attempt number, a process that was given up changes
    nothing.

    Args:
        folder: the parent of the jobs' folders.
        owner: this trainer's identity; the same after a restart.
    """

    def __init__(
        self,
        config: TrainerConfig,
        folder: Path,
        owner: str,
        database: Database,
        changes: operations.Changes,
        executor: Executor,
        artifacts: ArtifactStore,
        bases: Mapping[str, BaseModel],
        volumes: VolumeWatch,
    ) -> None:
        self._config = config
        self._folder = folder
        self._owner = owner
        self._database = database
        self._changes = changes
        self._executor = executor
        self._artifacts = artifacts
        self._bases = bases
        self._volumes = volumes
        self._jobs: dict[_Attempt, Job] = {}
        self._outcomes: dict[_Attempt, Outcome] = {}
        self._cancelling: set[_Attempt] = set()
        self._wake = asyncio.Event()
        self.failure = ""
        """Why the last round failed; empty when it succeeded."""

    def wake(self) -> None:
        """Makes the loop look at the database at once."""
        self._wake.set()

    async def run(self) -> None:
        """Runs until cancelled; goes on when the database cannot be reached for a while."""
        loop = asyncio.get_running_loop()
        renew_at = loop.time()
        while True:
            try:
                if loop.time() >= renew_at:
                    await self._renew()
                    # A third: two renewals in a row may fail before the lease ends.
                    renew_at = loop.time() + self._config.lease_seconds / 3
                # Cancellations come before claims: a cancelled job must not be claimed first.
                await self._cancel()
                await asyncio.to_thread(self._volumes.check)
                if not self._volumes.trouble:
                    await self._claim()
                await self._collect()
                self.failure = ""
            except ServiceError as error:
                self.failure = error.message
                log.warning("the jobs wait", reason=error.message)
            except Exception as error:  # the next round may succeed; readiness has the reason
                self.failure = f"{type(error).__name__}: {error}"
                log.exception("a round of the job loop failed")
            await self._pause()

    async def release(self) -> None:
        """Puts our jobs back into the queue. Call it only once no attempt runs any more."""
        for claim in await self._database.run(store.owned, self._owner):
            await self._database.run(store.requeue, claim.job, claim.attempt, _LOST)

    async def _pause(self) -> None:
        seconds = _POLL_SECONDS if self._jobs and not self.failure else _IDLE_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _renew(self) -> None:
        """Renews our leases, and makes running attempts and owned jobs agree.

        An attempt whose job another trainer has taken is cancelled; a job of ours without a process
        is reattached or put back into the queue.
        """
        await self._database.run(store.renew, self._owner, self._config.lease_seconds)
        owned = {
            (claim.job, claim.attempt): claim
            for claim in await self._database.run(store.owned, self._owner)
        }
        # Two attempts at one job would waste a device; only the newer one may publish.
        for key in self._jobs.keys() - owned.keys():
            log.warning("another trainer took the job over", job=key[0], attempt=key[1])
            await self._executor.cancel(*key)
        for key in owned.keys() - self._jobs.keys():
            if await self._executor.reattach(*key):
                self._jobs[key] = await self._job(owned[key])
            else:
                log.info("a job lost its process and goes on", job=key[0], attempt=key[1])
                await self._database.run(store.requeue, *key, _LOST)

    async def _cancel(self) -> None:
        for job in await self._database.run(store.cancellable):
            for key in self._jobs.keys() - self._cancelling:
                if key[0] == job:
                    self._cancelling.add(key)
                    await self._executor.cancel(*key)
            # Tried for every job: one may have gone back to the queue since the query.
            if await self._database.run(store.cancel_queued, job):
                await self._changes.notify()

    async def _claim(self) -> None:
        slots = self._executor.free_slots()
        if slots <= 0:
            return
        claims = await self._database.run(
            store.claim, self._owner, self._config.lease_seconds, slots
        )
        for claim in claims:
            await self._submit(claim)

    async def _submit(self, claim: Claim) -> None:
        log.info("training", job=claim.job, policy=claim.policy, attempt=claim.attempt)
        starting = Progress(stage="starting", message=f"attempt {claim.attempt} starts")
        # Recorded before the executor is asked, so that watchers see the attempt even if it fails.
        await self._record(claim.job, claim.attempt, starting)
        try:
            job = await self._job(claim)
            await self._executor.submit(job)
        except (ArtifactError, OSError, LookupError) as error:
            if is_no_room(error):
                await self._wait_for_space(claim.job, claim.attempt, str(error))
            else:
                await self._fail(claim.job, claim.attempt, str(error))
            await self._changes.notify()
            return
        self._jobs[claim.job, claim.attempt] = job

    async def _job(self, claim: Claim) -> Job:
        spec = TrainingSpec.model_validate_json(claim.spec)
        base = self._bases.get(spec.base_model)
        if base is None or base.revision != spec.base_revision:
            raise LookupError(
                f"this trainer no longer serves {spec.base_model} at revision {spec.base_revision}"
            )
        adapter = None
        if claim.initial_adapter is not None:
            adapter = str(await asyncio.to_thread(self._artifacts.fetch, *claim.initial_adapter))
        return Job(
            id=claim.job,
            attempt=claim.attempt,
            policy=claim.policy,
            spec=spec,
            prompts=claim.prompts,
            base_path=base.path,
            initial_adapter=adapter,
            folder=self._folder / claim.job,
            scorer=self._config.scorer,
            limits=self._config.limits,
            score_timeout_seconds=self._config.score_timeout_seconds,
            scorer_patience_seconds=self._config.scorer_patience_seconds,
        )

    async def _collect(self) -> None:
        for key, job in list(self._jobs.items()):
            if key not in self._outcomes:
                # Not polled again after an outcome: that report was the last one.
                report = self._executor.poll(*key)
                if report.outcome is not None:
                    self._outcomes[key] = report.outcome
                for progress in report.progress:
                    await self._record(*key, progress)
            outcome = self._outcomes.get(key)
            # An attempt is forgotten only once its end is in the database; until then we try again.
            if outcome and await self._finish(job, outcome, cancelled=key in self._cancelling):
                del self._jobs[key], self._outcomes[key]
                self._cancelling.discard(key)

    async def _record(self, job: str, attempt: int, progress: Progress) -> None:
        message = trainer_pb2.TrainingProgress(
            stage=progress.stage,
            step=progress.step,
            steps=progress.steps,
            reward_means=progress.reward_means,
            completions=progress.completions,
            unscored_completions=progress.unscored_completions,
            empty_completions=progress.empty_completions,
            attempt=attempt,
        )
        await self._database.run(store.record, job, attempt, message, progress.message)
        await self._changes.notify()

    async def _finish(self, job: Job, outcome: Outcome, cancelled: bool) -> bool:
        """Records how an attempt ended; False when it must be tried again later."""
        if isinstance(outcome, Succeeded):
            if not await self._publish(job):
                return False
        elif isinstance(outcome, Cancelled) or cancelled:
            await self._database.run(store.cancelled, job.id, job.attempt)
        elif isinstance(outcome, VolumeFull):
            await self._wait_for_space(job.id, job.attempt, outcome.error)
        elif isinstance(outcome, Crashed):
            await self._crashed(job, outcome)
        else:
            await self._fail(job.id, job.attempt, outcome.error)
        log.info("training ended", job=job.id, attempt=job.attempt, outcome=outcome.kind)
        await asyncio.to_thread(_clean, job)
        await self._changes.notify()
        return True

    async def _publish(self, job: Job) -> bool:
        """Publishes a trained adapter; False when there is no space, and the adapter stays here."""
        if self._volumes.trouble:
            return False
        try:
            uri, digest = await asyncio.to_thread(self._artifacts.publish, job.result, job.policy)
        except (ArtifactError, OSError) as error:
            if is_no_room(error):
                self._volumes.note_full(str(error))
                return False
            await self._fail(job.id, job.attempt, f"the adapter cannot be published: {error}")
            return True
        self._volumes.note_enough()
        if not await self._database.run(store.succeed, job.id, job.attempt, uri, digest):
            log.warning("a stale attempt was not published", job=job.id, attempt=job.attempt)
        return True

    async def _wait_for_space(self, job: str, attempt: int, error: str) -> None:
        """Puts a job back into the queue, which is not touched as long as there is no space."""
        self._volumes.note_full(error)
        why = f"attempt {attempt} is repeated once there is room: {error}"
        await self._database.run(store.requeue, job, attempt, why)

    async def _crashed(self, job: Job, outcome: Crashed) -> None:
        message = f"attempt {job.attempt} is repeated: {outcome.error}"
        again = await self._database.run(
            store.crashed, job.id, job.attempt, _ALLOWED_CRASHES, message
        )
        if again is False:
            await self._fail(job.id, job.attempt, outcome.error)

    async def _fail(self, job: str, attempt: int, error: str) -> None:
        status = ServiceError(
            grpc.StatusCode.INTERNAL,
            errors_pb2.ERROR_REASON_TRAINING_FAILED,
            f"the training failed at attempt {attempt}: {error}",
        ).to_status()
        await self._database.run(store.fail, job, attempt, status)


def _clean(job: Job) -> None:
    """Deletes the files of this attempt and of earlier ones; the log stays."""
    # An attempt whose process was killed has left its files.
    for attempt in range(1, job.attempt + 1):
        past = job.model_copy(update={"attempt": attempt})
        for folder in (past.partial, past.result):
            shutil.rmtree(folder, ignore_errors=True)
