"""The trainer and the scorer as a build sees them: calls with deadlines, failures in three kinds.

1. `DependencyDown`: the service is away or full; the same call may go through later.
2. `CallFaulted`: the service failed at the call; worth a few more tries.
3. `CallRejected`: the service will not make the call; trying again changes nothing.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Sequence
from typing import TypeVar

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.rpc import status_pb2
from grpc import aio

from palmfolio.v1 import (
    scorer_pb2,
    scorer_pb2_grpc,
    trainer_pb2,
    trainer_pb2_grpc,
    types_pb2,
)
from palmfolio_runtime.clients.channels import call_metadata, connect, is_transient, status_of
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.errors import ServiceError, unavailable
from palmfolio_selector.config import SelectorConfig

T = TypeVar("T")

# A server that goes away in the middle of a call can end it with any of these.
_INTERRUPTED = (
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.ABORTED,
)
_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)


class CallError(Exception):
    """A call to another service that failed.

    Attributes:
        dependency: `trainer` or `scorer`.
        status: what the service said.
    """

    def __init__(self, dependency: str, status: status_pb2.Status) -> None:
        super().__init__(f"{dependency}: {status.message}")
        self.dependency = dependency
        self.status = status


class DependencyDown(CallError):
    """The service is away or full."""

    def to_service_error(self) -> ServiceError:
        """UNAVAILABLE, for a client whose request cannot be answered without the service."""
        return unavailable(self.dependency, str(self))


class CallFaulted(CallError):
    """The service failed at the call."""


class CallRejected(CallError):
    """The service will not make the call."""

    @property
    def code(self) -> int:
        """The gRPC status code's number."""
        return int(self.status.code)


