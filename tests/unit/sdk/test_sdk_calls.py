"""Calls over a real channel: what travels, what comes back, what is tried again."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

import palmfolio
from palmfolio._calls import selector, services
from palmfolio.v1 import prompts_pb2, scorer_pb2, selector_pb2, trainer_pb2, types_pb2
from tests.support.sdk_peer import Peer, abort

SAMPLES = [palmfolio.Sample("hello", "hi there")]


def _reward(*_: Any) -> scorer_pb2.ScoreResponse:
    matrix = types_pb2.RewardMatrix(traits=["a"], trait_versions=["1"], raw=[3], normalised=[0.5])
    matrix.statuses.add()
    return scorer_pb2.ScoreResponse(rewards=matrix)


def _failing(times: int, code: grpc.StatusCode, *details: Any) -> Any:
    left = [times]

    def handler(request: Any, context: grpc.ServicerContext) -> Any:
        if left[0] > 0:
            left[0] -= 1
            abort(context, code, "not now", *details)
        return _reward()

    return handler


def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(round(seconds * 1000))
    return info


def test_samples_and_traits_travel(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("Score", _reward)
    rewards = client.scorer.score(SAMPLES, traits=["a"])
    (request,) = peer.requests("Score")
    assert (request.samples[0].prompt.text, request.samples[0].response) == ("hello", "hi there")
    assert list(request.traits) == ["a"]
    assert rewards.normalised == ((0.5,),)


def test_unavailable_is_tried_again_under_the_same_ids(
    peer: Peer, client: palmfolio.Client
) -> None:
    failures = [2]

    def handler(request: Any, context: grpc.ServicerContext) -> prompts_pb2.PromptSet:
        if failures[0] > 0:
            failures[0] -= 1
            abort(context, grpc.StatusCode.UNAVAILABLE, "restarting")
        return prompts_pb2.PromptSet(name="promptSets/1")

    peer.on("CreatePromptSet", handler)
    assert client.selector.create_prompt_set(["p"]).name == "promptSets/1"
    requests = peer.requests("CreatePromptSet")
    assert len(requests) == 3
    assert len({request.request_id for request in requests}) == 1
    traces = {metadata["x-request-id"] for metadata in peer.metadata("CreatePromptSet")}
    assert traces == {requests[0].request_id}


@pytest.mark.slow
def test_unavailable_is_tried_five_times_at_most(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("Score", _failing(100, grpc.StatusCode.UNAVAILABLE))
    with pytest.raises(palmfolio.Unavailable):
        client.scorer.score(SAMPLES)
    assert len(peer.requests("Score")) == 5


def test_overload_is_tried_again_when_the_service_says_when(
    peer: Peer, client: palmfolio.Client
) -> None:
    peer.on("Score", _failing(2, grpc.StatusCode.RESOURCE_EXHAUSTED, _retry_info(0.01)))
    assert client.scorer.score(SAMPLES).normalised == ((0.5,),)
    assert len(peer.requests("Score")) == 3
    assert len({metadata["x-request-id"] for metadata in peer.metadata("Score")}) == 1


def test_overload_is_raised_at_once_when_the_wait_is_past_the_deadline(
    peer: Peer, client: palmfolio.Client
) -> None:
    peer.on("Score", _failing(100, grpc.StatusCode.RESOURCE_EXHAUSTED, _retry_info(3600)))
    with pytest.raises(palmfolio.ResourceExhausted) as caught:
        client.scorer.score(SAMPLES, timeout=60)
    assert caught.value.retry_after == 3600
    assert len(peer.requests("Score")) == 1


def test_overload_without_a_hint_is_raised(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("Score", _failing(100, grpc.StatusCode.RESOURCE_EXHAUSTED))
    with pytest.raises(palmfolio.ResourceExhausted):
        client.scorer.score(SAMPLES)
    assert len(peer.requests("Score")) == 1


def test_other_errors_are_not_tried_again(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("Score", _failing(100, grpc.StatusCode.INTERNAL))
    with pytest.raises(palmfolio.ServerFault):
        client.scorer.score(SAMPLES)
    assert len(peer.requests("Score")) == 1


@pytest.mark.slow
def test_a_deadline_reaches_the_server_and_the_caller(peer: Peer, client: palmfolio.Client) -> None:
    remaining: list[float] = []
    over = threading.Event()

    def handler(request: Any, context: grpc.ServicerContext) -> Any:
        remaining.append(context.time_remaining())
        over.wait(10)
        return _reward()

    peer.on("Score", handler)
    with pytest.raises(TimeoutError, match="in time"):
        client.scorer.score(SAMPLES, timeout=2)
    over.set()
    assert remaining[0] < 3


def test_pages_are_joined(peer: Peer, client: palmfolio.Client) -> None:
    pages = {"": (["a", "b"], "t1"), "t1": ([], "t2"), "t2": (["c"], "")}

    def handler(request: Any, context: grpc.ServicerContext) -> Any:
        names, token = pages[request.page_token]
        traits = [scorer_pb2.Trait(name=f"traits/{name}") for name in names]
        return scorer_pb2.ListTraitsResponse(traits=traits, next_page_token=token)

    peer.on("ListTraits", handler)
    assert [trait.name for trait in client.scorer.list_traits()] == ["a", "b", "c"]


def _completion(policy: str, prompt: int, sample: int) -> trainer_pb2.Completion:
    return trainer_pb2.Completion(
        policy=f"policies/{policy}",
        prompt_index=prompt,
        sample_index=sample,
        text=f"{policy}{prompt}{sample}",
        finish_reason=trainer_pb2.FINISH_REASON_STOP,
    )


def test_completions_are_put_in_the_order_of_the_request(
    peer: Peer, client: palmfolio.Client
) -> None:
    def handler(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield trainer_pb2.GenerateResponse(
            completions=[_completion("a", 1, 0), _completion("b", 0, 0)]
        )
        yield trainer_pb2.GenerateResponse(
            completions=[_completion("b", 1, 0), _completion("a", 0, 0)]
        )

    peer.on("Generate", handler)
    completions = client.trainer.generate(["b", "policies/a"], ["p", "q"])
    assert [item.text for item in completions] == ["b00", "b10", "a00", "a10"]
    assert list(peer.requests("Generate")[0].policies) == ["policies/b", "policies/a"]


def test_dropping_a_stream_cancels_it(peer: Peer, client: palmfolio.Client) -> None:
    cancelled = threading.Event()

    def handler(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(cancelled.set)
        while context.is_active():
            yield trainer_pb2.GenerateResponse(completions=[_completion("a", 0, 0)])
            time.sleep(0.01)

    peer.on("Generate", handler)
    stream = client.trainer.generate_stream(["a"], ["p"])
    next(stream)
    stream.close()
    assert cancelled.wait(10)


def test_ids_become_resource_names(peer: Peer, client: palmfolio.Client) -> None:
    peer.on("Route", lambda request, context: selector_pb2.RouteResponse(policy="policies/a"))
    for name in ("quickstart", "portfolios/quickstart"):
        assert client.selector.route(name, {"a": 1.0}).policy == "policies/a"
    names = [request.portfolio for request in peer.requests("Route")]
    assert names == ["portfolios/quickstart"] * 2


def test_the_token_travels(peer: Peer, endpoints: dict[str, str]) -> None:
    peer.on("Score", _reward)
    with palmfolio.Client(endpoints, token="secret") as client:
        client.scorer.score(SAMPLES)
    assert peer.metadata("Score")[0]["authorization"] == "Bearer secret"


def test_a_batch_over_the_message_limit_is_an_error_that_can_be_caught(
    peer: Peer, client: palmfolio.Client
) -> None:
    peer.on("Score", _reward)
    with pytest.raises(palmfolio.ResourceExhausted):
        client.scorer.score([palmfolio.Sample("p", "x" * 17_000_000)])


async def test_the_async_client_does_the_same(peer: Peer, endpoints: dict[str, str]) -> None:
    peer.on("Score", _failing(1, grpc.StatusCode.RESOURCE_EXHAUSTED, _retry_info(0.01)))
    peer.on(
        "ListTraits",
        lambda request, context: scorer_pb2.ListTraitsResponse(
            traits=[scorer_pb2.Trait(name="traits/a")]
        ),
    )
    peer.on(
        "GetPortfolio",
        lambda request, context: abort(context, grpc.StatusCode.NOT_FOUND, "no such portfolio"),
    )
    async with palmfolio.AsyncClient(endpoints) as client:
        assert (await client.scorer.score(SAMPLES)).normalised == ((0.5,),)
        assert [trait.name async for trait in client.scorer.list_traits()] == ["a"]
        with pytest.raises(LookupError, match="no such portfolio"):
            await client.selector.get_portfolio("x")


def test_a_call_has_one_request_id() -> None:
    call = services.server_info("scorer")
    first, again = call.request_id, call.request_id
    assert first and first == again
    assert call.request_id != services.server_info("scorer").request_id
    created = selector.create_prompt_set(["p"], "", None)
    assert created.request_id == created.request.request_id
