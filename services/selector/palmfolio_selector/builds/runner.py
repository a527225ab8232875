"""The builds that a server runs: started, resumed, cancelled, ended."""

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any

from google.rpc import status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, selector_pb2
from palmfolio_runtime import errors, names, operations
from palmfolio_runtime.clients.failures import CallError
from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.operations import OperationRow
from palmfolio_selector.builds import events, state
from palmfolio_selector.builds.actions import select, train
from palmfolio_selector.builds.context import BuildContext, BuildFailed, Tools
from palmfolio_selector.builds.loop import BuildLoop
from palmfolio_selector.domain.strategies import first_trainings
from palmfolio_selector.store import portfolios, prompt_sets
from palmfolio_selector.store.tables import PortfolioState

log = get_logger(__name__)

KIND = "build_portfolio"
_METHOD = "BuildPortfolio"


def begin(
    session: Session,
    request: selector_pb2.BuildPortfolioRequest,
    spec: selector_pb2.PortfolioSpec,
    most: int,
) -> tuple[OperationRow, bool]:
    """The operation that answers a request, and whether it is a new one.

    Args:
        request: as the client sent it.
        spec: its spec in canonical form.
        most: the number of trainings that the build may start.

    Raises:
        ServiceError: ALREADY_EXISTS for an id that has another spec, or a request id that was used
            with another body; NOT_FOUND for an unknown prompt set.
    """
    known = operations.find_request(session, _METHOD, request.request_id, request)
    if known is not None:
        return operations.get(session, known), False
    for name in (spec.training_prompt_set, spec.evaluation_prompt_set):
        prompt_sets.get(session, names.PROMPT_SETS.id(name))
    row = portfolios.find(session, request.portfolio_id)
    name = names.PORTFOLIOS.name(request.portfolio_id)
    if row is not None and row.spec != spec.SerializeToString(deterministic=True):
        raise errors.already_exists(
            name,
            f"{name} exists with another spec; use another id, or delete it first",
            errors_pb2.ERROR_REASON_RESOURCE_EXISTS,
        )
    # Operations can be deleted; what they made is then found again by a new one.
    operation = session.get(OperationRow, row.operation) if row is not None else None
    if row is not None and operation is not None and row.state is not PortfolioState.FAILED:
        is_new = False
    else:
        if row is None:
            row = portfolios.add(session, request.portfolio_id, spec)
            portfolios.want_trainings(session, row.id, first_trainings(spec, most))
        operation = operations.create(
            session, KIND, name, selector_pb2.BuildPortfolioMetadata(portfolio=name)
        )
        operations.set_metadata(session, operation, events.metadata(operation))
        portfolios.restart(session, row, operation.id)
        is_new = True
    operations.remember_request(
        session, _METHOD, request.request_id, request, names.OPERATIONS.name(operation.id)
    )
    return operation, is_new


class Builds:
    """Runs one task per build."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def resume(self) -> None:
        """Goes on with every build that has not ended, unless it runs already."""
        rows = await self._tools.database.run(operations.unfinished, KIND)
        for row in rows:
            if row.id in self._tasks:
                continue
            if row.cancel_requested:
                await self.cancel(row)
            else:
                self.launch(row)

    def launch(self, operation: OperationRow) -> None:
        """Starts the task of an operation."""
        self._start(operation, self._run(operation))

    async def cancel(self, operation: OperationRow) -> None:
        """Has a build end as cancelled, and its trainings unless another build waits for them."""
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
            if self._tasks.get(operation.id) is task:
                del self._tasks[operation.id]

        task.add_done_callback(forget)

    async def _loop_of(self, operation: OperationRow) -> BuildLoop:
        identifier = names.PORTFOLIOS.id(operation.resource)
        database = self._tools.database
        row = await database.patiently(lambda: database.run(portfolios.get, identifier))
        return BuildLoop(self._tools, identifier, operation.id, state.spec_of(row))

    async def _cancel(self, operation: OperationRow, running: asyncio.Task[None] | None) -> None:
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        loop = await self._loop_of(operation)
        status = errors.cancelled(f"operations/{operation.id} was cancelled").to_status()
        await self._end(loop.context, status, cancelled=True)

    async def _run(self, operation: OperationRow) -> None:
        loop = await self._loop_of(operation)
        context = loop.context
        try:
            await loop.run()
        except BuildFailed as error:
            await self._end(context, error.status, cancelled=False)
        except Exception:  # a fault of ours must not leave the build running for ever
            identifier = uuid.uuid4().hex
            log.exception("build failed", portfolio=context.portfolio, request_id=identifier)
            await self._end(context, errors.internal(identifier).to_status(), cancelled=False)

    async def _end(
        self, context: BuildContext, status: status_pb2.Status, *, cancelled: bool
    ) -> None:
        database = self._tools.database
        try:
            await database.patiently(lambda: train.release(context))
        except CallError as error:
            log.warning("trainings were not cancelled", error=str(error))
        await database.patiently(
            lambda: database.run(select.end_failed, context, status, cancelled=cancelled)
        )
        await self._tools.changes.notify()
