"""Functions over a session that read and change operations."""

import hashlib
import time
import uuid
from collections.abc import Callable, Sequence

from google.longrunning import operations_pb2
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import status_pb2
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2
from palmfolio_runtime import errors, names
from palmfolio_runtime.operations.tables import EventRow, OperationRow, OperationState, RequestRow
from palmfolio_runtime.pages import Listing

_LISTING = Listing("operations", float, str)


def _packed(message: Message) -> bytes:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed.SerializeToString()


def create(session: Session, kind: str, resource: str, metadata: Message) -> OperationRow:
    """Adds a running operation that makes `resource`."""
    row = OperationRow(
        id=uuid.uuid4().hex,
        kind=kind,
        resource=resource,
        state=OperationState.RUNNING,
        details=_packed(metadata),
        created=time.time(),
    )
    session.add(row)
    session.flush()
    return row


def get(session: Session, name: str) -> OperationRow:
    """The operation `operations/{id}`.

    Raises:
        ServiceError: INVALID_ARGUMENT or NOT_FOUND.
    """
    row = session.get(OperationRow, names.OPERATIONS.parse(name, "name"))
    if row is None:
        raise errors.not_found(name)
    return row


def unfinished(session: Session, kind: str) -> Sequence[OperationRow]:
    """The running operations of a kind, oldest first."""
    query = select(OperationRow).where(
        OperationRow.kind == kind, OperationRow.state == OperationState.RUNNING
    )
    return session.scalars(query.order_by(OperationRow.created, OperationRow.id)).all()


def list_page(
    session: Session,
    page_size: int,
    page_token: str,
    max_bytes: int,
    done: bool | None = None,
) -> tuple[list[operations_pb2.Operation], str]:
    """One page of operations, newest first, and the next page's token (empty on the last).

    Args:
        max_bytes: of one gRPC message.
        done: only operations that are done, or that are not; None for both.
    """
    running = OperationRow.state == OperationState.RUNNING
    condition = None if done is None else ~running if done else running
    filters = {} if done is None else {"done": done}
    return _LISTING.newest_first(
        session, OperationRow, page_size, page_token, to_proto, max_bytes, condition, filters
    )


def set_metadata(session: Session, row: OperationRow, metadata: Message) -> None:
    """Replaces the operation's metadata."""
    row.details = _packed(metadata)


def succeed(session: Session, row: OperationRow, response: Message) -> None:
    """Ends a running operation with its response; a finished one does not change."""
    if row.state is OperationState.RUNNING:
        row.state = OperationState.SUCCEEDED
        row.response = _packed(response)


def fail(session: Session, row: OperationRow, status: status_pb2.Status) -> None:
    """Ends a running operation with an error; a finished one does not change."""
    if row.state is OperationState.RUNNING:
        row.state = OperationState.FAILED
        row.error = status.SerializeToString()


def cancel(session: Session, row: OperationRow) -> None:
    """Ends a running operation as cancelled; a finished one does not change."""
    if row.state is OperationState.RUNNING:
        row.state = OperationState.CANCELLED
        message = f"operations/{row.id} was cancelled"
        row.error = errors.cancelled(message).to_status().SerializeToString()


def request_cancel(session: Session, row: OperationRow) -> bool:
    """Stores that a running operation should be cancelled; False when it is finished."""
    if row.state is not OperationState.RUNNING:
        return False
    row.cancel_requested = True
    return True


def delete(session: Session, row: OperationRow) -> None:
    """Deletes a finished operation and its events.

    Raises:
        ServiceError: FAILED_PRECONDITION while it runs.
    """
    if row.state is OperationState.RUNNING:
        raise errors.failed_precondition(
            errors_pb2.ERROR_REASON_RESOURCE_IN_USE,
            f"operations/{row.id} is running; cancel it first",
        )
    session.delete(row)


def append_event(
    session: Session, operation_id: str, make: Callable[[int], Message]
) -> Message | None:
    """Adds an event; `make` gets its number. None when the operation was deleted."""
    # The update locks the row: two writers never get the same number.
    number = session.scalar(
        update(OperationRow)
        .where(OperationRow.id == operation_id)
        .values(last_event=OperationRow.last_event + 1)
        .returning(OperationRow.last_event)
    )
    if number is None:
        return None
    event = make(number)
    payload = event.SerializeToString()
    session.add(EventRow(operation=operation_id, number=number, payload=payload))
    return event


def events_after(
    session: Session, operation_id: str, number: int, limit: int = 500
) -> tuple[Sequence[EventRow], bool]:
    """The events after `number`, at most `limit`, and whether the operation is finished."""
    row = session.get(OperationRow, operation_id)
    # Read before the events: a finished operation gets no more of them, so none is missed.
    finished = row is None or row.state is not OperationState.RUNNING
    query = select(EventRow).where(EventRow.operation == operation_id, EventRow.number > number)
    return session.scalars(query.order_by(EventRow.number).limit(limit)).all(), finished


def find_request(session: Session, method: str, request_id: str, body: Message) -> str | None:
    """What the same request answered before; None for a new one.

    Raises:
        ServiceError: INVALID_ARGUMENT for a malformed id, ALREADY_EXISTS when the id was used with
            another body.
    """
    row = session.get(RequestRow, (method, names.check_request_id(request_id)))
    if row is None:
        return None
    if row.body_digest != _body_digest(body):
        raise errors.already_exists(
            row.result,
            f"request_id {request_id!r} was used before with another body; "
            "use a new id for a new request",
            errors_pb2.ERROR_REASON_REQUEST_ID_REUSED,
        )
    return row.result


def remember_request(
    session: Session, method: str, request_id: str, body: Message, result: str
) -> None:
    """Stores what a request answered, so that its retry gets the same answer."""
    # Merged, not added: the row is there when the operation that it named was deleted since.
    session.merge(
        RequestRow(
            method=method, request_id=request_id, body_digest=_body_digest(body), result=result
        )
    )


def _body_digest(body: Message) -> str:
    # Deterministic: the entries of a map have no order.
    return hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest()


def to_proto(row: OperationRow) -> operations_pb2.Operation:
    """The operation as the protocol shows it."""
    operation = operations_pb2.Operation(
        name=names.OPERATIONS.name(row.id), done=row.state is not OperationState.RUNNING
    )
    operation.metadata.ParseFromString(row.details)
    if row.error is not None:
        operation.error.ParseFromString(row.error)
    elif row.response is not None:
        operation.response.ParseFromString(row.response)
    return operation
