"""`google.longrunning.Operations` over the store."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import empty_pb2

from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import invalid_argument
from palmfolio_runtime.operations import store
from palmfolio_runtime.operations.tables import OperationRow, OperationState
from palmfolio_runtime.operations.watch import Changes
from palmfolio_runtime.serving.rpc_types import Context

SERVICE_NAME = "google.longrunning.Operations"


class OperationsServicer(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]
    """Get, List, Cancel, Wait and Delete.

    Args:
        database: where the operations are.
        changes: notified after each change of an operation.
        on_cancel: called with the operation after its cancellation was stored.
        max_bytes: of one gRPC message.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        on_cancel: Callable[[OperationRow], Awaitable[None]],
        max_bytes: int,
    ) -> None:
        self._database = database
        self._changes = changes
        self._on_cancel = on_cancel
        self._max_bytes = max_bytes

    async def GetOperation(
        self, request: operations_pb2.GetOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        """The operation; NOT_FOUND when there is none."""
        return store.to_proto(await self._database.run(store.get, request.name))

    async def ListOperations(
        self, request: operations_pb2.ListOperationsRequest, context: Context
    ) -> operations_pb2.ListOperationsResponse:
        """Operations, newest first; the filter is empty, `done=true` or `done=false`."""
        done = _done_filter(request.filter)
        shown, token = await self._database.run(
            store.list_page, request.page_size, request.page_token, self._max_bytes, done
        )
        return operations_pb2.ListOperationsResponse(operations=shown, next_page_token=token)

    async def CancelOperation(
        self, request: operations_pb2.CancelOperationRequest, context: Context
    ) -> empty_pb2.Empty:
        """Asks a running operation to stop, without waiting for it; ignores a finished one."""
        row = await self._database.run(store.get, request.name)
        if await self._database.run(lambda s: store.request_cancel(s, store.get(s, request.name))):
            await self._on_cancel(row)
        return empty_pb2.Empty()

    async def WaitOperation(
        self, request: operations_pb2.WaitOperationRequest, context: Context
    ) -> operations_pb2.Operation:
        """The operation once it is done, or its state when the request's timeout has passed.

        A timeout of 0 answers at once; without one, the call's own deadline ends the wait.
        """
        seconds = math.inf
        if request.HasField("timeout"):
            seconds = request.timeout.seconds + request.timeout.nanos / 1e9
        if seconds < 0:
            raise invalid_argument(("timeout", f"{seconds:g} s is negative; 0 answers at once"))
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            row = await self._database.run(store.get, request.name)
            left = deadline - asyncio.get_running_loop().time()
            if row.state is not OperationState.RUNNING or left <= 0:
                return store.to_proto(row)
            # Another replica's change wakes nobody here, so the database is read every second.
            await self._changes.wait(min(1.0, left))

    async def DeleteOperation(
        self, request: operations_pb2.DeleteOperationRequest, context: Context
    ) -> empty_pb2.Empty:
        """Deletes a finished operation; FAILED_PRECONDITION while it runs."""
        await self._database.run(lambda s: store.delete(s, store.get(s, request.name)))
        return empty_pb2.Empty()


def _done_filter(text: str) -> bool | None:
    """Whether only operations that are done, or that are not, are asked for; None for both.

    Raises:
        ServiceError: INVALID_ARGUMENT for any other filter.
    """
    if not text.strip():
        return None
    match = re.fullmatch(r"\s*done\s*=\s*(true|false)\s*", text)
    if match is None:
        raise invalid_argument(("filter", f"{text!r} is not `done=true` or `done=false`"))
    return match[1] == "true"
