"""The trainer's client for asyncio."""

# ruff: noqa: ASYNC109 - `timeout` travels to the server as the call's deadline.

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from palmfolio import types
from palmfolio._async_client.service import AsyncService
from palmfolio._calls import services
from palmfolio._calls import trainer as calls
from palmfolio._operations import AsyncOperation

AsyncTraining = AsyncOperation[types.Policy, types.TrainingEvent]
"""As `Training`."""


class AsyncTrainer(AsyncService):
    """`Trainer` for asyncio.

    Example:
        async def policies(client: palmfolio.AsyncClient) -> list[str]:
            return [policy.name async for policy in client.trainer.list_policies()]
    """

    async def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """As `Trainer.server_info`."""
        return await self._transport.unary(services.server_info("trainer"), timeout)

    async def train_policy(
        self,
        spec: types.PolicySpec,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> AsyncTraining:
        """As `Trainer.train_policy`."""
        message = await self._transport.unary(calls.train_policy(spec, request_id), timeout)
        return AsyncOperation(self._transport, calls.TRAINING, message)

    async def get_policy(self, name: str, *, timeout: float | None = None) -> types.Policy:
        """As `Trainer.get_policy`."""
        return await self._transport.unary(calls.get_policy(name), timeout)

    def list_policies(self) -> AsyncIterator[types.Policy]:
        """As `Trainer.list_policies`."""
        return self._pages(calls.list_policies)

    async def delete_policy(self, name: str, *, timeout: float | None = None) -> None:
        """As `Trainer.delete_policy`."""
        await self._transport.unary(calls.delete_policy(name), timeout)

    async def generate(
        self,
        policies: Sequence[str],
        prompts: Sequence[str | types.Prompt],
        *,
        sampling: types.SamplingConfig | None = None,
        timeout: float | None = None,
    ) -> list[types.Completion]:
        """As `Trainer.generate`."""
        stream = self.generate_stream(policies, prompts, sampling=sampling, timeout=timeout)
        return calls.in_request_order([item async for item in stream], policies)

    async def generate_stream(
        self,
        policies: Sequence[str],
        prompts: Sequence[str | types.Prompt],
        *,
        sampling: types.SamplingConfig | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[types.Completion, None]:
        """As `Trainer.generate_stream`."""
        call = calls.generate(policies, prompts, sampling)
        async for batch in self._transport.stream(call, timeout):
            for completion in batch:
                yield completion

    async def operation(self, name: str, *, timeout: float | None = None) -> AsyncTraining:
        """As `Trainer.operation`."""
        message = await self._transport.unary(services.get_operation("trainer", name), timeout)
        return AsyncOperation(self._transport, calls.TRAINING, message)

    async def list_operations(self) -> AsyncIterator[AsyncTraining]:
        """As `Trainer.list_operations`."""
        async for message in self._pages(lambda token: services.list_operations("trainer", token)):
            yield AsyncOperation(self._transport, calls.TRAINING, message)
