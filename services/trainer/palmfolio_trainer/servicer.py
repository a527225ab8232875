"""The calls of `palmfolio.v1.Trainer`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING

from google.longrunning import operations_pb2
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, trainer_pb2, trainer_pb2_grpc, types_pb2
from palmfolio_runtime import errors, names, operations
from palmfolio_runtime.clients.failures import CallError
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_trainer.policies import spec
from palmfolio_trainer.policies.artifacts import ArtifactError
from palmfolio_trainer.sampling.transformers import backend as pool
from palmfolio_trainer.store import policies
from palmfolio_trainer.store.tables import PolicyRow, PolicyState

if TYPE_CHECKING:
    from palmfolio_trainer.service import TrainerService


class TrainerServicer(trainer_pb2_grpc.TrainerServicer):
    """Answers calls with the service's parts."""

    def __init__(self, service: "TrainerService") -> None:
        self._service = service

    async def GetServerInfo(
        self, request: types_pb2.GetServerInfoRequest, context: Context
    ) -> types_pb2.ServerInfo:
        """Limits, base models, devices and readiness."""
        service = self._service
        reasons = list(service.not_ready())
        limits = service.config.limits.as_map() | {
            "max_queued_generations": service.config.max_queued_generations,
            "slots": service.config.slots,
        }
        return types_pb2.ServerInfo(
            service="trainer",
            version=metadata.version("palmfolio"),
            readiness=types_pb2.Readiness(ready=not reasons, reasons=reasons),
            limits=limits,
            devices=service.samplers.devices,
            base_models=[
                types_pb2.BaseModel(
                    name=base.name,
                    policy=names.POLICIES.name(base.policy_id),
                    revision=base.revision,
                )
                for base in service.bases.values()
            ],
        )

    async def TrainPolicy(
        self, request: trainer_pb2.TrainPolicyRequest, context: Context
    ) -> operations_pb2.Operation:
        """The operation that trains the policy."""
        service = self._service
        service.require_ready()
        known = await service.database.run(_known_operation, request)
        if known is not None:
            return known
        try:
            traits = await service.scorer.loaded_traits()
        except CallError as error:
            raise service.scorer.unavailable(error) from error
        limits = service.config.limits
        training = spec.parse(request.spec, service.bases, traits, limits)
        arguments = (request, training, limits.max_queued_jobs)
        try:
            operation = await service.database.run(_admit, *arguments)
        except IntegrityError:
            # Another replica admitted the same policy at the same moment; it is there now.
            operation = await service.database.run(_admit, *arguments)
        service.jobs.wake()
        return operation

    async def GetPolicy(
        self, request: trainer_pb2.GetPolicyRequest, context: Context
    ) -> trainer_pb2.Policy:
        """One policy."""
        self._service.require_ready()
        return policies.to_proto(await self._service.database.run(policies.get, request.name))

    async def ListPolicies(
        self, request: trainer_pb2.ListPoliciesRequest, context: Context
    ) -> trainer_pb2.ListPoliciesResponse:
        """One page of policies, newest first."""
        self._service.require_ready()
        rows, token = await self._service.database.run(
            policies.list_page, request.page_size, request.page_token
        )
        return trainer_pb2.ListPoliciesResponse(
            policies=[policies.to_proto(row) for row in rows], next_page_token=token
        )

    async def DeletePolicy(
        self, request: trainer_pb2.DeletePolicyRequest, context: Context
    ) -> trainer_pb2.DeletePolicyResponse:
        """Deletes a policy and its adapter."""
        self._service.require_ready()
        row = await self._service.database.run(policies.delete, request.name)
        if row.adapter:
            await asyncio.to_thread(self._service.artifacts.delete, row.adapter)
        return trainer_pb2.DeletePolicyResponse()

    async def Generate(
        self, request: trainer_pb2.GenerateRequest, context: Context
    ) -> AsyncIterator[trainer_pb2.GenerateResponse]:
        """Streams completions as they are sampled."""
        service = self._service
        service.require_ready()
        config = pool.parse(request, service.config.limits)
        rows = await service.database.run(_ready_policies, request.policies)
        base = self._shared_base(rows)
        adapters = {row.id: await self._adapter(row) for row in rows}
        batches = service.sampling.stream(
            lambda cancelled: service.samplers.sample(
                base, adapters, request.prompts, config, cancelled
            )
        )
        async for batch in batches:
            yield trainer_pb2.GenerateResponse(completions=batch)

    async def WatchTraining(
        self, request: trainer_pb2.WatchTrainingRequest, context: Context
    ) -> AsyncIterator[trainer_pb2.TrainingEvent]:
        """Streams a training's events until it is done."""
        service = self._service
        payloads = operations.watch(
            service.database, service.changes, request.operation, request.after_event
        )
        async for payload in payloads:
            yield trainer_pb2.TrainingEvent.FromString(payload)

    def _shared_base(self, rows: Sequence[PolicyRow]) -> spec.BaseModel:
        served = {base.policy_id: base for base in self._service.bases.values()}
        identifiers = {_base_policy(row) for row in rows}
        if len(identifiers) > 1:
            models = ", ".join(sorted({row.base_model for row in rows}))
            text = f"share no base model ({models}); ask for each base model on its own"
            raise errors.invalid_argument(("policies", text))
        base = served.get(identifiers.pop())
        if base is None:
            raise errors.failed_precondition(
                errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
                f"this trainer no longer serves the base model {rows[0].base_model} "
                f"at the revision that policies/{rows[0].id} was trained from",
            )
        return base

    async def _adapter(self, row: PolicyRow) -> str | None:
        if not row.adapter or not row.adapter_digest:
            return None
        artifacts = self._service.artifacts
        try:
            return str(await asyncio.to_thread(artifacts.fetch, row.adapter, row.adapter_digest))
        except (ArtifactError, OSError) as error:
            raise errors.failed_precondition(
                errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
                f"the adapter of policies/{row.id} cannot be used: {error}; "
                "delete the policy and train it again",
            ) from error


def _known_operation(
    session: Session, request: trainer_pb2.TrainPolicyRequest
) -> operations_pb2.Operation | None:
    """What the same request answered before; None for a new one, or one that was forgotten."""
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


def _base_policy(row: PolicyRow) -> str:
    """The id of the base model's own policy."""
    if row.spec is None:
        return row.id
    return spec.TrainingSpec.model_validate_json(row.spec).base_policy_id
