"""`ScoreStream`: many messages at work at once, as many as there is room for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from palmfolio_scorer.engine.admission import QueueFullError
from palmfolio_scorer.protocol.lenient_decoding import ScoreCall

Answer = TypeVar("Answer")


async def pipelined(
    calls: AsyncIterator[ScoreCall],
    answer: Callable[[ScoreCall], Awaitable[Answer]],
    window: int,
    abandon: Callable[[ScoreCall], object] = lambda call: None,
) -> AsyncIterator[Answer]:
    """Answers calls as they come, in the order in which they finish.

    No further call is read while `window` samples are at work or unread by the client, so that a
    client that is faster than the server, or does not read, is slowed down by HTTP/2.

    Args:
        calls: what the client sends.
        answer: scores one call; a `QueueFullError` is waited out.
        window: samples at work at most; one call alone may exceed it.
        abandon: told of each call that nobody waits for any more.

    Raises:
        Exception: what `answer` raises ends the stream.
    """
    places = _Places(window)
    answers: asyncio.Queue[tuple[Answer, int] | Exception | None] = asyncio.Queue()

    async def work(call: ScoreCall) -> None:
        try:
            answers.put_nowait((await _patiently(answer, call), len(call.samples)))
        except Exception as error:
            answers.put_nowait(error)
        except asyncio.CancelledError:
            abandon(call)
            raise

    async def read() -> None:
        async with asyncio.TaskGroup() as group:
            try:
                async for call in calls:
                    await places.take(len(call.samples))
                    group.create_task(work(call))
            except Exception as error:
                answers.put_nowait(error)
        answers.put_nowait(None)

    reading = asyncio.create_task(read())
    try:
        while (result := await answers.get()) is not None:
            if isinstance(result, Exception):
                raise result
            yield result[0]
            places.give_back(result[1])
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _patiently(answer: Callable[[ScoreCall], Awaitable[Answer]], call: ScoreCall) -> Answer:
    while True:
        try:
            return await answer(call)
        except QueueFullError as error:
            await asyncio.sleep(error.retry_after_seconds)


class _Places:
    """Counts the samples at work."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._taken = 0
        self._freed = asyncio.Event()

    async def take(self, count: int) -> None:
        while self._taken and self._taken + count > self._window:
            self._freed.clear()
            await self._freed.wait()
        self._taken += count

    def give_back(self, count: int) -> None:
        self._taken -= count
        self._freed.set()
