"""The part that the three services' clients for asyncio share."""

from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from palmfolio._calls.call import Call, Page
from palmfolio._transport import AsyncTransport

Item = TypeVar("Item")


class AsyncService:
    """As `_client.service.Service`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _pages(self, call: Callable[[str], Call[Page[Item]]]) -> AsyncIterator[Item]:
        token = ""
        while True:
            items, token = await self._transport.unary(call(token))
            for item in items:
                yield item
            if not token:
                return
