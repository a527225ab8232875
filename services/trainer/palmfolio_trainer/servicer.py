"""The calls of `palmfolio.v1.Trainer`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from google.longrunning import operations_pb2
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, trainer_pb2, trainer_pb2_grpc, types_pb2
from palmfolio_runtime import errors, names, operations
from palmfolio_runtime.clients.failures import CallError
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.database import Database
from palmfolio_runtime.limits import TrainerLimits
from palmfolio_runtime.prompts import Prompt
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies import spec
from palmfolio_trainer.policies.artifacts import ArtifactError, ArtifactStore
from palmfolio_trainer.sampling import request as generation
from palmfolio_trainer.sampling.backend import PromptRefused, SamplingBackend
from palmfolio_trainer.sampling.thread import SamplingThread
from palmfolio_trainer.store import policies
from palmfolio_trainer.store.tables import PolicyRow, PolicyState


@dataclass(frozen=True)
class TrainerParts:
    """What the calls need of the service.

    Attributes:
        limits: of a request.
        max_queued_generations: `Generate` calls that may wait or run.
        slots: trainings that may run at a time.
        database: policies, jobs and operations.
        changes: notified when an operation gets a new event.
        bases: the base models by name; empty until the service is ready.
        scorer: the scorer, which knows the traits.
        artifacts: the adapters.
        backend: samples; used only on `sampling`.
        sampling: the thread of everything that touches a model.
        not_ready: the reasons why the trainer does not work as it should; none when it does.
        require_ready: raises UNAVAILABLE while the trainer takes no calls.
        wake_jobs: makes the job loop look at the database at once.
    """

    limits: TrainerLimits
    max_queued_generations: int
    slots: int
    database: Database
    changes: operations.Changes
    bases: Mapping[str, BaseModel]
    scorer: ScorerClient
    artifacts: ArtifactStore
    backend: SamplingBackend
    sampling: SamplingThread
    not_ready: Callable[[], Sequence[str]]
    require_ready: Callable[[], None]
    wake_jobs: Callable[[], None]


class TrainerServicer(trainer_pb2_grpc.TrainerServicer):
    """Answers the calls of clients.

    Args:
        parts: what the calls need of the service.
    """

    def __init__(self, parts: TrainerParts) -> None:
        self._parts = parts

    async def GetServerInfo(
        self, request: types_pb2.GetServerInfoRequest, context: Context
    ) -> types_pb2.ServerInfo:
        """Limits, base models, devices and readiness."""
        parts = self._parts
        reasons = list(parts.not_ready())
        limits = parts.limits.as_map() | {
            "max_queued_generations": parts.max_queued_generations,
            "slots": parts.slots,
        }
        return types_pb2.ServerInfo(
            service="trainer",
            version=metadata.version("palmfolio"),
            readiness=types_pb2.Readiness(ready=not reasons, reasons=reasons),
            limits=limits,
            devices=parts.backend.devices,
            base_models=[
                types_pb2.BaseModel(
                    name=base.name,
                    policy=names.POLICIES.name(base.policy_id),
                    revision=base.revision,
                )
                for base in parts.bases.values()
            ],
        )

    async def TrainPolicy(
        self, request: trainer_pb2.TrainPolicyRequest, context: Context
    ) -> operations_pb2.Operation:
        """The operation that trains the policy."""
        parts = self._parts
        parts.require_ready()
        # Before the scorer is asked: a retry must be answered even while the scorer is away.
        known = await parts.database.run(_known_operation, request)
        if known is not None:
            return known
        try:
            traits = await parts.scorer.loaded_traits()
        except CallError as error:
            raise parts.scorer.unavailable(error) from error
        training = spec.parse(request.spec, parts.bases, traits, parts.limits)
        arguments = (request, training, parts.limits.max_queued_jobs)
        try:
            operation = await parts.database.run(_admit, *arguments)
        except IntegrityError:
            # Another replica admitted the same policy at the same moment; it is there now.
            operation = await parts.database.run(_admit, *arguments)
        parts.wake_jobs()
        return operation

    async def GetPolicy(
        self, request: trainer_pb2.GetPolicyRequest, context: Context
    ) -> trainer_pb2.Policy:
        """One policy."""
        self._parts.require_ready()
        return policies.to_proto(await self._parts.database.run(policies.get, request.name))

    async def ListPolicies(
        self, request: trainer_pb2.ListPoliciesRequest, context: Context
    ) -> trainer_pb2.ListPoliciesResponse:
        """One page of policies, newest first."""
        self._parts.require_ready()
        shown, token = await self._parts.database.run(
            policies.list_page,
            request.page_size,
            request.page_token,
            self._parts.limits.max_message_bytes,
        )
        return trainer_pb2.ListPoliciesResponse(policies=shown, next_page_token=token)

    async def DeletePolicy(
        self, request: trainer_pb2.DeletePolicyRequest, context: Context
    ) -> trainer_pb2.DeletePolicyResponse:
        """Deletes a policy and its adapter."""
        self._parts.require_ready()
        row = await self._parts.database.run(policies.delete, request.name)
        # After the row: a crash in between leaves files without a policy, never the reverse.
        if row.adapter:
            await asyncio.to_thread(self._parts.artifacts.delete, row.adapter)
        return trainer_pb2.DeletePolicyResponse()

    async def Generate(
        self, request: trainer_pb2.GenerateRequest, context: Context
    ) -> AsyncIterator[trainer_pb2.GenerateResponse]:
        """Streams completions as they are sampled."""
        parts = self._parts
        parts.require_ready()
        settings = generation.parse(request, parts.limits)
        prompts = [Prompt.from_message(prompt) for prompt in request.prompts]
        rows = await parts.database.run(_ready_policies, request.policies)
        base = self._shared_base(rows)
        # Fetched and verified before sampling begins: no client gets half an answer.
        adapters = {row.id: await self._adapter(row) for row in rows}
        batches = parts.sampling.stream(
            lambda cancelled: parts.backend.sample(base, adapters, prompts, settings, cancelled)
        )
        try:
            async for batch in batches:
                completions = [generation.to_proto(completion) for completion in batch]
                yield trainer_pb2.GenerateResponse(completions=completions)
        except PromptRefused as error:
            raise errors.invalid_argument(("prompts", str(error))) from error

    async def WatchTraining(
        self, request: trainer_pb2.WatchTrainingRequest, context: Context
    ) -> AsyncIterator[trainer_pb2.TrainingEvent]:
        """Streams a training's events until it is done."""
        parts = self._parts
        payloads = operations.watch(
            parts.database, parts.changes, request.operation, request.after_event
        )
        async for payload in payloads:
            yield trainer_pb2.TrainingEvent.FromString(payload)

    def _shared_base(self, rows: Sequence[PolicyRow]) -> BaseModel:
        served = {base.address: base for base in self._parts.bases.values()}
        addresses = {_base_address(row) for row in rows}
        if len(addresses) > 1:
            models = ", ".join(sorted({row.base_model for row in rows}))
            text = f"have different base models ({models}); make one call for each base model"
            raise errors.invalid_argument(("policies", text))
        base = served.get(addresses.pop())
        if base is None:
            raise errors.failed_precondition(
                errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
                f"this trainer no longer serves the base model {rows[0].base_model} "
                f"at the revision that policies/{rows[0].id} was trained from",
            )
        return base

    async def _adapter(self, row: PolicyRow) -> Path | None:
        if not row.adapter or not row.adapter_digest:
            return None
        artifacts = self._parts.artifacts
        try:
            return await asyncio.to_thread(artifacts.fetch, row.adapter, row.adapter_digest)
        except (ArtifactError, OSError) as error:
            raise errors.failed_precondition(
                errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
                f"the adapter of policies/{row.id} cannot be used: {error}; "
                "delete the policy and train it again",
            ) from error


