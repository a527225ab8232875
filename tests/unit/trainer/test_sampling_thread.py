"""The sampling thread: order, back-pressure, cancellation, errors."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import cast

import pytest

from palmfolio_runtime.errors import ServiceError
from palmfolio_trainer.sampling.thread import SamplingThread

Produce = Callable[[Callable[[], bool]], Iterator[int]]


@pytest.fixture
def sampling() -> Iterator[SamplingThread]:
    """A thread that takes two calls."""
    thread = SamplingThread(max_calls=2)
    yield thread
    thread.close()


def stream(sampling: SamplingThread, produce: Produce) -> AsyncGenerator[int, None]:
    """The stream, which is a generator that can be closed."""
    return cast(AsyncGenerator[int, None], sampling.stream(produce))


class Endless:
    """Counts until it is told to stop; waits for nothing."""

    def __init__(self) -> None:
        self.produced = 0
        self.begun = threading.Event()
        self.stopped = threading.Event()

    def __call__(self, cancelled: Callable[[], bool]) -> Iterator[int]:
        while not cancelled():
            self.produced += 1
            self.begun.set()
            yield self.produced
        self.stopped.set()


async def test_batches_arrive_in_order_and_off_the_loop(sampling: SamplingThread) -> None:
    threads = set()

    def produce(_cancelled: Callable[[], bool]) -> Iterator[int]:
        for number in range(50):
            threads.add(threading.current_thread())
            yield number

    assert [number async for number in stream(sampling, produce)] == list(range(50))
    assert len(threads) == 1
    assert threading.current_thread() not in threads


async def test_a_reader_that_leaves_stops_the_work(sampling: SamplingThread) -> None:
    endless = Endless()
    async with aclosing(stream(sampling, endless)) as numbers:
        assert await anext(numbers) == 1
    assert await asyncio.to_thread(endless.stopped.wait, 10)


async def test_a_cancelled_task_stops_the_work(sampling: SamplingThread) -> None:
    endless = Endless()

    async def read() -> None:
        async for _ in stream(sampling, endless):
            pass

    task = asyncio.create_task(read())
    assert await asyncio.to_thread(endless.begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(endless.stopped.wait, 10)


async def test_work_whose_reader_left_before_its_turn_never_begins(
    sampling: SamplingThread,
) -> None:
    first, second = Endless(), Endless()
    async with aclosing(stream(sampling, first)) as running:
        await anext(running)
        waiting = asyncio.ensure_future(anext(stream(sampling, second)))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert await sampling.run(lambda: "next") == "next"
    assert second.produced == 0


async def test_a_slow_reader_holds_the_work_back(sampling: SamplingThread) -> None:
    endless = Endless()
    async with aclosing(stream(sampling, endless)) as numbers:
        await anext(numbers)
        await asyncio.sleep(0.3)
        assert endless.produced < 20


async def test_one_call_too_many_is_refused_with_a_time_to_retry(
    sampling: SamplingThread,
) -> None:
    async with aclosing(stream(sampling, Endless())) as first:
        await anext(first)
        waiting = asyncio.ensure_future(anext(stream(sampling, Endless())))
        await asyncio.sleep(0.05)
        with pytest.raises(ServiceError) as caught:
            await anext(stream(sampling, Endless()))
        assert caught.value.code.name == "RESOURCE_EXHAUSTED"
        assert caught.value.details[0].retry_delay.ToMilliseconds() > 0  # type: ignore[attr-defined]
        waiting.cancel()


async def test_an_error_reaches_the_reader_and_the_thread_goes_on(
    sampling: SamplingThread,
) -> None:
    def produce(_cancelled: Callable[[], bool]) -> Iterator[int]:
        yield 1
        raise ValueError("no such adapter")

    numbers = stream(sampling, produce)
    assert await anext(numbers) == 1
    with pytest.raises(ValueError, match="no such adapter"):
        await anext(numbers)
    assert await sampling.run(lambda: 2) == 2
