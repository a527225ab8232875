"""The trainer as a service: makes its parts, starts and stops them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import grpc
from google.longrunning import operations_pb2_grpc
from grpc import aio

from palmfolio.v1 import errors_pb2, trainer_pb2, trainer_pb2_grpc
from palmfolio_runtime import operations
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.leases import StateFolder
from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.operations.servicer import SERVICE_NAME as OPERATIONS
from palmfolio_runtime.volumes import is_no_room
from palmfolio_trainer.config import TrainerConfig
from palmfolio_trainer.executors.local.executor import LocalExecutor
from palmfolio_trainer.jobs.loop import JobLoop
from palmfolio_trainer.jobs.volumes import VolumeWatch
from palmfolio_trainer.models import base_models
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.artifacts import ArtifactStore
from palmfolio_trainer.sampling.thread import SamplingThread
from palmfolio_trainer.sampling.transformers.backend import TransformersBackend
from palmfolio_trainer.servicer import TrainerParts, TrainerServicer
from palmfolio_trainer.store import policies

log = get_logger(__name__)

_FULL_SECONDS = 5.0
# A client waits for `TrainPolicy` while the scorer is asked for its traits.
_SCORER_SECONDS = 10.0


class TrainerService:
    """Owns the trainer's parts.

    Args:
        config: the trainer's configuration.
    """

    names: Sequence[str] = (
        trainer_pb2.DESCRIPTOR.services_by_name["Trainer"].full_name,
        OPERATIONS,
    )

    def __init__(self, config: TrainerConfig) -> None:
        self.config = config
        self.state = StateFolder(config.state_dir)
        self.database = Database(config.resolved_database_url)
        self.changes = operations.Changes()
        self.artifacts = ArtifactStore(
            config.resolved_artifact_root, self.state.path / "artifact-cache"
        )
        self.backend = TransformersBackend(config.sampling_threads)
        self.sampling = SamplingThread(config.max_queued_generations)
        # Filled in `start`; the job loop and the calls share this one dictionary.
        self.bases: dict[str, BaseModel] = {}
        self.scorer = ScorerClient(
            config.scorer, config.limits, call_timeout_seconds=_SCORER_SECONDS
        )
        self._executor = LocalExecutor(
            folder=self.state.path / "jobs",
            slots=config.slots,
            devices=config.devices,
            environment=_environment(config),
            warm_spare=config.warm_spare,
            grace_seconds=config.cancel_grace_seconds,
        )
        folders = [self.state.path, self.artifacts.local_folder]
        self.volumes = VolumeWatch([folder for folder in folders if folder])
        self.jobs = JobLoop(
            config=config,
            folder=self.state.path / "jobs",
            owner=self.state.owner,
            database=self.database,
            changes=self.changes,
            executor=self._executor,
            artifacts=self.artifacts,
            bases=self.bases,
            volumes=self.volumes,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._reasons = ["starting"]

    def register(self, server: aio.Server) -> None:
        """Adds the trainer's and the operations' servicers."""
        parts = TrainerParts(
            limits=self.config.limits,
            max_queued_generations=self.config.max_queued_generations,
            slots=self.config.slots,
            database=self.database,
            changes=self.changes,
            bases=self.bases,
            scorer=self.scorer,
            artifacts=self.artifacts,
            backend=self.backend,
            sampling=self.sampling,
            not_ready=self.not_ready,
            require_ready=self.require_ready,
            wake_jobs=self.jobs.wake,
        )
        trainer_pb2_grpc.add_TrainerServicer_to_server(TrainerServicer(parts), server)
        operations_pb2_grpc.add_OperationsServicer_to_server(
            operations.OperationsServicer(
                self.database,
                self.changes,
                self._on_cancel,
                self.config.limits.max_message_bytes,
            ),
            server,
        )

    async def start(self) -> None:
        """Opens the database, prepares the base models, and starts the job loop."""
        await self.database.open("palmfolio_trainer.store")
        self._reasons = [f"preparing the base models {', '.join(self.config.base_models)}"]
        # The spare loads its libraries while the base models are prepared.
        await self._when_there_is_space(self._executor.start)
        await self._when_there_is_space(self._resolve_base_models)
        self._tasks = [asyncio.create_task(self.jobs.run())]
        if self.config.warm_spare:
            # The first `Generate` then does not wait until torch is loaded.
            self._tasks.append(asyncio.create_task(self.sampling.run(self.backend.load)))
        self._reasons = []

    def not_ready(self) -> Sequence[str]:
        """Why the trainer does not take work, or does not proceed with it; empty when it does."""
        return [*self._refusals(), *([self.volumes.trouble] if self.volumes.trouble else [])]

    def _refusals(self) -> Sequence[str]:
        if self.database.trouble:
            return [*self._reasons, self.database.trouble]
        failure = self.jobs.failure
        return [*self._reasons, *([f"the job loop fails: {failure}"] if failure else [])]

    def require_ready(self) -> None:
        """Raises UNAVAILABLE while the trainer does not take work.

        On a full volume it takes work: trainings are queued, and deleting a policy frees space.
        """
        reasons = self._refusals()
        if reasons:
            raise ServiceError(
                grpc.StatusCode.UNAVAILABLE,
                errors_pb2.ERROR_REASON_SERVER_NOT_READY,
                f"the trainer is not ready: {'; '.join(reasons)}",
            )

    async def stop(self) -> None:
        """Stops the jobs and releases everything; at the next start the jobs go on."""
        self._reasons = ["stopping"]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Before the jobs are released: nobody else may claim one whose process still runs.
        await self._executor.close()
        if self._tasks:
            await self._release_jobs()
        await self.scorer.close()
        # On a thread: a call that is sampling may wait for this loop to take its batch.
        await asyncio.to_thread(self.sampling.close)
        self.database.close()
        self.state.close()

    async def _resolve_base_models(self) -> None:
        cache = self.state.path / "base-models"
        models = await self.sampling.run(
            lambda: base_models.resolve(self.config.base_models, cache)
        )
        stored = await self.database.until_usable(
            lambda: self.database.run(policies.add_base_models, models)
        )
        self.bases.update(stored)

    async def _when_there_is_space(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does the work, again and again for as long as the volume is full."""
        reasons = self._reasons
        while True:
            try:
                await work()
            except (OSError, RuntimeError) as error:
                if not is_no_room(error):
                    raise
                log.error("trouble with the state folder", reason=str(error))
                self._reasons = [*reasons, str(error)]
                await asyncio.sleep(_FULL_SECONDS)
            else:
                self._reasons = reasons
                return

    async def _release_jobs(self) -> None:
        try:
            await self.jobs.release()
        except ServiceError as error:
            # They are still ours when we start again. Once their leases end, another trainer may
            # take them.
            log.warning("the jobs stay claimed", reason=error.message)

    async def _on_cancel(self, _operation: operations.OperationRow) -> None:
        self.jobs.wake()


def _environment(config: TrainerConfig) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": str(config.threads)} if config.threads else {}
    # A job talks only to the scorer, never to a model hub. Tokenisers would warn about parallelism
    # in every log.
    return {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **threads}
