"""Operations: results, failures, and watches that survive a dropped connection."""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import error_details_pb2, status_pb2

import palmfolio
from palmfolio.v1 import portfolios_pb2, trainer_pb2
from tests.support.sdk_peer import Peer, abort

NAME = "operations/1"
SPEC = palmfolio.PolicySpec(base_model="base", weights={"a": 1.0}, prompts=("p",))


def _running() -> operations_pb2.Operation:
    return operations_pb2.Operation(name=NAME)


def _succeeded() -> operations_pb2.Operation:
    operation = operations_pb2.Operation(name=NAME, done=True)
    operation.response.Pack(
        trainer_pb2.Policy(name="policies/x", state=trainer_pb2.POLICY_STATE_READY)
    )
    return operation


def _failed(code: int, reason: str) -> operations_pb2.Operation:
    error = status_pb2.Status(code=code, message="it ended badly")
    error.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="palmfolio"))
    return operations_pb2.Operation(name=NAME, done=True, error=error)


def _start(peer: Peer, client: palmfolio.Client) -> palmfolio.Training:
    peer.on("TrainPolicy", lambda request, context: _running())
    return client.trainer.train_policy(SPEC)


def test_result_waits_and_returns_the_value(peer: Peer, client: palmfolio.Client) -> None:
    answers = [_running(), _succeeded()]
    peer.on("WaitOperation", lambda request, context: answers.pop(0))
    operation = _start(peer, client)
    assert not operation.done
    policy = operation.result()
    assert (policy.name, policy.state) == ("policies/x", palmfolio.PolicyState.READY)
    assert operation.done
    assert peer.requests("WaitOperation")[0].name == NAME


def test_a_finished_operation_is_not_asked_for_again(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("TrainPolicy", lambda request, context: _succeeded())
    assert client.trainer.train_policy(SPEC).result().name == "policies/x"
    assert peer.requests("WaitOperation") == []


def test_result_raises_what_the_operation_ended_with(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("WaitOperation", lambda request, context: _failed(9, "TRAINING_FAILED"))
    operation = _start(peer, client)
    operation.wait()
    with pytest.raises(palmfolio.FailedPrecondition, match="ended badly") as caught:
        operation.result()
    assert caught.value.reason == "TRAINING_FAILED"


def test_a_cancelled_operation_raises_cancelled(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("CancelOperation", lambda request, context: empty_pb2.Empty())
    peer.on("WaitOperation", lambda request, context: _failed(1, "OPERATION_CANCELLED"))
    operation = _start(peer, client)
    operation.cancel()
    with pytest.raises(palmfolio.Cancelled):
        operation.result()
    assert peer.requests("CancelOperation")[0].name == NAME


def test_wait_times_out(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("WaitOperation", lambda request, context: _running())
    with pytest.raises(palmfolio.DeadlineExceeded, match="still running"):
        _start(peer, client).wait(timeout=0.2)


@pytest.mark.slow
def test_wait_outlives_a_restart_of_the_service(peer: Peer, client: palmfolio.Client) -> None:
    failures = [7]

    def handler(request: Any, context: grpc.ServicerContext) -> Any:
        if failures[0] > 0:
            failures[0] -= 1
            abort(context, grpc.StatusCode.UNAVAILABLE, "restarting")
        return _succeeded()

    peer.on("WaitOperation", handler)
    assert _start(peer, client).result().name == "policies/x"


def test_a_response_of_another_kind_is_an_error(peer: Peer, client: palmfolio.Client) -> None:
    operation = operations_pb2.Operation(name=NAME, done=True)
    operation.response.Pack(portfolios_pb2.Portfolio(name="portfolios/x"))
    peer.on("TrainPolicy", lambda request, context: operation)
    with pytest.raises(palmfolio.ServerFault, match="instead of a Policy"):
        client.trainer.train_policy(SPEC).result()


def _dropping_watch(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    """Events 1 to 5; the connection drops after two."""
    for number in range(request.after_event + 1, 6):
        if number == request.after_event + 3:
            abort(context, grpc.StatusCode.UNAVAILABLE, "connection dropped")
        yield trainer_pb2.TrainingEvent(
            number=number, progress=trainer_pb2.TrainingProgress(step=number, steps=5)
        )


def test_a_watch_is_taken_up_after_the_last_event(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("WatchTraining", _dropping_watch)
    events = list(_start(peer, client).events())
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.progress.step for event in events] == [1, 2, 3, 4, 5]
    assert [request.after_event for request in peer.requests("WatchTraining")] == [0, 2, 4]


def test_a_watch_starts_where_it_is_told_to(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("WatchTraining", _dropping_watch)
    assert [event.number for event in _start(peer, client).events(after=4)] == [5]


def test_a_watch_that_ends_for_a_reason_is_not_taken_up(
    peer: Peer, client: palmfolio.Client
) -> None:
    peer.on(
        "WatchTraining",
        lambda request, context: abort(context, grpc.StatusCode.NOT_FOUND, "no such operation"),
    )
    with pytest.raises(palmfolio.NotFound):
        list(_start(peer, client).events())
    assert len(peer.requests("WatchTraining")) == 1


def test_operations_are_found_again_by_name(peer: Peer, client: palmfolio.Client) -> None:
    finished = operations_pb2.Operation(name=NAME, done=True)
    finished.response.Pack(portfolios_pb2.Portfolio(name="portfolios/x"))
    peer.on("GetOperation", lambda request, context: finished)
    peer.on(
        "ListOperations",
        lambda request, context: operations_pb2.ListOperationsResponse(operations=[finished]),
    )
    assert client.selector.operation("1").result().name == "portfolios/x"
    assert peer.requests("GetOperation")[0].name == NAME
    assert [operation.name for operation in client.selector.list_operations()] == [NAME]


async def test_async_operations_do_the_same(peer: Peer, endpoints: dict[str, str]) -> None:
    answers = [_running(), _succeeded()]
    released = threading.Event()

    def wait(request: Any, context: grpc.ServicerContext) -> Any:
        released.wait(10)
        return answers.pop(0)

    peer.on("TrainPolicy", lambda request, context: _running())
    peer.on("WaitOperation", wait)
    peer.on("WatchTraining", _dropping_watch)
    async with palmfolio.AsyncClient(endpoints) as client:
        operation = await client.trainer.train_policy(SPEC)
        assert [event.number async for event in operation.events()] == [1, 2, 3, 4, 5]
        released.set()
        assert (await operation.result()).name == "policies/x"
