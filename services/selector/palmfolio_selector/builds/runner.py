"""Starts, resumes, cancels and ends the builds of a server."""

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any

from google.rpc import status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2
from palmfolio_runtime import errors, names, operations
from palmfolio_runtime.clients.failures import CallError
from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.operations import OperationRow, OperationState
from palmfolio_selector.builds.actions import train
from palmfolio_selector.builds.context import BuildContext, BuildFailed, ServerParts
from palmfolio_selector.builds.events import EventDraft
from palmfolio_selector.builds.loop import BuildLoop
from palmfolio_selector.store import portfolios
from palmfolio_selector.store.builds import KIND
from palmfolio_selector.store.measurement import spec_of
from palmfolio_selector.store.tables import PortfolioState

log = get_logger(__name__)


class Builds:
    """Runs one task per build."""

    def __init__(self, server: ServerParts) -> None:
        self._server = server
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def resume(self) -> None:
        """Goes on with every build that has not ended, unless it runs already."""
        rows = await self._server.database.run(operations.unfinished, KIND)
        for row in rows:
            if row.id in self._tasks:
                continue
            if row.cancel_requested:
                # The server stopped before it acted on the request.
                await self.cancel(row)
            else:
                self.launch(row)

    def launch(self, operation: OperationRow) -> None:
        """Starts the task of an operation."""
        self._start(operation, self._run(operation))

    async def cancel(self, operation: OperationRow) -> None:
        """Ends a build as cancelled, with the trainings for which no other build waits."""
        self._start(operation, self._cancel(operation, self._tasks.get(operation.id)))

    async def stop(self) -> None:
        """Stops every task; the builds go on when the server starts again."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, operation: OperationRow, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"build {operation.resource}")
        self._tasks[operation.id] = task

        def forget(_: asyncio.Task[None]) -> None:
            # A cancellation replaces the task of the build; the replaced one removes nothing.
            if self._tasks.get(operation.id) is task:
                del self._tasks[operation.id]

        task.add_done_callback(forget)

    async def _loop_of(self, operation: OperationRow) -> BuildLoop:
        identifier = names.PORTFOLIOS.id(operation.resource)
        database = self._server.database
        row = await database.until_usable(lambda: database.run(portfolios.get, identifier))
        return BuildLoop(self._server, identifier, operation.id, spec_of(row))

    async def _cancel(self, operation: OperationRow, running: asyncio.Task[None] | None) -> None:
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        loop = await self._loop_of(operation)
        status = errors.cancelled(
            f"{names.OPERATIONS.name(operation.id)} was cancelled"
        ).to_status()
        await self._end(loop.context, status, cancelled=True)

    async def _run(self, operation: OperationRow) -> None:
        loop = await self._loop_of(operation)
        context = loop.context
        try:
            await loop.run()
        except BuildFailed as error:
            await self._end(context, error.status, cancelled=False)
        except Exception:  # a bug must not leave the operation running for ever
            identifier = uuid.uuid4().hex
            log.exception("build failed", portfolio=context.portfolio, request_id=identifier)
            await self._end(context, errors.internal(identifier).to_status(), cancelled=False)

    async def _end(
        self, context: BuildContext, status: status_pb2.Status, *, cancelled: bool
    ) -> None:
        database = self._server.database
        # Before the operation ends: a server that starts again looks at running builds only.
        try:
            await database.until_usable(lambda: train.release(context))
        except CallError as error:
            log.warning("trainings were not cancelled", error=str(error))
        await database.until_usable(
            lambda: context.commit(_store_end, context, status, cancelled=cancelled)
        )


def _store_end(
    session: Session, context: BuildContext, status: status_pb2.Status, *, cancelled: bool
) -> None:
    """Ends a build that cannot go on, or that was cancelled."""
    operation = operations.get(session, names.OPERATIONS.name(context.operation))
    if operation.state is not OperationState.RUNNING:
        return
    row = portfolios.find(session, context.portfolio)
    # A portfolio that was deleted, or is being built by a later operation, stays as it is.
    if row is not None and row.operation == context.operation:
        row.state = PortfolioState.FAILED
        row.error = status.SerializeToString()
    message = "cancelled" if cancelled else f"failed: {status.message}"
    context.append(session, EventDraft(portfolios_pb2.BUILD_STAGE_DONE, message))
    if cancelled:
        operations.cancel(session, operation)
    else:
        operations.fail(session, operation, status)
