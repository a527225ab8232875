"""The client's `score_stream` against a real scorer: long inputs, restarts, overload, poison."""

import asyncio
import math
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import palmfolio
from palmfolio.types import Sample, ScoredSample
from tests.support.services.processes import ServiceProcess

Score = Callable[..., list[ScoredSample]]

LENGTH = {
    "name": "length",
    "kind": "verifier",
    "check": "length",
    "normalisation": {"kind": "minmax", "low": 0, "high": 1000},
}
# Room for 20 samples at once: whoever sends more has to wait.
CONFIG = {
    "traits": [LENGTH],
    "threads": 1,
    "limits": {"max_samples": 16},
    "engine": {"max_queued_samples": 20},
}


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A scorer of lengths with a tiny queue; tests may kill and restart it."""
    process = ServiceProcess("scorer", CONFIG, tmp_path_factory.mktemp("stream"))
    process.start()
    yield process
    process.stop()


@pytest.fixture(params=["threads", "asyncio"])
def score(request: pytest.FixtureRequest, lengths: ServiceProcess) -> Score:
    """Everything that a client's `score_stream` yields; `seen` is called with every result."""

    def nothing(_: ScoredSample) -> None:
        pass

    def threads(
        samples: Any, seen: Callable[[ScoredSample], None] = nothing, **options: Any
    ) -> list[ScoredSample]:
        results = []
        with palmfolio.Client(scorer=lengths.address) as client:
            for result in client.scorer.score_stream(samples, **options):
                results.append(result)
                seen(result)
        return results

    async def tasks(
        samples: Any, seen: Callable[[ScoredSample], None] = nothing, **options: Any
    ) -> list[ScoredSample]:
        results = []
        async with palmfolio.AsyncClient(scorer=lengths.address) as client:
            async for result in client.scorer.score_stream(samples, **options):
                results.append(result)
                seen(result)
        return results

    if request.param == "threads":
        return threads
    return lambda *arguments, **options: asyncio.run(tasks(*arguments, **options))


def _shuffled(count: int) -> list[Sample]:
    """Samples whose rewards differ, in no order of length."""
    samples = [Sample("p", "x" * (1 + i % 700), reference=str(i)) for i in range(count)]
    random.Random(0).shuffle(samples)
    return samples


def _check(results: list[ScoredSample], samples: list[Sample]) -> None:
    assert [result.sample for result in results] == samples
    assert [result.raw[0] for result in results] == [len(s.response) for s in samples]
    normalised = [len(s.response) / 1000 for s in samples]
    assert [result.normalised[0] for result in results] == pytest.approx(normalised, abs=1e-6)
    assert all(result.status.ok and result.traits == ("length",) for result in results)
    assert len({result.trait_versions for result in results}) <= 1


@pytest.mark.parametrize("count", [0, 1, 17, 3000])
def test_rewards_come_in_the_order_of_the_samples(score: Score, count: int) -> None:
    samples = _shuffled(count)
    _check(score(iter(samples), traits=["length"]), samples)


class _Halved:
    """Samples whose second half comes after something has happened."""

    def __init__(self, samples: list[Sample], happened: threading.Event) -> None:
        self._samples = samples
        self._happened = happened

    def __iter__(self) -> Iterator[Sample]:
        for i, sample in enumerate(self._samples):
            if i == len(self._samples) // 2:
                assert self._happened.wait(120)
            yield sample

    async def __aiter__(self) -> AsyncIterator[Sample]:
        for i, sample in enumerate(self._samples):
            if i == len(self._samples) // 2:
                assert await asyncio.to_thread(self._happened.wait, 120)
            yield sample


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
def test_a_restart_midway_loses_and_repeats_nothing(
    score: Score, lengths: ServiceProcess, kill: bool
) -> None:
    samples = _shuffled(6000)
    seen: list[ScoredSample] = []
    down = threading.Event()
    restarting: list[threading.Thread] = []

    def restart() -> None:
        if kill:
            lengths.kill()
            lengths.channel.close()
        else:
            lengths.stop()
        down.set()
        lengths.start()

    def watch(result: ScoredSample) -> None:
        seen.append(result)
        if len(seen) == 1000:
            restarting.append(threading.Thread(target=restart))
            restarting[0].start()

    try:
        _check(score(_Halved(samples, down), watch), samples)
    finally:
        restarting[0].join()


