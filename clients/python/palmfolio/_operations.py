"""Long-running operations: wait for an operation, read its result, watch it, cancel it."""

# ruff: noqa: ASYNC109 - `timeout` travels to the server as the call's deadline.

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, TypeVar

from palmfolio import errors
from palmfolio._calls import services
from palmfolio._calls.call import Call, Numbered, OperationKind
from palmfolio._retry import Deadline, Patience
from palmfolio._transport import AsyncTransport, SyncTransport

Result = TypeVar("Result")
Event = TypeVar("Event", bound=Numbered)

# One `WaitOperation` takes this long at most: less than the idle limits of common proxies.
_WAIT_SECONDS = 20.0
# The call's deadline is later than the wait that it asks for, so that the server answers first.
_WAIT_MARGIN_SECONDS = 10.0
# A watch is opened again after this time, so that a silently dead connection is noticed.
_WATCH_SECONDS = 600.0
_PATIENCE_SECONDS = 60.0


class _Operation(Generic[Result, Event]):
    """The part without calls: the state that the service last sent."""

    def __init__(self, kind: OperationKind[Result, Event], message: Any) -> None:
        self._kind = kind
        self._message = message

    @property
    def name(self) -> str:
        """`operations/{id}`."""
        return str(self._message.name)

    @property
    def done(self) -> bool:
        """Whether the operation had ended when the service last sent its state."""
        return bool(self._message.done)

    @property
    def error(self) -> errors.ServiceError | None:
        """Why the operation failed; None when it did not, or is not done."""
        if self.done and self._message.HasField("error"):
            return errors.from_status(self._message.error)
        return None

    def __repr__(self) -> str:
        state = "running"
        if self.done:
            state = "failed" if self.error else "done"
        return f"<{type(self).__name__} {self.name} {state}>"

    def _outcome(self) -> Result:
        if self.error is not None:
            raise self.error
        response = self._kind.response()
        if not self._message.response.Unpack(response):
            raise errors.ServerFault(
                f"{self.name} ended with {self._message.response.type_url!r} instead of a "
                f"{response.DESCRIPTOR.name}: is the server newer than this client?"
            )
        return self._kind.read(response)

    def _wait_call(self, deadline: Deadline) -> tuple[Call[Any], float]:
        remaining = deadline.remaining()
        seconds = _WAIT_SECONDS if remaining is None else min(_WAIT_SECONDS, remaining)
        if seconds <= 0:
            raise errors.DeadlineExceeded(
                f"{self.name} is still running; wait again, or cancel it",
                code="DEADLINE_EXCEEDED",
                resource=self.name,
            )
        call = services.wait_operation(self._kind.service, self.name, seconds)
        return call, seconds + _WAIT_MARGIN_SECONDS


