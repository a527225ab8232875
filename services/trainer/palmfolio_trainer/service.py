"""The trainer as a service: what it is made of, and how it starts and stops."""

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
from palmfolio_trainer.jobs.volumes import Room
from palmfolio_trainer.models import base_models
from palmfolio_trainer.policies.artifacts import ArtifactStore
from palmfolio_trainer.policies.spec import BaseModel
from palmfolio_trainer.sampling.thread import SamplingThread
from palmfolio_trainer.sampling.transformers.backend import Samplers
from palmfolio_trainer.servicer import TrainerServicer
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
        self.samplers = Samplers(config.sampling_threads)
        self.sampling = SamplingThread(config.max_queued_generations)
        self.bases: dict[str, BaseModel] = {}
        self.scorer = ScorerClient(
            config.scorer, config.limits, call_timeout_seconds=_SCORER_SECONDS
        )
        self.jobs: JobLoop
        self._executor = LocalExecutor(
            folder=self.state.path / "jobs",
            slots=config.slots,
            devices=config.devices,
            environment=_environment(config),
            warm_spare=config.warm_spare,
            grace_seconds=config.cancel_grace_seconds,
        )
        folders = [self.state.path, self.artifacts.local_folder]
        self.room = Room([folder for folder in folders if folder])
        self._tasks: list[asyncio.Task[None]] = []
        self._reasons = ["starting"]

    def register(self, server: aio.Server) -> None:
        """Adds the trainer's and the operations' servicers."""
        self.jobs = JobLoop(
            config=self.config,
            folder=self.state.path / "jobs",
            owner=self.state.owner,
            database=self.database,
            changes=self.changes,
            executor=self._executor,
            artifacts=self.artifacts,
            bases=self.bases,
            room=self.room,
        )
        trainer_pb2_grpc.add_TrainerServicer_to_server(TrainerServicer(self), server)
        operations_pb2_grpc.add_OperationsServicer_to_server(
            operations.OperationsServicer(self.database, self.changes, self._on_cancel), server
        )

    async def start(self) -> None:
        """Opens the database, makes the base models ready, and takes up the jobs."""
        await self.database.open("palmfolio_trainer.store")
        self._reasons = [f"preparing the base models {', '.join(self.config.base_models)}"]
        # The spare loads its libraries while the base models are prepared.
        await self._when_there_is_room(self._executor.start)
        await self._when_there_is_room(self._resolve_base_models)
        await self.database.patiently(
            lambda: self.database.run(policies.add_base_models, self.bases)
        )
        self._tasks = [asyncio.create_task(self.jobs.run())]
        if self.config.warm_spare:
            # The first `Generate` then need not wait for it.
            self._tasks.append(asyncio.create_task(self.sampling.run(self.samplers.load)))
        self._reasons = []

    def not_ready(self) -> Sequence[str]:
        """Why the trainer does not take work, or does not get on with it."""
        return [*self._refusals(), *([self.room.trouble] if self.room.trouble else [])]

    def _refusals(self) -> Sequence[str]:
        if self.database.trouble:
            return [*self._reasons, self.database.trouble]
        failure = self.jobs.failure
        return [*self._reasons, *([f"the job loop fails: {failure}"] if failure else [])]

    def require_ready(self) -> None:
        """Raises UNAVAILABLE while the trainer does not take work.

        On a full volume it does: trainings are queued, and deleting a policy makes room.
        """
        reasons = self._refusals()
        if reasons:
            raise ServiceError(
                grpc.StatusCode.UNAVAILABLE,
                errors_pb2.ERROR_REASON_SERVER_NOT_READY,
                f"the trainer is not ready: {'; '.join(reasons)}",
            )

    async def stop(self) -> None:
        """Stops the jobs, which go on at the next start, and releases everything."""
        self._reasons = ["stopping"]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._executor.close()
        if self._tasks:
            await self._release_jobs()
        await self.scorer.close()
        # Off the loop: what runs there may be handing a batch to the loop.
        await asyncio.to_thread(self.sampling.close)
        self.database.close()
        self.state.close()

    async def _resolve_base_models(self) -> None:
        cache = self.state.path / "base-models"
        self.bases.update(
            await self.sampling.run(lambda: base_models.resolve(self.config.base_models, cache))
        )

    async def _when_there_is_room(self, work: Callable[[], Awaitable[None]]) -> None:
        """Tries again while the volume is full."""
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
            # They are ours still when we start again, and another trainer's when the lease ends.
            log.warning("the jobs stay claimed", reason=error.message)

    async def _on_cancel(self, _operation: operations.OperationRow) -> None:
        self.jobs.wake()


def _environment(config: TrainerConfig) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": str(config.threads)} if config.threads else {}
    # Jobs reach nothing but the scorer; warnings of parallel tokenisers are no use in a log.
    return {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **threads}
