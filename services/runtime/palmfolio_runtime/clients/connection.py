"""What the clients share: a channel that opens when it is first used, and failures by kind."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from typing import ClassVar, TypeVar

from grpc import aio

from palmfolio_runtime.clients.channels import call_metadata, connect
from palmfolio_runtime.clients.failures import CallError, failure_of
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.errors import ServiceError, unavailable
from palmfolio_runtime.limits import Limits

T = TypeVar("T")


class Connection:
    """A connection to another service, for processes with an event loop.

    A client may be made before the loop runs: grpc.aio binds a channel to the loop that is current
    when the channel is made, so the channel is made at the first call.

    Args:
        endpoint: where the service listens.
        limits: the limits of a message.
    """

    dependency: ClassVar[str]
    """The service's name in errors: `trainer`, `scorer`."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._metadata = call_metadata(endpoint)
        self._channel: aio.Channel | None = None

    @property
    def address(self) -> str:
        """Where the service is expected, `host:port`."""
        return self._endpoint.address

    @property
    def channel(self) -> aio.Channel:
        """The channel; opened when first asked for."""
        if self._channel is None:
            self._channel = connect(self._endpoint, self._limits)
        return self._channel

    async def close(self) -> None:
        """Closes the channel; running calls end as cancelled."""
        if self._channel is not None:
            await self._channel.close()

    def unavailable(self, error: CallError) -> ServiceError:
        """UNAVAILABLE, for a client whose request cannot be answered without the service."""
        where = f"the {self.dependency} at {self.address}"
        return unavailable(self.dependency, f"{where} cannot be asked: {error.status.message}")

    async def answer(self, call: Awaitable[T]) -> T:
        """The answer of a unary call.

        Raises:
            CallError: the call failed; its class is the kind of failure.
        """
        try:
            return await call
        except aio.AioRpcError as error:
            raise failure_of(self.dependency, error) from error

    async def messages(self, call: AsyncIterable[T]) -> AsyncIterator[T]:
        """The messages of a streaming call.

        Raises:
            CallError: the call failed; its class is the kind of failure.
        """
        try:
            async for message in call:
                yield message
        except aio.AioRpcError as error:
            raise failure_of(self.dependency, error) from error
