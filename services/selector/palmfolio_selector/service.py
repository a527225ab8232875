"""The selector as a service of the runtime."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from google.longrunning import operations_pb2_grpc
from grpc import aio

from palmfolio.v1 import selector_pb2, selector_pb2_grpc
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.clients.trainer import TrainerClient
from palmfolio_runtime.database import Database
from palmfolio_runtime.operations import Changes, OperationsServicer
from palmfolio_runtime.operations.servicer import SERVICE_NAME as OPERATIONS
from palmfolio_selector.builds.context import ServerParts
from palmfolio_selector.builds.runner import Builds
from palmfolio_selector.calls.readiness import ServerState
from palmfolio_selector.config import SelectorConfig
from palmfolio_selector.servicer import SelectorServicer


class SelectorService:
    """The service that the runtime starts, stops and asks for its readiness."""

    names: Sequence[str] = (
        selector_pb2.DESCRIPTOR.services_by_name["Selector"].full_name,
        OPERATIONS,
    )

    def __init__(self, config: SelectorConfig) -> None:
        if config.database_url is None and config.state_dir is not None:
            config.state_dir.mkdir(parents=True, exist_ok=True)
        self._server = ServerParts(
            config=config,
            database=Database(config.url),
            changes=Changes(),
            trainer=TrainerClient(
                config.trainer,
                config.limits,
                call_timeout_seconds=config.call_timeout_seconds,
                sampling_timeout_seconds=config.sampling_timeout_seconds,
            ),
            scorer=ScorerClient(
                config.scorer,
                config.limits,
                call_timeout_seconds=config.call_timeout_seconds,
                scoring_timeout_seconds=config.scoring_timeout_seconds,
            ),
            mathematics=ThreadPoolExecutor(2, thread_name_prefix="mathematics"),
        )
        self._state = ServerState(config.limits, self._server.database)
        self._builds = Builds(self._server)

    def register(self, server: aio.Server) -> None:
        """Adds the servicers."""
        parts = self._server
        selector_pb2_grpc.add_SelectorServicer_to_server(
            SelectorServicer(self._state, parts, self._builds), server
        )
        operations_pb2_grpc.add_OperationsServicer_to_server(
            OperationsServicer(
                parts.database,
                parts.changes,
                self._builds.cancel,
                parts.config.limits.max_message_bytes,
            ),
            server,
        )

    async def start(self) -> None:
        """Brings the schema up to date and goes on with unfinished builds."""
        database = self._server.database
        await database.open("palmfolio_selector.store")
        self._state.started = True
        await database.until_usable(self._builds.resume)

    def not_ready(self) -> Sequence[str]:
        """Why the selector takes no work; empty when it does."""
        return self._state.not_ready()

    async def stop(self) -> None:
        """Stops the builds where they are and closes the database."""
        await self._builds.stop()
        await self._server.trainer.close()
        await self._server.scorer.close()
        self._server.mathematics.shutdown(wait=False, cancel_futures=True)
        self._server.database.close()