def test_a_queue_that_is_far_too_small_for_all_is_waited_for(lengths: ServiceProcess) -> None:
    shares = [_shuffled(200 + i) for i in range(12)]

    async def everyone() -> list[list[ScoredSample]]:
        async def streaming(client: palmfolio.AsyncClient, share: list[Sample]) -> Any:
            return [result async for result in client.scorer.score_stream(share)]

        async def single_calls(client: palmfolio.AsyncClient) -> list[float]:
            answers = [
                await client.scorer.score([Sample("p", "x" * i)] * 15, timeout=250)
                for i in range(10)
            ]
            return [row[0] for rewards in answers for row in rewards.raw]

        async with palmfolio.AsyncClient(scorer=lengths.address) as client:
            calls = asyncio.gather(*(single_calls(client) for _ in range(4)))
            streams = await asyncio.gather(*(streaming(client, share) for share in shares))
            assert await calls == [[i for i in range(10) for _ in range(15)]] * 4
        return list(streams)

    for share, results in zip(shares, asyncio.run(everyone()), strict=True):
        _check(results, share)


def test_poison_fails_in_its_place_and_no_other(score: Score) -> None:
    poison = {
        3: (Sample("p", "x" * 40_000), "response: has 40000 characters; at most 32768"),
        10: (Sample("\udfff", "r"), "prompt: is not valid UTF-8"),
        11: (Sample("p", "y" * 20_000_000), "response: has 20000000 characters"),
    }
    samples = [poison[i][0] if i in poison else Sample("p", "z" * i) for i in range(40)]
    results = score(samples)
    assert [result.sample for result in results] == samples
    for i, result in enumerate(results):
        if i in poison:
            assert math.isnan(result.raw[0]) and math.isnan(result.normalised[0])
            assert result.status.failure is not None
            assert result.status.failure.message.startswith(poison[i][1])
        else:
            assert result.status.ok and result.raw == (i,)


def test_an_unknown_trait_is_an_error_of_the_stream(score: Score) -> None:
    with pytest.raises(palmfolio.InvalidArgument, match=r"unknown trait 'humour'; known: length"):
        score(_shuffled(500), traits=["humour"])


def test_an_input_without_end_ends_at_the_deadline(score: Score) -> None:
    def endless() -> Iterator[Sample]:
        while True:
            yield Sample("p", "r")

    with pytest.raises(TimeoutError, match="in time"):
        score(endless(), timeout=1.5)


def test_no_more_is_read_than_the_window_holds_and_a_closed_stream_reads_no_further(
    lengths: ServiceProcess,
) -> None:
    read = 0

    def samples() -> Iterator[Sample]:
        nonlocal read
        while True:
            read += 1
            yield Sample("p", "r")

    with palmfolio.Client(scorer=lengths.address) as client:
        results = client.scorer.score_stream(samples(), window=50)
        for taken in range(1, 400):
            assert next(results).raw == (1.0,)
            assert read <= taken + 50
        results.close()
        stopped_at = read
        # The next stream gets the places of the first.
        assert len(list(client.scorer.score_stream(_shuffled(200)))) == 200
        assert read <= stopped_at + 1


async def test_a_cancelled_task_ends_its_stream_and_its_input(lengths: ServiceProcess) -> None:
    ended = asyncio.Event()
    first = asyncio.Event()

    async def samples() -> AsyncIterator[Sample]:
        try:
            while True:
                yield Sample("p", "r")
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with palmfolio.AsyncClient(scorer=lengths.address) as client:

        async def consume() -> None:
            async for _ in client.scorer.score_stream(samples(), window=50):
                first.set()

        task = asyncio.create_task(consume())
        await asyncio.wait_for(first.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 30)
        rewards = [result async for result in client.scorer.score_stream(_shuffled(100))]
    assert len(rewards) == 100


async def test_rewards_of_a_live_input_do_not_wait_for_its_end(lengths: ServiceProcess) -> None:
    answered = asyncio.Event()

    async def conversation() -> AsyncIterator[Sample]:
        for _ in range(20):
            answered.clear()
            yield Sample("p", "r")
            await asyncio.wait_for(answered.wait(), 30)

    count = 0
    async with palmfolio.AsyncClient(scorer=lengths.address) as client:
        async for _ in client.scorer.score_stream(conversation()):
            count += 1
            answered.set()
    assert count == 20
