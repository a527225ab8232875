"""Operations on SQLite and PostgreSQL: ends, pages, request ids, events."""

import asyncio
from collections.abc import Iterator
from unittest import mock

import pytest
from google.longrunning import operations_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, trainer_pb2
from palmfolio_runtime import operations
from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError, not_found
from palmfolio_runtime.operations import (
    Base,
    Changes,
    OperationRow,
    OperationsServicer,
    OperationState,
)
from palmfolio_runtime.serving.rpc_types import Context

MAX_BYTES = 2**24
METADATA = trainer_pb2.TrainPolicyMetadata(policy="policies/a")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


async def create(database: Database) -> OperationRow:
    return await database.run(operations.create, "train_policy", "policies/a", METADATA)


async def test_a_finished_operation_stays_as_it_is(database: Database) -> None:
    row = await create(database)
    name = f"operations/{row.id}"
    policy = trainer_pb2.Policy(name="policies/a")

    def finish(session: Session) -> None:
        operation = operations.get(session, name)
        operations.succeed(session, operation, policy)
        operations.fail(session, operation, not_found("policies/b").to_status())
        operations.cancel(session, operation)

    await database.run(finish)
    shown = await database.run(lambda s: operations.to_proto(operations.get(s, name)))
    assert shown.done
    response = trainer_pb2.Policy()
    assert shown.response.Unpack(response)
    assert response == policy


async def test_pages_show_every_operation_once(database: Database) -> None:
    made = [(await create(database)).id for _ in range(7)]
    seen, token = [], ""
    while True:
        shown, token = await database.run(operations.list_page, 3, token, MAX_BYTES)
        seen += [operation.name.removeprefix("operations/") for operation in shown]
        if not token:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize("token", ["?", "bm90IGEgdG9rZW4=", "\x00"])
async def test_a_foreign_page_token_is_refused(database: Database, token: str) -> None:
    with pytest.raises(ServiceError, match="page_token"):
        await database.run(operations.list_page, 3, token, MAX_BYTES)


async def test_a_request_id_answers_the_same_and_no_other_body(database: Database) -> None:
    body = trainer_pb2.GetPolicyRequest(name="policies/a")
    find, remember = operations.find_request, operations.remember_request
    assert await database.run(find, "TrainPolicy", "r1", body) is None
    await database.run(remember, "TrainPolicy", "r1", body, "operations/1")
    assert await database.run(find, "TrainPolicy", "r1", body) == "operations/1"
    assert await database.run(find, "BuildPortfolio", "r1", body) is None
    with pytest.raises(ServiceError) as caught:
        other = trainer_pb2.GetPolicyRequest(name="policies/b")
        await database.run(find, "TrainPolicy", "r1", other)
    assert caught.value.code.name == "ALREADY_EXISTS"


async def test_watching_resumes_and_ends_with_the_operation(database: Database) -> None:
    row = await create(database)
    changes = Changes()

    def event(number: int) -> portfolios_pb2.BuildEvent:
        return portfolios_pb2.BuildEvent(number=number, message=f"event {number}")

    async def write() -> None:
        for _ in range(5):
            await database.run(operations.append_event, row.id, event)
            await changes.notify()
            await asyncio.sleep(0.01)
        name = f"operations/{row.id}"
        await database.run(lambda s: operations.cancel(s, operations.get(s, name)))
        await changes.notify()

    writing = asyncio.create_task(write())
    seen = [
        portfolios_pb2.BuildEvent.FromString(payload).number
        async for payload in operations.watch(database, changes, f"operations/{row.id}", 2)
    ]
    await writing
    assert seen == [3, 4, 5]


async def test_wait_returns_at_its_timeout_and_cancel_is_told(database: Database) -> None:
    row = await create(database)
    told: list[str] = []
    context: Context = mock.create_autospec(Context)

    async def on_cancel(operation: OperationRow) -> None:
        told.append(operation.id)

    servicer = OperationsServicer(database, Changes(), on_cancel, MAX_BYTES)
    name = f"operations/{row.id}"
    wait = operations_pb2.WaitOperationRequest(name=name)
    wait.timeout.FromMilliseconds(20)
    assert not (await servicer.WaitOperation(wait, context)).done
    await servicer.CancelOperation(operations_pb2.CancelOperationRequest(name=name), context)
    assert told == [row.id]
    with pytest.raises(ServiceError, match="cancel it first"):
        await servicer.DeleteOperation(operations_pb2.DeleteOperationRequest(name=name), context)
    await database.run(lambda s: operations.cancel(s, operations.get(s, name)))
    finished = await database.run(operations.get, name)
    assert finished.state is OperationState.CANCELLED
    await servicer.DeleteOperation(operations_pb2.DeleteOperationRequest(name=name), context)
    with pytest.raises(ServiceError, match="does not exist"):
        await database.run(operations.get, name)