def _known_operation(
    session: Session, request: trainer_pb2.TrainPolicyRequest
) -> operations_pb2.Operation | None:
    """The operation that the same request got before; None if there is none any more."""
    name = operations.find_request(session, policies.METHOD, request.request_id, request)
    if name is None:
        return None
    row = session.get(operations.OperationRow, names.OPERATIONS.parse(name, "name"))
    return None if row is None else operations.to_proto(row)


def _admit(
    session: Session,
    request: trainer_pb2.TrainPolicyRequest,
    training: spec.TrainingRequest,
    max_jobs: int,
) -> operations_pb2.Operation:
    policies.check_initial(session, training.spec)
    return policies.admit(session, request, training, max_jobs)


def _ready_policies(session: Session, wanted: Sequence[str]) -> list[PolicyRow]:
    rows = [policies.get(session, name, f"policies[{i}]") for i, name in enumerate(wanted)]
    for row in rows:
        if row.state is not PolicyState.READY:
            raise errors.failed_precondition(
                errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
                f"policies/{row.id} is not ready: {row.state.value}",
            )
    return rows


def _base_address(row: PolicyRow) -> str:
    """The content address of the policy's base model."""
    if row.spec is None:
        return row.address or row.id
    return spec.TrainingSpec.model_validate_json(row.spec).base_address
