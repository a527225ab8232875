"""Pipelining: what becomes of calls that wait when their stream ends."""

import asyncio
from collections.abc import AsyncIterator

from palmfolio_scorer.calls.score_stream import pipelined
from palmfolio_scorer.engine.admission import QueueFullError
from palmfolio_scorer.protocol.lenient_decoding import ScoreCall
from palmfolio_scorer.samples import Sample


async def test_calls_that_wait_are_abandoned_when_the_stream_ends() -> None:
    calls = [ScoreCall([Sample("p", str(i))], []) for i in range(4)]
    waiting = asyncio.Semaphore(0)
    abandoned: list[ScoreCall] = []

    async def stream() -> AsyncIterator[ScoreCall]:
        for call in calls:
            yield call
        await asyncio.Event().wait()

    async def answer(call: ScoreCall) -> str:
        if call is calls[0]:
            return "answered"
        waiting.release()
        raise QueueFullError("full", 3600)

    answers = pipelined(stream(), answer, 100, abandoned.append)
    assert await anext(answers) == "answered"
    for _ in calls[1:]:
        await asyncio.wait_for(waiting.acquire(), 10)
    await answers.aclose()
    assert sorted(call.samples[0].response for call in abandoned) == ["1", "2", "3"]
