"""Carries calls to the services: one transport for threads, one for asyncio."""

# ruff: noqa: ASYNC109 - `timeout` travels to the server as the call's deadline.

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import grpc
import grpc.aio

from palmfolio import _connection, errors
from palmfolio._calls.call import Call
from palmfolio._calls.stubs import OPERATIONS_STUB, STUBS
from palmfolio._connection import Connection, ServiceName, Timeouts
from palmfolio._retry import Deadline, pause_before_retry

Answer = TypeVar("Answer")


class Transport(ABC):
    """The part that both transports share: addresses, stubs, metadata and deadlines."""

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        self._connection = connection
        self.timeouts = timeouts
        self._stubs: dict[tuple[ServiceName, bool], Any] = {}

    def deadline(self, call: Call[Any], timeout: float | None) -> Deadline:
        """The call's own timeout, else the client's."""
        return Deadline(timeout if timeout is not None else getattr(self.timeouts, call.limit))

    def _method(self, call: Call[Any]) -> Any:
        stub = self._stubs.get((call.service, call.of_operations))
        if stub is None:
            stub = self._add_stubs(call.service, call.of_operations)
        return getattr(stub, call.method)

    def _add_stubs(self, service: ServiceName, of_operations: bool) -> Any:
        # Both stubs share a channel, so that there is one connection per service.
        channel = self._open(self._connection.address(service))
        self._stubs[service, False] = STUBS[service](channel)
        self._stubs[service, True] = OPERATIONS_STUB(channel)
        return self._stubs[service, of_operations]

    @abstractmethod
    def _open(self, address: str) -> Any:
        """A channel to an address."""

    def _credentials(self) -> grpc.ChannelCredentials | None:
        tls = self._connection.tls
        if tls is None:
            return None
        return grpc.ssl_channel_credentials(*_connection.credentials_files(tls))

    def _metadata(self, call: Call[Any]) -> tuple[tuple[str, str], ...]:
        metadata = (("x-request-id", call.request_id),)
        token = self._connection.token
        return (*metadata, ("authorization", f"Bearer {token}")) if token else metadata

    def error(self, error: grpc.RpcError, call: Call[Any]) -> errors.ServiceError:
        """The SDK's error for a failed call."""
        return errors.from_rpc(error, call.service, self._connection.address(call.service))

    def where(self, call: Call[Any]) -> str:
        """The service that a call goes to, for messages."""
        return f"the {call.service} at {self._connection.address(call.service)}"

    def open(self, call: Call[Any], deadline: Deadline, *requests: Any) -> Any:
        """Begins a call of many requests and many answers; gRPC's own object."""
        metadata = self._metadata(call)
        return self._method(call)(*requests, timeout=deadline.remaining(), metadata=metadata)


class _Outgoing(Iterator[Any]):
    """Requests of a client stream, with the error that reading them raised."""

    def __init__(self, requests: Iterator[Any]) -> None:
        self._requests = requests
        self.error: Exception | None = None

    def __next__(self) -> Any:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise


