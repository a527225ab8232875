"""The clients of the scorer: kinds of failure, pages, and traits that are being loaded."""

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc import aio

from palmfolio.v1 import scorer_pb2, scorer_pb2_grpc
from palmfolio_runtime.clients.failures import (
    CallError,
    CallFaulted,
    CallRejected,
    DependencyDown,
)
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.clients.trainer import TrainerClient
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits


class ScriptedScorer(scorer_pb2_grpc.ScorerServicer):
    """Lists two pages of traits; fails calls with the code that a test sets."""

    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.loading = False
        self.address = ""

    async def ListTraits(
        self,
        request: scorer_pb2.ListTraitsRequest,
        context: "aio.ServicerContext[scorer_pb2.ListTraitsRequest, scorer_pb2.ListTraitsResponse]",
    ) -> scorer_pb2.ListTraitsResponse:
        """One trait a page."""
        if self.code is not None:
            await context.abort(self.code, "scripted")
        if not request.page_token:
            first = scorer_pb2.Trait(name="traits/brief", version="b1")
            return scorer_pb2.ListTraitsResponse(traits=[first], next_page_token="second")
        version = "" if self.loading else "w1"
        second = scorer_pb2.Trait(name="traits/warm", version=version)
        return scorer_pb2.ListTraitsResponse(traits=[second])


@pytest.fixture
async def scorer() -> AsyncIterator[ScriptedScorer]:
    """A scripted scorer on a real socket."""
    # The base class answers the calls that are not scripted; only its types say abstract.
    scripted = ScriptedScorer()  # type: ignore[abstract]
    server = aio.server()
    scorer_pb2_grpc.add_ScorerServicer_to_server(scripted, server)
    scripted.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield scripted
    await server.stop(None)


@pytest.fixture
async def client(scorer: ScriptedScorer) -> AsyncIterator[ScorerClient]:
    """A client of the scripted scorer."""
    connected = ScorerClient(Endpoint(address=scorer.address), Limits())
    yield connected
    await connected.close()


async def test_every_page_of_traits_is_read(client: ScorerClient) -> None:
    traits = await client.loaded_traits()
    assert {name: trait.version for name, trait in traits.items()} == {"brief": "b1", "warm": "w1"}


async def test_a_trait_that_is_being_loaded_is_waited_for(
    scorer: ScriptedScorer, client: ScorerClient
) -> None:
    scorer.loading = True
    assert set(await client.traits()) == {"brief", "warm"}
    with pytest.raises(DependencyDown, match="still loading warm") as failure:
        await client.loaded_traits()
    error = client.unavailable(failure.value)
    assert error.code is grpc.StatusCode.UNAVAILABLE
    assert scorer.address in error.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, DependencyDown),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, DependencyDown),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DependencyDown),
        (grpc.StatusCode.CANCELLED, DependencyDown),
        (grpc.StatusCode.ABORTED, DependencyDown),
        (grpc.StatusCode.INTERNAL, CallFaulted),
        (grpc.StatusCode.UNKNOWN, CallFaulted),
        (grpc.StatusCode.INVALID_ARGUMENT, CallRejected),
        (grpc.StatusCode.PERMISSION_DENIED, CallRejected),
    ],
)
async def test_failures_have_three_kinds(
    scorer: ScriptedScorer, client: ScorerClient, code: grpc.StatusCode, kind: type[CallError]
) -> None:
    scorer.code = code
    with pytest.raises(CallError) as failure:
        await client.traits()
    assert type(failure.value) is kind
    assert failure.value.code is code
    assert failure.value.reason == f"{code.name}: scripted"


async def test_a_trainer_that_is_not_there_is_down() -> None:
    client = TrainerClient(Endpoint(address="127.0.0.1:1"), Limits())
    with pytest.raises(DependencyDown) as failure:
        await client.base_models()
    assert failure.value.dependency == "trainer"
    await client.close()


def test_the_status_of_a_service_that_answers_is_kept() -> None:
    error = DependencyDown.because("trainer", "is starting")
    assert error.reason == "UNAVAILABLE: is starting"
