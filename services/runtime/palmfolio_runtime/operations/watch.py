"""Streams the events of an operation while it runs."""

import asyncio
from collections.abc import AsyncIterator

from palmfolio_runtime.database import Database
from palmfolio_runtime.operations import store

# Another replica's changes are seen after this long at the latest.
_POLL_SECONDS = 1.0


class Changes:
    """Wakes the coroutines that wait for a change when this process makes one."""

    def __init__(self) -> None:
        self._condition = asyncio.Condition()

    async def notify(self) -> None:
        """Wakes every coroutine that waits."""
        async with self._condition:
            self._condition.notify_all()

    async def wait(self, seconds: float = _POLL_SECONDS) -> None:
        """Returns at the next change, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds), self._condition:
                await self._condition.wait()
        except TimeoutError:
            pass


async def watch(
    database: Database, changes: Changes, name: str, after: int
) -> AsyncIterator[bytes]:
    """The serialised events of an operation after number `after`, until it is finished.

    Raises:
        ServiceError: INVALID_ARGUMENT or NOT_FOUND.
    """
    row = await database.run(store.get, name)
    number = after
    while True:
        events, finished = await database.run(store.events_after, row.id, number)
        for event in events:
            number = event.number
            yield event.payload
        # A finished operation may have more events than one read returns.
        if finished and not events:
            return
        if not events:
            await changes.wait()
