"""`ScoreStream`: many messages at work at the same time, as many as the window allows."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

from palmfolio_scorer.engine.admission import QueueFullError
from palmfolio_scorer.protocol.lenient_decoding import ScoreCall

Answer = TypeVar("Answer")


async def pipelined(
    calls: AsyncIterator[ScoreCall],
    answer: Callable[[ScoreCall], Awaitable[Answer]],
    window: int,
    abandon: Callable[[ScoreCall], object] = lambda call: None,
) -> AsyncGenerator[Answer, None]:
    """Answers calls as they come, in the order in which they finish.

    No further call is read while `window` samples are at work or unread by the client. So HTTP/2
    slows down a client that is faster than the server, or that does not read its answers.

    Args:
        calls: the client's messages.
        answer: scores one call; after a `QueueFullError` it is called again.
        window: samples at work at most; a single call may exceed it.
        abandon: called with each call that nobody waits for any more.

    Raises:
        Exception: an exception of `answer` ends the stream.
    """
    at_work = _Window(window)
    answers: asyncio.Queue[tuple[Answer, int] | Exception | None] = asyncio.Queue()

    async def work(call: ScoreCall) -> None:
        try:
            answers.put_nowait((await _until_admitted(answer, call), len(call.samples)))
        except Exception as error:
            answers.put_nowait(error)
        except asyncio.CancelledError:
            abandon(call)
            raise

    async def read() -> None:
        async with asyncio.TaskGroup() as group:
            try:
                async for call in calls:
                    await at_work.add(len(call.samples))
                    group.create_task(work(call))
            except Exception as error:
                answers.put_nowait(error)
        answers.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (result := await answers.get()) is not None:
            if isinstance(result, Exception):
                raise result
            yield result[0]
            # After the `yield`: by now the client has taken the answer, or its buffer has room.
            at_work.remove(result[1])
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _until_admitted(
    answer: Callable[[ScoreCall], Awaitable[Answer]], call: ScoreCall
) -> Answer:
    while True:
        try:
            return await answer(call)
        except QueueFullError as error:
            await asyncio.sleep(error.retry_after_seconds)


class _Window:
    """Counts the samples at work, and waits while there are too many."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._samples = 0
        self._removed = asyncio.Event()

    async def add(self, samples: int) -> None:
        while self._samples and self._samples + samples > self._size:
            self._removed.clear()
            await self._removed.wait()
        self._samples += samples

    def remove(self, samples: int) -> None:
        self._samples -= samples
        self._removed.set()
