"""The trainer, as other services call it."""

from collections.abc import AsyncIterator, Sequence

from google.longrunning import operations_pb2, operations_pb2_grpc

from palmfolio.v1 import trainer_pb2, trainer_pb2_grpc, types_pb2
from palmfolio_runtime.clients.connection import Connection
from palmfolio_runtime.clients.failures import DependencyDown
from palmfolio_runtime.config import Endpoint
from palmfolio_runtime.limits import Limits
from palmfolio_runtime.prompts import Prompt

# A training may take days: its watcher calls again when this deadline has passed.
_WATCH_SECONDS = 3600.0


class TrainerClient(Connection):
    """Calls to the trainer; every method raises `CallError` when its call fails.

    Args:
        endpoint: where the trainer listens.
        limits: the limits of a message.
        call_timeout_seconds: deadline of a call that should answer at once.
        sampling_timeout_seconds: deadline of sampling one policy's responses.
    """

    dependency = "trainer"

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        *,
        call_timeout_seconds: float = 60.0,
        sampling_timeout_seconds: float = 3600.0,
    ) -> None:
        super().__init__(endpoint, limits)
        self._call_timeout = call_timeout_seconds
        self._sampling_timeout = sampling_timeout_seconds

    @property
    def _stub(self) -> "trainer_pb2_grpc.TrainerAsyncStub":
        return trainer_pb2_grpc.TrainerStub(self.channel)

    @property
    def _operations(self) -> operations_pb2_grpc.OperationsStub:
        return operations_pb2_grpc.OperationsStub(self.channel)

    async def base_models(self) -> dict[str, types_pb2.BaseModel]:
        """The models that can be trained, by name.

        Raises:
            DependencyDown: also while the trainer prepares its models and knows none yet.
        """
        request = types_pb2.GetServerInfoRequest()
        call = self._stub.GetServerInfo(
            request, timeout=self._call_timeout, metadata=self._metadata
        )
        info = await self.answer(call)
        # An empty list means "none" only from a trainer that is ready.
        if not info.base_models and not info.readiness.ready:
            reasons = "; ".join(info.readiness.reasons) or "is starting"
            raise DependencyDown.because(self.dependency, reasons)
        return {model.name: model for model in info.base_models}

    async def policy(self, name: str) -> trainer_pb2.Policy:
        """The policy `policies/{id}`."""
        request = trainer_pb2.GetPolicyRequest(name=name)
        call = self._stub.GetPolicy(request, timeout=self._call_timeout, metadata=self._metadata)
        return await self.answer(call)

    async def train(self, request: trainer_pb2.TrainPolicyRequest) -> operations_pb2.Operation:
        """Asks for a policy; the operation is done already when the trainer has the policy."""
        call = self._stub.TrainPolicy(request, timeout=self._call_timeout, metadata=self._metadata)
        return await self.answer(call)

    async def operation(self, name: str) -> operations_pb2.Operation:
        """The training operation `operations/{id}` as it is now."""
        request = operations_pb2.GetOperationRequest(name=name)
        call = self._operations.GetOperation(
            request, timeout=self._call_timeout, metadata=self._metadata
        )
        return await self.answer(call)

    async def cancel(self, name: str) -> None:
        """Asks the training `operations/{id}` to stop; returns before it has stopped."""
        request = operations_pb2.CancelOperationRequest(name=name)
        call = self._operations.CancelOperation(
            request, timeout=self._call_timeout, metadata=self._metadata
        )
        await self.answer(call)

    def watch(self, operation: str, after: int) -> AsyncIterator[trainer_pb2.TrainingEvent]:
        """The events of a training after number `after`, until it is done."""
        request = trainer_pb2.WatchTrainingRequest(operation=operation, after_event=after)
        call = self._stub.WatchTraining(request, timeout=_WATCH_SECONDS, metadata=self._metadata)
        return self.messages(call)

    def generate(
        self, policy: str, prompts: Sequence[Prompt], sampling: trainer_pb2.SamplingConfig
    ) -> AsyncIterator[trainer_pb2.GenerateResponse]:
        """Responses of one policy to the prompts, in batches as they are sampled."""
        request = trainer_pb2.GenerateRequest(
            policies=[policy],
            prompts=[prompt.to_message() for prompt in prompts],
            sampling=sampling,
        )
        call = self._stub.Generate(request, timeout=self._sampling_timeout, metadata=self._metadata)
        return self.messages(call)
