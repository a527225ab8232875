"""Sampling off the event loop: one thread, a bounded queue, batches streamed as they come."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Generic, TypeVar

from palmfolio_runtime import errors

_RETRY_SECONDS = 2.0
# Enough that the thread seldom waits for the loop, few enough that little is thrown away.
_BATCHES_AHEAD = 4
# While it waits for a slow reader, the thread checks this often whether the reader has left.
_CHECK_SECONDS = 0.2

Batch = TypeVar("Batch")


class _Stream(Generic[Batch]):
    """Carries batches from the thread to the loop; the thread waits when the reader is slow."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._queue: asyncio.Queue[Batch | None] = asyncio.Queue(_BATCHES_AHEAD)
        self._dropped = threading.Event()

    def drop(self) -> None:
        """Called on the loop when the reader has left."""
        self._dropped.set()

    def dropped(self) -> bool:
        """Whether the reader has left."""
        return self._dropped.is_set()

    def put(self, batch: Batch | None) -> None:
        """Called on the thread: hands a batch over; None ends the stream."""
        if self.dropped():
            return None
        putting = asyncio.run_coroutine_threadsafe(self._queue.put(batch), self._loop)
        while not self.dropped():
            try:
                return putting.result(_CHECK_SECONDS)
            except FutureTimeout:
                continue
            except FutureCancelled:
                return None
        putting.cancel()
        return None

    async def get(self) -> Batch | None:
        """Called on the loop: the next batch, None at the end."""
        return await self._queue.get()


class SamplingThread:
    """Runs whatever touches the models, one call after the other.

    Models are not safe to use from several threads, and one call already uses all cores.

    Args:
        max_calls: calls that wait or run; one more is refused.
    """

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._calls = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="sampling")

    async def run(self, function: Callable[[], Batch]) -> Batch:
        """What the function returns, computed on the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    async def stream(
        self, produce: Callable[[Callable[[], bool]], Iterator[Batch]]
    ) -> AsyncIterator[Batch]:
        """The batches of `produce`, computed on the thread.

        When the reader leaves (the call was cancelled or is past its deadline), work that has not
        begun is dropped and work that has begun is told to stop.

        Args:
            produce: makes the batches. Its argument is a function that returns True when it must
                stop.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED when too many calls wait.
        """
        if self._calls >= self._max_calls:
            raise errors.resource_exhausted(
                f"{self._calls} calls to Generate wait or run, the limit max_queued_generations "
                f"is {self._max_calls}",
                _RETRY_SECONDS,
            )
        loop = asyncio.get_running_loop()
        stream: _Stream[Batch] = _Stream(loop)

        def work() -> None:
            try:
                # The reader may have left while the call waited for the thread.
                for batch in () if stream.dropped() else produce(stream.dropped):
                    stream.put(batch)
            finally:
                stream.put(None)

        self._calls += 1
        working = loop.run_in_executor(self._executor, work)
        working.add_done_callback(self._done)
        try:
            while (batch := await stream.get()) is not None:
                yield batch
            await working
        finally:
            stream.drop()

    def _done(self, working: "asyncio.Future[None]") -> None:
        self._calls -= 1
        if not working.cancelled():
            # Marks the error as seen: the reader raises it, or has left and does not care.
            working.exception()

    def close(self) -> None:
        """Drops what waits and waits for what runs."""
        self._executor.shutdown(wait=True, cancel_futures=True)


__all__ = ["SamplingThread"]
