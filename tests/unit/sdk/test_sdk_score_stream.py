"""`score_stream` against a peer that breaks off, is overloaded, or does not answer."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

import palmfolio
from palmfolio.types import Sample
from palmfolio.v1 import scorer_pb2, types_pb2
from tests.support.sdk_peer import Peer, abort

Score = Callable[..., list[palmfolio.ScoredSample]]
SAMPLES = [Sample("p", "x" * (i % 23)) for i in range(500)]


@pytest.fixture(params=["threads", "asyncio"])
def score(request: pytest.FixtureRequest, endpoints: dict[str, str]) -> Score:
    """Everything that a client's `score_stream` yields."""

    def threads(samples: Any, timeouts: Any = None, **options: Any) -> Any:
        with palmfolio.Client(endpoints, timeouts=timeouts) as client:
            return list(client.scorer.score_stream(samples, **options))

    async def tasks(samples: Any, timeouts: Any = None, **options: Any) -> Any:
        async with palmfolio.AsyncClient(endpoints, timeouts=timeouts) as client:
            return [result async for result in client.scorer.score_stream(samples, **options)]

    if request.param == "threads":
        return threads
    return lambda *arguments, **options: asyncio.run(tasks(*arguments, **options))


@pytest.fixture(autouse=True)
def served(peer: Peer) -> None:
    peer.on("GetServerInfo", lambda *_: types_pb2.ServerInfo(limits={"max_samples": 50}))
    trait = scorer_pb2.Trait(name="traits/length", version="1")
    peer.on("ListTraits", lambda *_: scorer_pb2.ListTraitsResponse(traits=[trait]))


def _answer(request: scorer_pb2.ScoreStreamRequest) -> scorer_pb2.ScoreStreamResponse:
    raw = [float(len(item.sample.response)) for item in request.items]
    matrix = types_pb2.RewardMatrix(traits=["length"], trait_versions=["1"], raw=raw)
    matrix.normalised.extend([0.5] * len(raw))
    matrix.statuses.extend([types_pb2.SampleStatus()] * len(raw))
    return scorer_pb2.ScoreStreamResponse(ids=[item.id for item in request.items], rewards=matrix)


def _lengths(results: list[palmfolio.ScoredSample]) -> list[float]:
    return [result.raw[0] for result in results]


def test_the_traits_travel_once_and_by_name(peer: Peer, score: Score) -> None:
    traits: list[list[str]] = []

    def handler(requests: Any, _: Any) -> Iterator[Any]:
        for request in requests:
            traits.append(list(request.traits))
            yield _answer(request)

    peer.on("ScoreStream", handler)
    assert _lengths(score(SAMPLES)) == [len(sample.response) for sample in SAMPLES]
    assert traits[0] == ["length"] and not any(traits[1:])


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_broken_stream_is_reopened_for_what_has_no_answer(
    peer: Peer, score: Score, code: grpc.StatusCode
) -> None:
    answered: list[str] = []
    again: list[str] = []

    def handler(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if answered:
            for request in requests:
                again.extend(item.id for item in request.items)
                yield _answer(request)
            return
        for number, request in enumerate(requests):
            if number == 2:
                abort(context, code, "going away")
            answered.extend(item.id for item in request.items)
            yield _answer(request)

    peer.on("ScoreStream", handler)
    assert _lengths(score(SAMPLES)) == [len(sample.response) for sample in SAMPLES]
    assert not set(answered) & set(again)
    assert sorted(answered + again, key=int) == [str(i) for i in range(len(SAMPLES))]


def test_overload_is_waited_out(peer: Peer, score: Score) -> None:
    info = error_details_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(10)
    refused = [3]

    def handler(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if refused[0]:
            refused[0] -= 1
            abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "full", info)
        yield from map(_answer, requests)

    peer.on("ScoreStream", handler)
    assert len(score(SAMPLES)) == len(SAMPLES)
    assert refused == [0]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, palmfolio.InvalidArgument),
        (grpc.StatusCode.INTERNAL, palmfolio.ServerFault),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, palmfolio.ResourceExhausted),
    ],
)
def test_an_error_that_will_not_pass_is_raised(
    peer: Peer, score: Score, code: grpc.StatusCode, error: type[Exception]
) -> None:
    def handler(requests: Any, context: grpc.ServicerContext) -> Any:
        next(requests)
        abort(context, code, "no")

    peer.on("ScoreStream", handler)
    with pytest.raises(error, match="no"):
        score(SAMPLES)
    assert len(peer.requests("ScoreStream")) == 1


def test_a_server_that_does_not_answer_is_given_up(peer: Peer, score: Score) -> None:
    over = threading.Event()

    def handler(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        over.wait(20)
        yield from ()

    peer.on("ScoreStream", handler)
    with pytest.raises(TimeoutError, match="0 have an answer"):
        score(SAMPLES, timeout=0.5)
    with pytest.raises(TimeoutError, match="0 have an answer"):
        score(SAMPLES, timeouts=palmfolio.Timeouts(score=0.3))
    over.set()


def test_a_server_that_stays_away_is_given_up(peer: Peer, score: Score) -> None:
    peer.on(
        "ScoreStream",
        lambda requests, context: abort(context, grpc.StatusCode.UNAVAILABLE, "gone"),
    )
    with pytest.raises(palmfolio.Unavailable, match="gone"):
        score(SAMPLES, timeouts=palmfolio.Timeouts(score=0.5))


def test_what_reading_raises_comes_after_the_rewards_before_it(peer: Peer, endpoints: Any) -> None:
    peer.on("ScoreStream", lambda requests, _: map(_answer, requests))

    def samples() -> Iterator[Sample]:
        yield from SAMPLES[:100]
        raise KeyError("the file ended badly")

    got = []
    with (
        palmfolio.Client(endpoints) as client,
        pytest.raises(KeyError, match="the file ended badly"),
    ):
        for result in client.scorer.score_stream(samples()):
            got.append(result)
    assert len(got) == 100


def test_dropping_the_results_cancels_the_stream_and_stops_reading(
    peer: Peer, client: palmfolio.Client
) -> None:
    cancelled, read = threading.Event(), []

    def handler(requests: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(cancelled.set)
        yield from map(_answer, requests)

    def samples() -> Iterator[Sample]:
        for i in range(10**9):
            read.append(i)
            yield SAMPLES[0]

    peer.on("ScoreStream", handler)
    results = client.scorer.score_stream(samples(), window=100)
    assert next(results).raw == (0.0,)
    results.close()
    assert cancelled.wait(10)
    assert len(read) <= 102