class _Client:
    """A channel that connects when it is first used."""

    dependency = ""

    def __init__(self, endpoint: Endpoint, config: SelectorConfig) -> None:
        self._endpoint = endpoint
        self._limits = config.limits
        self._metadata = call_metadata(endpoint)
        self._timeout = config.call_timeout_seconds
        self._opened: aio.Channel | None = None

    @property
    def address(self) -> str:
        """Where the service is expected."""
        return self._endpoint.address

    def _channel(self) -> aio.Channel:
        if self._opened is None:
            self._opened = connect(self._endpoint, self._limits)
        return self._opened

    async def close(self) -> None:
        """Closes the channel; running calls end."""
        if self._opened is not None:
            await self._opened.close()

    async def _answer(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except aio.AioRpcError as error:
            raise self._translated(error) from error

    async def _stream(self, call: AsyncIterable[T]) -> AsyncIterator[T]:
        try:
            async for message in call:
                yield message
        except aio.AioRpcError as error:
            raise self._translated(error) from error

    def _translated(self, error: aio.AioRpcError) -> CallError:
        status = status_of(error)
        if is_transient(error) or error.code() in _INTERRUPTED:
            return DependencyDown(self.dependency, status)
        if error.code() in _FAULTS:
            return CallFaulted(self.dependency, status)
        return CallRejected(self.dependency, status)


class TrainerClient(_Client):
    """The trainer."""

    dependency = "trainer"

    def __init__(self, config: SelectorConfig) -> None:
        super().__init__(config.trainer, config)
        self._sampling_timeout = config.sampling_timeout_seconds

    @property
    def _stub(self) -> "trainer_pb2_grpc.TrainerAsyncStub":
        return trainer_pb2_grpc.TrainerStub(self._channel())

    @property
    def _operations(self) -> operations_pb2_grpc.OperationsStub:
        return operations_pb2_grpc.OperationsStub(self._channel())

    async def base_models(self) -> dict[str, types_pb2.BaseModel]:
        """The models that can be trained, by name."""
        request = types_pb2.GetServerInfoRequest()
        call = self._stub.GetServerInfo(request, timeout=self._timeout, metadata=self._metadata)
        info = await self._answer(call)
        if not info.base_models and not info.readiness.ready:
            message = "; ".join(info.readiness.reasons) or "is starting"
            code = grpc.StatusCode.UNAVAILABLE.value[0]
            raise DependencyDown("trainer", status_pb2.Status(code=code, message=message))
        return {model.name: model for model in info.base_models}

    async def policy(self, name: str) -> trainer_pb2.Policy:
        """One policy."""
        request = trainer_pb2.GetPolicyRequest(name=name)
        call = self._stub.GetPolicy(request, timeout=self._timeout, metadata=self._metadata)
        return await self._answer(call)

    async def train(self, request: trainer_pb2.TrainPolicyRequest) -> operations_pb2.Operation:
        """Asks for a policy; the operation may be done already."""
        call = self._stub.TrainPolicy(request, timeout=self._timeout, metadata=self._metadata)
        return await self._answer(call)

    async def operation(self, name: str) -> operations_pb2.Operation:
        """One training operation."""
        request = operations_pb2.GetOperationRequest(name=name)
        call = self._operations.GetOperation(
            request, timeout=self._timeout, metadata=self._metadata
        )
        return await self._answer(call)

    async def cancel(self, name: str) -> None:
        """Asks a training to stop."""
        request = operations_pb2.CancelOperationRequest(name=name)
        call = self._operations.CancelOperation(
            request, timeout=self._timeout, metadata=self._metadata
        )
        await self._answer(call)

    def watch(self, operation: str, after: int) -> AsyncIterator[trainer_pb2.TrainingEvent]:
        """The events of a training after number `after`, until it is done."""
        request = trainer_pb2.WatchTrainingRequest(operation=operation, after_event=after)
        # A training may take days; whoever watches comes back when this ends.
        call = self._stub.WatchTraining(request, timeout=3600, metadata=self._metadata)
        return self._stream(call)

    def generate(
        self, policy: str, prompts: Sequence[str], sampling: trainer_pb2.SamplingConfig
    ) -> AsyncIterator[trainer_pb2.GenerateResponse]:
        """Responses of one policy, in batches."""
        request = trainer_pb2.GenerateRequest(policies=[policy], prompts=prompts, sampling=sampling)
        call = self._stub.Generate(request, timeout=self._sampling_timeout, metadata=self._metadata)
        return self._stream(call)


class ScorerClient(_Client):
    """The scorer."""

    dependency = "scorer"

    def __init__(self, config: SelectorConfig) -> None:
        super().__init__(config.scorer, config)
        self._scoring_timeout = config.scoring_timeout_seconds

    @property
    def _stub(self) -> "scorer_pb2_grpc.ScorerAsyncStub":
        return scorer_pb2_grpc.ScorerStub(self._channel())

    async def traits(self) -> dict[str, scorer_pb2.Trait]:
        """Every trait, by name without `traits/`."""
        found: dict[str, scorer_pb2.Trait] = {}
        token = ""
        while True:
            request = scorer_pb2.ListTraitsRequest(page_token=token)
            call = self._stub.ListTraits(request, timeout=self._timeout, metadata=self._metadata)
            page = await self._answer(call)
            found |= {trait.name.removeprefix("traits/"): trait for trait in page.traits}
            token = page.next_page_token
            if not token:
                return found

    async def max_samples(self) -> int:
        """How many samples one call may score."""
        request = types_pb2.GetServerInfoRequest()
        call = self._stub.GetServerInfo(request, timeout=self._timeout, metadata=self._metadata)
        info = await self._answer(call)
        return int(info.limits.get("max_samples", 1))

    async def score(
        self, samples: Sequence[tuple[str, str]], traits: Sequence[str]
    ) -> types_pb2.RewardMatrix:
        """The rewards of (prompt, response) samples."""
        request = scorer_pb2.ScoreRequest(
            samples=[scorer_pb2.Sample(prompt=p, response=r) for p, r in samples], traits=traits
        )
        call = self._stub.Score(request, timeout=self._scoring_timeout, metadata=self._metadata)
        return (await self._answer(call)).rewards