class SyncTransport(Transport):
    """Calls that block the thread. Safe to share between threads."""

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        super().__init__(connection, timeouts)
        self._lock = threading.Lock()
        self._channels: list[grpc.Channel] = []

    def close(self) -> None:
        """Closes the channels; calls that run are cancelled."""
        with self._lock:
            self._stubs.clear()
            while self._channels:
                self._channels.pop().close()

    def unary(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        """One request, one answer."""
        # All tries share one deadline and one request id: a retry neither takes longer than the
        # caller allows nor does the work twice.
        deadline, metadata = self.deadline(call, timeout), self._metadata(call)
        method = self._method(call)
        while True:
            try:
                return call.read(
                    method(call.request, timeout=deadline.remaining(), metadata=metadata)
                )
            except grpc.RpcError as raw:
                error = self.error(raw, call)
                pause = pause_before_retry(error, deadline)
                if pause is None:
                    raise error from None
            time.sleep(pause)

    def stream(self, call: Call[Answer], timeout: float | None = None) -> Iterator[Answer]:
        """One request, many answers. Dropping the iterator cancels the call."""
        deadline, metadata = self.deadline(call, timeout), self._metadata(call)
        method = self._method(call)
        while True:
            running = method(call.request, timeout=deadline.remaining(), metadata=metadata)
            answered = False
            try:
                for message in running:
                    answered = True
                    yield call.read(message)
                return
            except grpc.RpcError as raw:
                error = self.error(raw, call)
                # After the first answer a retry would repeat answers that the caller already has.
                pause = None if answered else pause_before_retry(error, deadline)
                if pause is None:
                    raise error from None
            finally:
                # Also when the caller drops the iterator: the server must not work for nobody.
                running.cancel()
            time.sleep(pause)

    def client_stream(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        """Many requests, one answer.

        The requests are read on another thread, and only once, so that overload cannot be retried.
        An exception of reading them is raised here.
        """
        deadline, metadata = self.deadline(call, timeout), self._metadata(call)
        outgoing = _Outgoing(call.request)
        try:
            method = self._method(call)
            return call.read(method(outgoing, timeout=deadline.remaining(), metadata=metadata))
        except grpc.RpcError as raw:
            # When the iterator of requests fails, gRPC reports a cancelled call, without cause.
            raise (outgoing.error or self.error(raw, call)) from None

    def _add_stubs(self, service: ServiceName, of_operations: bool) -> Any:
        with self._lock:
            # Another thread may have added them while this one waited for the lock.
            known = self._stubs.get((service, of_operations))
            return known or super()._add_stubs(service, of_operations)

    def _open(self, address: str) -> grpc.Channel:
        options = _connection.channel_options(self._connection.tls)
        credentials = self._credentials()
        if credentials is None:
            channel = grpc.insecure_channel(address, options)
        else:
            channel = grpc.secure_channel(address, credentials, options)
        self._channels.append(channel)
        return channel


class AsyncTransport(Transport):
    """Calls that are awaited. Belongs to the event loop that it is first used on."""

    def __init__(self, connection: Connection, timeouts: Timeouts) -> None:
        super().__init__(connection, timeouts)
        self._channels: list[grpc.aio.Channel] = []

    async def close(self) -> None:
        """Closes the channels; calls that run are cancelled."""
        self._stubs.clear()
        while self._channels:
            await self._channels.pop().close()

    async def unary(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        """One request, one answer."""
        deadline, metadata = self.deadline(call, timeout), self._metadata(call)
        method = self._method(call)
        while True:
            try:
                return call.read(
                    await method(call.request, timeout=deadline.remaining(), metadata=metadata)
                )
            except grpc.RpcError as raw:
                error = self.error(raw, call)
                pause = pause_before_retry(error, deadline)
                if pause is None:
                    raise error from None
            await asyncio.sleep(pause)

    async def stream(
        self, call: Call[Answer], timeout: float | None = None
    ) -> AsyncIterator[Answer]:
        """One request, many answers. Dropping the iterator cancels the call."""
        deadline, metadata = self.deadline(call, timeout), self._metadata(call)
        method = self._method(call)
        while True:
            running = method(call.request, timeout=deadline.remaining(), metadata=metadata)
            answered = False
            try:
                async for message in running:
                    answered = True
                    yield call.read(message)
                return
            except grpc.RpcError as raw:
                error = self.error(raw, call)
                pause = None if answered else pause_before_retry(error, deadline)
                if pause is None:
                    raise error from None
            finally:
                running.cancel()
            await asyncio.sleep(pause)

    async def client_stream(self, call: Call[Answer], timeout: float | None = None) -> Answer:
        """Many requests, one answer.

        The requests are read only once, so that overload cannot be retried.
        """
        deadline, metadata = self.deadline(call, timeout), self._metadata(call)
        running = self._method(call)(timeout=deadline.remaining(), metadata=metadata)
        try:
            for message in call.request:
                if not await _written(running, message):
                    break
            else:
                await running.done_writing()
            return call.read(await running)
        except grpc.RpcError as raw:
            raise self.error(raw, call) from None
        finally:
            running.cancel()

    def _open(self, address: str) -> grpc.aio.Channel:
        options = _connection.channel_options(self._connection.tls)
        credentials = self._credentials()
        if credentials is None:
            channel = grpc.aio.insecure_channel(address, options)
        else:
            channel = grpc.aio.secure_channel(address, credentials, options)
        self._channels.append(channel)
        return channel


async def _written(running: Any, message: Any) -> bool:
    if running.done():
        return False
    try:
        await running.write(message)
    except grpc.RpcError:
        # The server ended the call. Only the call's status has the reason, and `await` raises it.
        return False
    return True
