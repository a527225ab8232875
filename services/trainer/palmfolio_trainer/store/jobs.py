"""Functions over a session that claim, renew and end training jobs.

Callers pass their attempt number (fencing token); a stale one changes nothing and gets False.
"""

import time
from dataclasses import dataclass

from google.rpc import status_pb2
from sqlalchemy import select
from sqlalchemy.orm import Session

from palmfolio.v1 import trainer_pb2
from palmfolio_runtime import leases, operations
from palmfolio_runtime.prompts import Prompt
from palmfolio_runtime.timestamps import timestamp
from palmfolio_trainer.store import policies
from palmfolio_trainer.store.tables import (
    JobRow,
    JobState,
    PolicyRow,
    PolicyState,
    PromptsRow,
)

_RUNNING = JobRow.state == JobState.RUNNING


@dataclass(frozen=True)
class Claim:
    """A job that its claimant owns until the lease ends."""

    job: str
    attempt: int
    policy: str
    spec: str
    """The `TrainingSpec` as JSON."""
    prompts: tuple[Prompt, ...]
    initial_adapter: tuple[str, str] | None
    """URI and manifest digest of the adapter that training starts from."""


def claim(session: Session, owner: str, lease_seconds: float, limit: int) -> list[Claim]:
    """Takes up to `limit` queued or abandoned jobs, oldest first, each with a new attempt."""
    rows = leases.claim(
        session,
        JobRow,
        owner,
        lease_seconds,
        limit,
        where=JobRow.state.in_(policies.ALIVE),
        order_by=(JobRow.created, JobRow.id),
    )
    for row in rows:
        row.state = JobState.RUNNING
    return [_claimed(session, row) for row in rows]


def _claimed(session: Session, row: JobRow) -> Claim:
    policy = session.get_one(PolicyRow, row.policy)
    prompts = session.get_one(PromptsRow, policy.prompts_digest)
    initial = session.get(PolicyRow, policy.initial_policy) if policy.initial_policy else None
    adapter = None
    if initial is not None and initial.adapter and initial.adapter_digest:
        adapter = (initial.adapter, initial.adapter_digest)
    return Claim(
        job=row.id,
        attempt=row.attempt,
        policy=policy.id,
        spec=policy.spec or "",
        prompts=tuple(Prompt.from_canonical(each) for each in prompts.prompts),
        initial_adapter=adapter,
    )


def owned(session: Session, owner: str) -> list[Claim]:
    """The running jobs of an owner, at their current attempts."""
    rows = leases.owned(session, JobRow, owner, where=_RUNNING)
    return [_claimed(session, row) for row in rows]


def renew(session: Session, owner: str, lease_seconds: float) -> None:
    """Extends the leases of an owner's running jobs."""
    leases.renew(session, JobRow, owner, lease_seconds, where=_RUNNING)


def requeue(session: Session, job: str, attempt: int, reason: str) -> bool:
    """Puts a running job back into the queue; an event gives the reason."""
    row = _current(session, job, attempt)
    if row is None:
        return False
    _event(session, row, policies.progress("queued", attempt), reason)
    _back_to_queue(row)
    return True


def cancellable(session: Session) -> list[str]:
    """Queued and running jobs whose operation should be cancelled."""
    query = (
        select(JobRow.id)
        .join(operations.OperationRow, operations.OperationRow.id == JobRow.id)
        .where(JobRow.state.in_(policies.ALIVE), operations.OperationRow.cancel_requested)
    )
    return list(session.scalars(query))


def cancel_queued(session: Session, job: str) -> bool:
    """Ends a job that has not begun; False when it is not in the queue."""
    row = session.get(JobRow, job, with_for_update=True)
    if row is None or row.state is not JobState.QUEUED:
        return False
    _end_cancelled(session, row)
    return True


def record(
    session: Session,
    job: str,
    attempt: int,
    progress: trainer_pb2.TrainingProgress,
    message: str,
) -> bool:
    """Appends an event, and puts the progress into the operation's metadata."""
    row = _current(session, job, attempt)
    if row is None:
        return False
    _event(session, row, progress, message)
    return True


def succeed(session: Session, job: str, attempt: int, adapter: str, digest: str) -> bool:
    """Publishes an adapter and ends the job."""
    row = _current(session, job, attempt)
    if row is None:
        return False
    row.state = JobState.SUCCEEDED
    policy = session.get_one(PolicyRow, row.policy)
    policy.state = PolicyState.READY
    policy.adapter = adapter
    policy.adapter_digest = digest
    policy.error = None
    last = _last_progress(session, row)
    last.stage = "done"
    _event(session, row, last, "the policy is ready")
    operations.succeed(session, _operation(session, row), policies.to_proto(policy))
    return True


def fail(session: Session, job: str, attempt: int, status: status_pb2.Status) -> bool:
    """Ends the job with an error."""
    row = _current(session, job, attempt)
    if row is None:
        return False
    row.state = JobState.FAILED
    _end_policy(session, row, "failed", status)
    operations.fail(session, _operation(session, row), status)
    return True


def crashed(session: Session, job: str, attempt: int, allowed: int, message: str) -> bool | None:
    """Counts a crash; puts the job back into the queue while at most `allowed` have happened.

    Returns:
        True when it was put back, False when it must fail, None when the attempt is stale.
    """
    row = _current(session, job, attempt)
    if row is None:
        return None
    row.crashes += 1
    if row.crashes > allowed:
        return False
    _event(session, row, policies.progress("queued", attempt), message)
    _back_to_queue(row)
    return True


def cancelled(session: Session, job: str, attempt: int) -> bool:
    """Ends the job as cancelled."""
    row = _current(session, job, attempt)
    if row is None:
        return False
    _end_cancelled(session, row)
    return True


def _current(session: Session, job: str, attempt: int) -> JobRow | None:
    row = leases.fence(session, JobRow, job, attempt)
    # A job that has ended keeps its last attempt and owner.
    return row if row is not None and row.state is JobState.RUNNING else None


def _back_to_queue(row: JobRow) -> None:
    row.state = JobState.QUEUED
    leases.release(row)


def _operation(session: Session, row: JobRow) -> operations.OperationRow:
    return session.get_one(operations.OperationRow, row.id)


def _end_cancelled(session: Session, row: JobRow) -> None:
    row.state = JobState.CANCELLED
    operation = _operation(session, row)
    # The operation gets the error that the policy shows as well.
    operations.cancel(session, operation)
    _end_policy(session, row, "cancelled", status_pb2.Status.FromString(operation.error or b""))


def _end_policy(session: Session, row: JobRow, stage: str, status: status_pb2.Status) -> None:
    policy = session.get_one(PolicyRow, row.policy)
    policy.state = PolicyState.FAILED
    policy.error = status.SerializeToString()
    last = _last_progress(session, row)
    last.stage = stage
    _event(session, row, last, status.message)


def _last_progress(session: Session, row: JobRow) -> trainer_pb2.TrainingProgress:
    metadata = trainer_pb2.TrainPolicyMetadata()
    operations.to_proto(_operation(session, row)).metadata.Unpack(metadata)
    return metadata.progress


def _event(
    session: Session, row: JobRow, progress: trainer_pb2.TrainingProgress, message: str
) -> None:
    now = timestamp(time.time())
    operations.append_event(
        session,
        row.id,
        lambda number: trainer_pb2.TrainingEvent(
            number=number, time=now, progress=progress, message=message
        ),
    )
    operation = _operation(session, row)
    # `append_event` raises the event count in the database, not in this object.
    session.refresh(operation)
    operations.set_metadata(
        session, operation, policies.metadata(row.policy, progress, operation.created)
    )