@pytest.mark.parametrize("after", [-1, 2**31 - 2, 2**40, 2**63 - 1])
async def test_event_numbers_have_64_bits(database: Database, after: int) -> None:
    operation = (await create(database)).id

    def append(session: Session) -> None:
        session.get_one(operations.OperationRow, operation).last_event = 2**40
        session.flush()
        operations.append_event(session, operation, lambda number: event_of(number))

    await database.run(append)
    events, _ = await database.run(operations.events_after, operation, after)
    assert [event.number for event in events] == ([2**40 + 1] if after <= 2**40 else [])


def event_of(number: int) -> trainer_pb2.TrainingEvent:
    return trainer_pb2.TrainingEvent(number=number)


@pytest.fixture
def servicer(database: Database) -> OperationsServicer:
    """The calls about operations, none of which is ever cancelled."""

    async def on_cancel(_: OperationRow) -> None:
        raise AssertionError("nothing is cancelled here")

    return OperationsServicer(database, Changes(), on_cancel, 40_000)


CONTEXT = mock.create_autospec(Context, instance=True)


@pytest.mark.parametrize("parts", [{}, {"seconds": 0}, {"nanos": 0}, {"nanos": 1}])
async def test_waiting_for_no_time_answers_at_once(
    database: Database, servicer: OperationsServicer, parts: dict[str, int]
) -> None:
    request = operations_pb2.WaitOperationRequest(name=f"operations/{(await create(database)).id}")
    request.timeout.SetInParent()
    for field, value in parts.items():
        setattr(request.timeout, field, value)
    async with asyncio.timeout(20):
        assert not (await servicer.WaitOperation(request, CONTEXT)).done


async def test_waiting_without_a_timeout_waits_for_the_end(
    database: Database, servicer: OperationsServicer
) -> None:
    row = await create(database)
    request = operations_pb2.WaitOperationRequest(name=f"operations/{row.id}")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await servicer.WaitOperation(request, CONTEXT)
    await database.run(lambda s: operations.cancel(s, operations.get(s, request.name)))
    assert (await servicer.WaitOperation(request, CONTEXT)).done


@pytest.mark.parametrize("seconds", [-1, -(10**11)])
async def test_a_negative_timeout_is_refused(
    database: Database, servicer: OperationsServicer, seconds: int
) -> None:
    request = operations_pb2.WaitOperationRequest(name=f"operations/{(await create(database)).id}")
    request.timeout.seconds = seconds
    with pytest.raises(ServiceError, match=r"timeout: .* is negative"):
        await servicer.WaitOperation(request, CONTEXT)


@pytest.mark.parametrize("seconds", [10**11, 10**18, 2**63 - 1])
async def test_a_timeout_of_any_length_can_be_waited_for(
    database: Database, servicer: OperationsServicer, seconds: int
) -> None:
    row = await create(database)
    request = operations_pb2.WaitOperationRequest(name=f"operations/{row.id}")
    request.timeout.seconds = seconds
    await database.run(lambda s: operations.cancel(s, operations.get(s, request.name)))
    assert (await servicer.WaitOperation(request, CONTEXT)).done


def _cancel(session: Session, name: str) -> None:
    operations.cancel(session, operations.get(session, name))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "both"),
        ("  ", "both"),
        ("done=true", "done"),
        (" done = true ", "done"),
        ("done=false", "running"),
    ],
)
async def test_operations_are_filtered(
    database: Database, servicer: OperationsServicer, text: str, wanted: str
) -> None:
    rows = [await create(database) for _ in range(5)]
    names = [f"operations/{row.id}" for row in rows]
    for name in names[:2]:
        await database.run(_cancel, name)
    seen, token = [], ""
    while True:
        request = operations_pb2.ListOperationsRequest(filter=text, page_size=1, page_token=token)
        page = await servicer.ListOperations(request, CONTEXT)
        seen += [operation.name for operation in page.operations]
        token = page.next_page_token
        if not token:
            break
    expected = {"both": names, "done": names[:2], "running": names[2:]}[wanted]
    assert seen == expected[::-1]


@pytest.mark.parametrize(
    "text", ["done", "done=yes", "state=done", "done=true OR done=false", "*", "DONE=true", "\0"]
)
async def test_a_filter_that_is_not_known_is_refused(
    servicer: OperationsServicer, text: str
) -> None:
    """It was ignored, and the answer was all operations."""
    with pytest.raises(ServiceError, match=r"filter: .* is not `done=true` or `done=false`"):
        await servicer.ListOperations(operations_pb2.ListOperationsRequest(filter=text), CONTEXT)


async def test_a_page_of_large_operations_fits_into_a_message(
    database: Database, servicer: OperationsServicer
) -> None:
    large = trainer_pb2.TrainPolicyMetadata(policy="policies/" + "a" * 9000)
    for _ in range(7):
        await database.run(operations.create, "train_policy", "policies/a", large)
    seen, token = 0, ""
    while True:
        request = operations_pb2.ListOperationsRequest(page_token=token)
        page = await servicer.ListOperations(request, CONTEXT)
        assert page.ByteSize() <= 40_000
        seen, token = seen + len(page.operations), page.next_page_token
        if not token:
            break
    assert seen == 7
