"""A `score_stream` for asyncio: the same as `threads`, with tasks in place of threads."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

import grpc
import grpc.aio

from palmfolio import types
from palmfolio._scoring.session import Answered, Event, InputEnded, Read, Session, StreamEnded
from palmfolio._transport import AsyncTransport

Samples = Iterable[types.Sample] | AsyncIterable[types.Sample]
_Events = asyncio.Queue[Event]

# When a stream's status arrives while a message is being written, gRPC loses the status and reports
# this instead (https://github.com/grpc/grpc/issues/36066).
_STATUS_LOST = "Internal error from Core"


async def scored(
    transport: AsyncTransport, session: Session, samples: Samples
) -> AsyncGenerator[types.ScoredSample, None]:
    """Samples with their rewards, in order."""
    events: _Events = asyncio.Queue()
    allowed = asyncio.Semaphore(0)
    reading = asyncio.create_task(_read(samples, events, allowed))
    stream: _Stream | None = None
    window = session.window
    try:
        while True:
            # All events so far come first: answers make room in the window, and a broken stream
            # must not be written to.
            while not events.empty():
                await _pause(session.handle(events.get_nowait()))
            for _ in range(window.allow()):
                allowed.release()
            if window.unsent and not session.stream:
                await _close(stream)
                stream = _Stream(transport, session, events)
            if stream is not None and session.stream:
                stream.send(window.messages(), last=window.all_sent)
            if (result := window.pop()) is not None:
                yield result
            elif window.finished:
                return
            else:
                await _pause(session.handle(await _next(events, session)))
    finally:
        reading.cancel()
        await _close(stream)
        await asyncio.gather(reading, return_exceptions=True)


async def _read(samples: Samples, events: _Events, allowed: asyncio.Semaphore) -> None:
    try:
        iterator = _each(samples)
        while await allowed.acquire():
            events.put_nowait(Read(await anext(iterator)))
    except StopAsyncIteration:
        events.put_nowait(InputEnded(None))
    except Exception as error:
        events.put_nowait(InputEnded(error))


async def _each(samples: Samples) -> AsyncIterator[types.Sample]:
    if isinstance(samples, AsyncIterable):
        async for sample in samples:
            yield sample
        return
    for sample in samples:
        yield sample


async def _next(events: _Events, session: Session) -> Event:
    try:
        async with asyncio.timeout(session.seconds_to_wait()):
            return await events.get()
    except TimeoutError:
        raise session.too_late() from None


async def _pause(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)


async def _close(stream: "_Stream | None") -> None:
    if stream is not None:
        await stream.close()


class _Stream:
    """One `ScoreStream`, and the tasks that write and read it."""

    def __init__(self, transport: AsyncTransport, session: Session, events: _Events) -> None:
        self._number = session.opened()
        self._events = events
        self._requests: asyncio.Queue[Any] = asyncio.Queue()
        self._half_closed = False
        self._call = transport.open(session.call, session.deadline)
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._receive())]

    def send(self, messages: Iterator[Any], last: bool) -> None:
        """Sends messages; `last` ends the client's half of the stream."""
        for message in messages:
            self._requests.put_nowait(message)
        if last and not self._half_closed:
            self._half_closed = True
            self._requests.put_nowait(None)

    async def close(self) -> None:
        """Ends the stream, whatever is under way."""
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while (message := await self._requests.get()) is not None:
                await self._call.write(message)
            await self._call.done_writing()
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass  # the stream has ended; the reading task gets the reason

    async def _receive(self) -> None:
        try:
            async for message in self._call:
                self._events.put_nowait(Answered(self._number, message))
            self._events.put_nowait(StreamEnded(self._number, None))
        except grpc.aio.AioRpcError as error:
            lost = error.details() == _STATUS_LOST
            self._events.put_nowait(StreamEnded(self._number, None if lost else error))
