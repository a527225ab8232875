"""The part that the three services' clients share."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from palmfolio._calls.call import Call, Page
from palmfolio._transport import SyncTransport

Item = TypeVar("Item")


class Service:
    """Calls over one transport."""

    def __init__(self, transport: SyncTransport) -> None:
        self._transport = transport

    def _pages(self, call: Callable[[str], Call[Page[Item]]]) -> Iterator[Item]:
        """The items of all pages; `call` makes the call for a page token, "" for the first."""
        token = ""
        while True:
            items, token = self._transport.unary(call(token))
            yield from items
            if not token:
                return