class Operation(_Operation[Result, Event]):
    """Work that goes on in a service, whether or not anyone waits for it.

    Example:
        spec = client.selector.get_portfolio("quickstart").spec
        build = client.selector.build_portfolio("again", spec)
        print(build.name, build.done)
        portfolio = build.result(timeout=3600)
    """

    def __init__(
        self, transport: SyncTransport, kind: OperationKind[Result, Event], message: Any
    ) -> None:
        super().__init__(kind, message)
        self._transport = transport

    def refresh(self) -> None:
        """Asks the service for the present state.

        Example:
            build = client.selector.operation("operations/81d2")
            build.refresh()
            print(build.done, build.error)
        """
        self._message = self._transport.unary(services.get_operation(self._kind.service, self.name))

    def wait(self, timeout: float | None = None) -> None:
        """Returns when the operation has ended, well or badly. Outlives restarts of the service.

        Raises:
            DeadlineExceeded: it is not done after `timeout` seconds.
            Unavailable: the service has been away for a minute.

        Example:
            training = client.trainer.operation("operations/81d2")
            training.wait(timeout=600)
            print(training.error or "trained")
        """
        deadline, patience = Deadline(timeout), Patience(_PATIENCE_SECONDS)
        while not self.done:
            call, seconds = self._wait_call(deadline)
            try:
                self._message = self._transport.unary(call, seconds)
                patience.sign_of_life()
            except errors.ServiceError as error:
                pause = patience.pause(error)
                if pause is None:
                    raise
                time.sleep(pause)

    def result(self, timeout: float | None = None) -> Result:
        """Waits, and returns the policy or portfolio that the operation made.

        Raises:
            ServiceError: the error that the operation ended with.
            DeadlineExceeded: it is not done after `timeout` seconds.

        Example:
            policy = client.trainer.operation("operations/81d2").result(timeout=600)
        """
        self.wait(timeout)
        return self._outcome()

    def events(self, after: int = 0) -> Iterator[Event]:
        """The events after number `after`, then live ones, until the operation is done.

        After a dropped connection it goes on behind the last event that arrived.

        Raises:
            Unavailable: the service has been away for a minute.

        Example:
            for event in client.selector.operation("operations/81d2").events():
                print(event.number, event.stage, event.message)
        """
        patience = Patience(_PATIENCE_SECONDS)
        while True:
            call = self._kind.watch(self.name, after)
            try:
                for event in self._transport.stream(call, _WATCH_SECONDS):
                    patience.sign_of_life()
                    after = event.number
                    yield event
                return
            except errors.ServiceError as error:
                pause = patience.pause(error)
                if pause is None:
                    raise
            time.sleep(pause)

    def cancel(self) -> None:
        """Asks the service to stop the work; `result` then raises `Cancelled`.

        Example:
            client.trainer.operation("operations/81d2").cancel()
        """
        self._transport.unary(services.cancel_operation(self._kind.service, self.name))


class AsyncOperation(_Operation[Result, Event]):
    """`Operation` for asyncio.

    Its methods have the names and parameters of `Operation`'s, and are explained there.

    Example:
        async def trained(client: palmfolio.AsyncClient, spec: palmfolio.PolicySpec) -> None:
            training = await client.trainer.train_policy(spec)
            async for event in training.events():
                print(event.progress.step)
            policy = await training.result()
    """

    def __init__(
        self, transport: AsyncTransport, kind: OperationKind[Result, Event], message: Any
    ) -> None:
        super().__init__(kind, message)
        self._transport = transport

    async def refresh(self) -> None:
        """As `Operation.refresh`.

        Example:
            async def done(build: palmfolio.AsyncOperation) -> bool:
                await build.refresh()
                return build.done
        """
        self._message = await self._transport.unary(
            services.get_operation(self._kind.service, self.name)
        )

    async def wait(self, timeout: float | None = None) -> None:
        """As `Operation.wait`.

        Example:
            async def waited(build: palmfolio.AsyncOperation) -> None:
                await build.wait(timeout=600)
        """
        deadline, patience = Deadline(timeout), Patience(_PATIENCE_SECONDS)
        while not self.done:
            call, seconds = self._wait_call(deadline)
            try:
                self._message = await self._transport.unary(call, seconds)
                patience.sign_of_life()
            except errors.ServiceError as error:
                pause = patience.pause(error)
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def result(self, timeout: float | None = None) -> Result:
        """As `Operation.result`.

        Example:
            async def members(build: palmfolio.AsyncOperation) -> int:
                portfolio = await build.result(timeout=3600)
                return len(portfolio.members)
        """
        await self.wait(timeout)
        return self._outcome()

    async def events(self, after: int = 0) -> AsyncIterator[Event]:
        """As `Operation.events`.

        Example:
            async def watch(build: palmfolio.AsyncOperation) -> None:
                async for event in build.events():
                    print(event.number, event.message)
        """
        patience = Patience(_PATIENCE_SECONDS)
        while True:
            call = self._kind.watch(self.name, after)
            try:
                async for event in self._transport.stream(call, _WATCH_SECONDS):
                    patience.sign_of_life()
                    after = event.number
                    yield event
                return
            except errors.ServiceError as error:
                pause = patience.pause(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def cancel(self) -> None:
        """As `Operation.cancel`.

        Example:
            async def stop(build: palmfolio.AsyncOperation) -> None:
                await build.cancel()
        """
        await self._transport.unary(services.cancel_operation(self._kind.service, self.name))
