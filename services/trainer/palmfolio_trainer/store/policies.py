"""Functions over a session that read and change policies."""

import dataclasses
import time
from collections.abc import Mapping

from google.longrunning import operations_pb2
from google.rpc import status_pb2
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, trainer_pb2
from palmfolio_runtime import errors, names, operations
from palmfolio_runtime.pages import Listing
from palmfolio_runtime.timestamps import timestamp
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.spec import TrainingRequest, TrainingSpec
from palmfolio_trainer.store import readdressing
from palmfolio_trainer.store.tables import (
    JobRow,
    JobState,
    PolicyRow,
    PolicyState,
    PromptsRow,
)

KIND = "train_policy"
METHOD = "TrainPolicy"
ALIVE = (JobState.QUEUED, JobState.RUNNING)
_QUEUE_RETRY_SECONDS = 10.0
_LISTING = Listing("policies", float, str)


def get(session: Session, name: str, field: str = "name") -> PolicyRow:
    """The policy `policies/{id}`.

    Raises:
        ServiceError: INVALID_ARGUMENT naming `field`, or NOT_FOUND.
    """
    row = session.get(PolicyRow, names.POLICIES.parse(name, field))
    if row is None:
        raise errors.not_found(name)
    return row


def at_address(session: Session, address: str, *, lock: bool = False) -> PolicyRow | None:
    """The policy of a content address, whatever its id; None when there is none.

    Args:
        session: the session.
        address: see `TrainingSpec.address` and `BaseModel.address`.
        lock: whether the row is locked until the transaction ends.
    """
    query = select(PolicyRow).where(PolicyRow.address == address)
    return session.scalar(query.with_for_update() if lock else query)


def add_base_models(session: Session, models: Mapping[str, BaseModel]) -> dict[str, BaseModel]:
    """Makes a policy of each base model that has none yet.

    Policies of these base models that an older trainer stored get their addresses first, so that
    they are found again.

    Returns:
        The models, each with the id that its policy has in the database.
    """
    stored = {}
    for name, model in models.items():
        readdressing.adopt(session, model)
        row = at_address(session, model.address)
        if row is None:
            row = PolicyRow(
                id=model.address,
                address=model.address,
                base_model=model.name,
                state=PolicyState.READY,
                created=time.time(),
            )
            session.add(row)
        stored[name] = dataclasses.replace(model, stored_policy=row.id)
    return stored


def check_initial(session: Session, spec: TrainingSpec) -> None:
    """Checks that training can start from the spec's initial policy, if it names one.

    Raises:
        ServiceError: INVALID_ARGUMENT when it is unknown, not ready, or of another base model.
    """
    if spec.initial_policy is None:
        return
    row = session.get(PolicyRow, spec.initial_policy)
    if row is None:
        problem = f"policies/{spec.initial_policy} does not exist"
    elif row.state is not PolicyState.READY:
        problem = f"policies/{row.id} is not ready: {row.state.value}"
    elif row.spec is None:
        problem = f"policies/{row.id} is another base model than {spec.base_model}"
    else:
        trained = TrainingSpec.model_validate_json(row.spec)
        if trained.base_address == spec.base_address:
            return
        problem = f"policies/{row.id} is trained from another base model, {trained.base_model}"
    raise errors.invalid_argument(("spec.initial_policy", problem))


def admit(
    session: Session,
    request: trainer_pb2.TrainPolicyRequest,
    training: TrainingRequest,
    max_alive_jobs: int,
) -> operations_pb2.Operation:
    """The operation that trains a spec: a finished or a running one, or a new one.

    Raises:
        ServiceError: RESOURCE_EXHAUSTED when too many jobs wait or run.
    """
    policy = at_address(session, training.address, lock=True)
    operation = _current_operation(session, policy) if policy else None
    if policy is not None and policy.state is PolicyState.READY:
        # Clients may delete operations; a ready policy still answers with one.
        if operation is None or operation.state is not operations.OperationState.SUCCEEDED:
            operation = _finished_operation(session, policy)
    elif policy is None or policy.state is not PolicyState.TRAINING or operation is None:
        _check_queue(session, max_alive_jobs)
        operation = _begin(session, policy or _add(session, training))
    operations.remember_request(
        session, METHOD, request.request_id, request, names.OPERATIONS.name(operation.id)
    )
    return operations.to_proto(operation)


def _current_operation(session: Session, policy: PolicyRow) -> operations.OperationRow | None:
    return session.get(operations.OperationRow, policy.operation) if policy.operation else None


