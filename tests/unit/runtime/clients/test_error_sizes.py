"""Every error fits into the metadata that it travels in, whatever a client sent."""

from collections.abc import Callable
from urllib.parse import quote

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st

from palmfolio.v1 import errors_pb2, scorer_pb2, scorer_pb2_grpc
from palmfolio_runtime import errors
from palmfolio_runtime.clients.channels import status_of
from palmfolio_runtime.clients.failures import CallRejected, DependencyDown, failure_of
from palmfolio_runtime.errors import ServiceError, shortened
from palmfolio_runtime.serving.interceptors import CallInterceptor

LONG, EMOJI, PERCENT = "x" * 40_000, "\N{GRINNING FACE}" * 20_000, "%" * 30_000
LARGE: dict[str, Callable[[], ServiceError]] = {
    "80 empty prompts": lambda: errors.invalid_argument(
        *((f"prompt_set.prompts[{index}]", "is empty") for index in range(80))
    ),
    "100,000 violations": lambda: errors.invalid_argument(
        *((f"samples[{index}].prompt", "contains a NUL character") for index in range(100_000))
    ),
    "a long field": lambda: errors.invalid_argument((f"traits[{LONG}]", "is unknown")),
    "a long description": lambda: errors.invalid_argument(("traits", f"{EMOJI} is unknown")),
    "many long ones": lambda: errors.invalid_argument(*[(PERCENT, EMOJI)] * 50),
    "a long resource": lambda: errors.not_found(f"policies/{LONG}", hint=EMOJI),
    "a long name that exists": lambda: errors.already_exists(
        f"portfolios/{EMOJI}", LONG, errors_pb2.ERROR_REASON_RESOURCE_EXISTS
    ),
    "long metadata": lambda: errors.failed_precondition(
        errors_pb2.ERROR_REASON_TARGET_INFEASIBLE, PERCENT, weights=LONG, best_gap=EMOJI
    ),
    "a full queue": lambda: errors.resource_exhausted(EMOJI, 1.0),
    "another service": lambda: errors.unavailable("scorer", PERCENT),
    "a token": lambda: errors.unauthenticated("\n" * 30_000),
    "a role": lambda: errors.permission_denied(EMOJI),
    "a cancellation": lambda: errors.cancelled(LONG),
}


class Failing(scorer_pb2_grpc.ScorerServicer):
    """Fails with the error of that name."""

    async def ListTraits(
        self, request: scorer_pb2.ListTraitsRequest, context: object
    ) -> scorer_pb2.ListTraitsResponse:
        """Raises."""
        raise LARGE[request.page_token]()


@pytest.mark.parametrize("name", LARGE)
async def test_a_large_error_arrives_as_what_it_is(name: str) -> None:
    """Over a real socket, with a request id as long as gRPC lets a client send."""
    server = aio.server(interceptors=[CallInterceptor()])
    scorer_pb2_grpc.add_ScorerServicer_to_server(Failing(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = scorer_pb2_grpc.ScorerStub(channel)
            with pytest.raises(aio.AioRpcError) as failed:
                await stub.ListTraits(
                    scorer_pb2.ListTraitsRequest(page_token=name),
                    metadata=(("x-request-id", "i" * 7000),),
                    timeout=20,
                )
        expected = LARGE[name]()
        assert failed.value.code() is expected.code
        assert status_of(failed.value) == expected.to_status()
    finally:
        await server.stop(None)


@pytest.mark.parametrize("name", LARGE)
def test_every_error_is_within_its_bytes(name: str) -> None:
    status = LARGE[name]().to_status()
    on_the_wire = len(quote(status.message, safe=" ")) + len(status.SerializeToString()) * 4 / 3
    assert on_the_wire < 7_500


def test_the_first_violations_are_listed_with_the_number_of_the_others() -> None:
    error = errors.invalid_argument(*((f"prompts[{i}]", "is empty") for i in range(400)))
    (detail,) = error.details
    assert isinstance(detail, error_details_pb2.BadRequest)
    shown = [violation.field for violation in detail.field_violations]
    assert shown == [f"prompts[{index}]" for index in range(len(shown))] and len(shown) >= 20
    assert error.message.startswith("prompts[0]: is empty; prompts[1]: is empty; ")
    assert error.message.endswith(f"; and {400 - len(shown)} more")


def test_few_violations_are_all_listed_in_full() -> None:
    error = errors.invalid_argument(("a", "is one"), ("b", "is two"))
    assert error.message == "a: is one; b: is two"


@given(st.text(max_size=60), st.integers(4, 200))
def test_shortening(text: str, size: int) -> None:
    kept = shortened(text, size)
    if len(quote(text, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}~")) <= size:
        assert kept == text
    else:
        assert kept.endswith("…") and text.startswith(kept[:-1])
        assert len(quote(kept, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}~")) <= max(size, 9)


async def test_a_message_that_is_too_large_is_refused_for_good() -> None:
    """gRPC gives both the same code; only a full service may be asked again."""
    server = aio.server(options=[("grpc.max_receive_message_length", 1000)])
    scorer_pb2_grpc.add_ScorerServicer_to_server(Failing(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(
            f"127.0.0.1:{port}", [("grpc.max_send_message_length", 2000)]
        ) as channel:
            stub = scorer_pb2_grpc.ScorerStub(channel)
            for size in (1500, 3000):
                with pytest.raises(aio.AioRpcError) as failed:
                    await stub.ListTraits(scorer_pb2.ListTraitsRequest(page_token="x" * size))
                assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert isinstance(failure_of("scorer", failed.value), CallRejected)
    finally:
        await server.stop(None)


async def test_a_full_service_may_be_asked_again() -> None:
    server = aio.server(interceptors=[CallInterceptor()])
    scorer_pb2_grpc.add_ScorerServicer_to_server(Failing(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(aio.AioRpcError) as failed:
                await scorer_pb2_grpc.ScorerStub(channel).ListTraits(
                    scorer_pb2.ListTraitsRequest(page_token="a full queue")
                )
            assert isinstance(failure_of("scorer", failed.value), DependencyDown)
    finally:
        await server.stop(None)