def _add(session: Session, training: TrainingRequest) -> PolicyRow:
    spec = training.spec
    if session.get(PromptsRow, spec.prompts_digest) is None:
        canonical = [prompt.canonical() for prompt in training.prompts]
        # Flushed first, because the policy refers to them.
        session.add(PromptsRow(digest=spec.prompts_digest, prompts=canonical))
        session.flush()
    policy = PolicyRow(
        id=training.address,
        address=training.address,
        base_model=spec.base_model,
        spec=spec.model_dump_json(),
        prompts_digest=spec.prompts_digest,
        initial_policy=spec.initial_policy,
        state=PolicyState.TRAINING,
        created=time.time(),
    )
    session.add(policy)
    session.flush()
    return policy


def _begin(session: Session, policy: PolicyRow) -> operations.OperationRow:
    operation = operations.create(
        session,
        KIND,
        names.POLICIES.name(policy.id),
        metadata(policy.id, progress("queued"), time.time()),
    )
    session.add(
        JobRow(id=operation.id, policy=policy.id, state=JobState.QUEUED, created=time.time())
    )
    policy.state = PolicyState.TRAINING
    policy.error = None
    policy.operation = operation.id
    return operation


def _finished_operation(session: Session, policy: PolicyRow) -> operations.OperationRow:
    """A new operation of a policy whose own operation was deleted."""
    operation = operations.create(
        session,
        KIND,
        names.POLICIES.name(policy.id),
        metadata(policy.id, progress("done"), time.time()),
    )
    operations.succeed(session, operation, to_proto(policy))
    policy.operation = operation.id
    return operation


def _check_queue(session: Session, max_alive_jobs: int) -> None:
    alive = session.scalar(select(func.count()).where(JobRow.state.in_(ALIVE))) or 0
    if alive >= max_alive_jobs:
        raise errors.resource_exhausted(
            f"{alive} trainings wait or run, the limit max_queued_jobs is {max_alive_jobs}",
            _QUEUE_RETRY_SECONDS,
        )


def list_page(
    session: Session, page_size: int, page_token: str, max_bytes: int
) -> tuple[list[trainer_pb2.Policy], str]:
    """One page of policies, newest first, and the next page's token (empty on the last)."""
    return _LISTING.newest_first(session, PolicyRow, page_size, page_token, to_proto, max_bytes)


def delete(session: Session, name: str) -> PolicyRow:
    """Deletes the rows of a policy and of its jobs; returns the policy's.

    Raises:
        ServiceError: NOT_FOUND; FAILED_PRECONDITION for a base model, in training, or while
            another training starts from it.
    """
    row = get(session, name)
    if row.is_base_model:
        raise _in_use(f"{name} is a base model of this server's configuration")
    if row.state is PolicyState.TRAINING:
        raise _in_use(f"{name} is in training; cancel operations/{row.operation} first")
    successor = session.scalar(
        select(PolicyRow.id).where(
            PolicyRow.initial_policy == row.id, PolicyRow.state == PolicyState.TRAINING
        )
    )
    if successor:
        raise _in_use(f"policies/{successor}, in training, starts from {name}")
    # Jobs first, because they refer to the policy.
    for job in session.scalars(select(JobRow).where(JobRow.policy == row.id)):
        session.delete(job)
    session.flush()
    session.delete(row)
    return row


def _in_use(message: str) -> errors.ServiceError:
    return errors.failed_precondition(errors_pb2.ERROR_REASON_RESOURCE_IN_USE, message)


def to_proto(row: PolicyRow) -> trainer_pb2.Policy:
    """The policy as the protocol shows it, without its prompts."""
    policy = trainer_pb2.Policy(
        name=names.POLICIES.name(row.id),
        prompts_digest=row.prompts_digest or "",
        state=_STATES[row.state],
        adapter=row.adapter or "",
        adapter_digest=row.adapter_digest or "",
        create_time=timestamp(row.created),
        is_base_model=row.is_base_model,
    )
    if row.spec is None:
        policy.spec.base_model = row.base_model
    else:
        policy.spec.CopyFrom(TrainingSpec.model_validate_json(row.spec).to_proto())
    if row.error is not None:
        policy.error.CopyFrom(status_pb2.Status.FromString(row.error))
    return policy


def progress(stage: str, attempt: int = 0) -> trainer_pb2.TrainingProgress:
    """The progress of a training that has no finished step."""
    return trainer_pb2.TrainingProgress(stage=stage, attempt=attempt)


def metadata(
    policy: str, progress: trainer_pb2.TrainingProgress, created: float
) -> trainer_pb2.TrainPolicyMetadata:
    """The metadata of a training operation."""
    return trainer_pb2.TrainPolicyMetadata(
        policy=names.POLICIES.name(policy), progress=progress, create_time=timestamp(created)
    )


_STATES = {
    PolicyState.TRAINING: trainer_pb2.POLICY_STATE_TRAINING,
    PolicyState.READY: trainer_pb2.POLICY_STATE_READY,
    PolicyState.FAILED: trainer_pb2.POLICY_STATE_FAILED,
}
