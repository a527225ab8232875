"""Policies and jobs in the database: identity, leases, fencing, and what a policy becomes.

Each test runs on SQLite and on PostgreSQL.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from google.longrunning import operations_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import trainer_pb2
from palmfolio_runtime import errors, operations
from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.spec import TrainingRequest, TrainingSpec
from palmfolio_trainer.store import jobs, policies
from palmfolio_trainer.store.jobs import Claim
from palmfolio_trainer.store.tables import Base
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings
from tests.support.prompts import text_prompts

BASE = BaseModel(name="tiny", revision="r1", path="tiny")
PROMPTS = (
    *text_prompts("One?"),
    Prompt.of_text("2 + 2?", "#### 4"),
    Prompt((ChatMessage("system", "Be brief."), ChatMessage("user", "Two?"))),
)
LEASE = 60.0
FAILURE = errors.internal("x").to_status()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    made = Database(database_url)
    await made.migrate("palmfolio_trainer.store")
    await made.run(policies.add_base_models, {"tiny": BASE})
    yield made
    made.close()


def training(seed: int = 0, initial: str | None = None) -> TrainingRequest:
    """A checked request."""
    spec = TrainingSpec(
        base_model="tiny",
        base_revision="r1",
        weights={"brevity": 1.0},
        trait_versions={"brevity": "b1"},
        prompts_digest="d1",
        seed=seed,
        initial_policy=initial,
        settings=GrpoSettings(),
    )
    return TrainingRequest(spec, PROMPTS)


async def admit(
    database: Database, request_id: str, request: TrainingRequest | None = None, limit: int = 10
) -> operations_pb2.Operation:
    """Asks for a training."""
    message = trainer_pb2.TrainPolicyRequest(request_id=request_id)
    return await database.run(policies.admit, message, request or training(), limit)


async def claim(database: Database, owner: str = "me", limit: int = 1) -> list[Claim]:
    """Takes jobs."""
    return await database.run(jobs.claim, owner, LEASE, limit)


async def claim_one(database: Database, owner: str = "me") -> Claim:
    """Takes the only job."""
    (claimed,) = await claim(database, owner)
    return claimed


async def operation(database: Database, name: str) -> operations_pb2.Operation:
    """The operation as clients see it."""
    return operations.to_proto(await database.run(operations.get, name))


async def policy(database: Database) -> trainer_pb2.Policy:
    """The trained policy as clients see it."""
    return policies.to_proto(await database.run(policies.get, f"policies/{training().address}"))


async def test_the_migrations_make_the_tables_that_the_program_knows(database: Database) -> None:
    def differences(session: Session) -> list[object]:
        context = MigrationContext.configure(session.connection())
        # Alembic takes several, though its types say otherwise.
        known: Any = [Base.metadata, operations.Base.metadata]
        return list(compare_metadata(context, known))

    assert await database.run(differences) == []


async def test_a_spec_is_trained_once(database: Database) -> None:
    first = await admit(database, "a")
    assert (await admit(database, "b")).name == first.name
    claimed = await claim_one(database)
    assert (await admit(database, "c")).name == first.name
    await database.run(jobs.succeed, claimed.job, claimed.attempt, "file:///a", "digest")
    again = await admit(database, "d")
    assert again.name == first.name
    assert again.done
    assert await claim(database) == []


async def test_success_makes_the_policy_ready(database: Database) -> None:
    asked = await admit(database, "a")
    claimed = await claim_one(database)
    assert claimed.prompts == PROMPTS
    assert TrainingSpec.model_validate_json(claimed.spec) == training().spec
    await database.run(jobs.succeed, claimed.job, claimed.attempt, "file:///a", "digest")
    made = await policy(database)
    assert made.state == trainer_pb2.POLICY_STATE_READY
    assert (made.adapter, made.adapter_digest) == ("file:///a", "digest")
    response = trainer_pb2.Policy()
    assert (await operation(database, asked.name)).response.Unpack(response)
    assert response == made


async def test_a_ready_policy_whose_operation_was_deleted_gets_a_done_one(
    database: Database,
) -> None:
    asked = await admit(database, "a")
    claimed = await claim_one(database)
    await database.run(jobs.succeed, claimed.job, claimed.attempt, "file:///a", "digest")

    def forget(session: Session) -> None:
        operations.delete(session, operations.get(session, asked.name))

    await database.run(forget)
    again = await admit(database, "b")
    assert again.done
    assert again.name != asked.name


async def test_a_failed_policy_is_trained_again_on_request(database: Database) -> None:
    first = await admit(database, "a")
    claimed = await claim_one(database)
    await database.run(jobs.fail, claimed.job, claimed.attempt, FAILURE)
    failed = await policy(database)
    assert failed.state == trainer_pb2.POLICY_STATE_FAILED
    assert failed.error == FAILURE
    assert (await operation(database, first.name)).error == FAILURE
    second = await admit(database, "b")
    assert second.name != first.name
    assert (await policy(database)).state == trainer_pb2.POLICY_STATE_TRAINING
    assert not (await policy(database)).HasField("error")
    assert (await claim_one(database)).job != claimed.job


async def test_the_queue_has_a_limit(database: Database) -> None:
    await admit(database, "a", training(seed=0), limit=1)
    with pytest.raises(ServiceError) as caught:
        await admit(database, "b", training(seed=1), limit=1)
    assert caught.value.code.name == "RESOURCE_EXHAUSTED"


async def test_jobs_are_claimed_once_and_in_order(database: Database) -> None:
    names = [(await admit(database, str(seed), training(seed=seed))).name for seed in range(3)]
    first = await claim(database, "me", 2)
    second = await claim(database, "you", 2)
    assert [f"operations/{c.job}" for c in [*first, *second]] == names
    assert await claim(database, "me", 2) == []


async def test_an_expired_lease_makes_the_old_attempt_powerless(database: Database) -> None:
    asked = await admit(database, "a")
    (old,) = await database.run(jobs.claim, "me", -1.0, 1)
    new = await claim_one(database, "you")
    assert (new.job, new.attempt) == (old.job, 2)
    progress = policies.progress("training", 1)
    assert not await database.run(jobs.record, old.job, old.attempt, progress, "")
    assert not await database.run(jobs.succeed, old.job, old.attempt, "file:///old", "old")
    assert not await database.run(jobs.fail, old.job, old.attempt, FAILURE)
    assert not await database.run(jobs.cancelled, old.job, old.attempt)
    assert not await database.run(jobs.requeue, old.job, old.attempt, "")
    assert await database.run(jobs.crashed, old.job, old.attempt, 1, "") is None
    assert not (await operation(database, asked.name)).done
    assert await database.run(jobs.succeed, new.job, new.attempt, "file:///new", "new")
    assert (await policy(database)).adapter == "file:///new"


async def test_a_renewed_lease_keeps_the_job(database: Database) -> None:
    await admit(database, "a")
    await database.run(jobs.claim, "me", -1.0, 1)
    await database.run(jobs.renew, "me", LEASE)
    assert await claim(database, "you") == []
    assert len(await database.run(jobs.owned, "me")) == 1
    assert await database.run(jobs.owned, "you") == []


async def test_a_job_that_lost_its_process_is_claimed_with_a_new_attempt(
    database: Database,
) -> None:
    await admit(database, "a")
    first = await claim_one(database)
    assert await database.run(jobs.requeue, first.job, first.attempt, "why")
    assert (await claim_one(database)).attempt == 2


async def test_a_crash_is_forgiven_once(database: Database) -> None:
    await admit(database, "a")
    first = await claim_one(database)
    assert await database.run(jobs.crashed, first.job, first.attempt, 1, "killed") is True
    second = await claim_one(database)
    assert second.attempt == 2
    assert await database.run(jobs.crashed, second.job, second.attempt, 1, "killed") is False


async def test_cancelling_a_queued_job_ends_it(database: Database) -> None:
    asked = await admit(database, "a")

    def request_cancel(session: Session) -> bool:
        return operations.request_cancel(session, operations.get(session, asked.name))

    assert await database.run(jobs.cancellable) == []
    assert await database.run(request_cancel)
    (job,) = await database.run(jobs.cancellable)
    assert await database.run(jobs.cancel_queued, job)
    ended = await operation(database, asked.name)
    assert ended.error.code == 1
    assert (await policy(database)).state == trainer_pb2.POLICY_STATE_FAILED
    assert await database.run(jobs.cancellable) == []
    assert await claim(database) == []


async def test_progress_is_an_event_and_the_metadata(database: Database) -> None:
    asked = await admit(database, "a")
    claimed = await claim_one(database)
    for step in (1, 2):
        progress = trainer_pb2.TrainingProgress(stage="training", step=step, steps=2, attempt=1)
        await database.run(jobs.record, claimed.job, claimed.attempt, progress, f"step {step}")
    metadata = trainer_pb2.TrainPolicyMetadata()
    assert (await operation(database, asked.name)).metadata.Unpack(metadata)
    assert metadata.progress == progress
    assert metadata.policy == f"policies/{training().address}"
    rows, finished = await database.run(operations.events_after, claimed.job, 0)
    events = [trainer_pb2.TrainingEvent.FromString(row.payload) for row in rows]
    assert [(e.number, e.message) for e in events] == [(1, "step 1"), (2, "step 2")]
    assert not finished


async def test_policies_are_listed_newest_first_a_page_at_a_time(database: Database) -> None:
    for seed in range(3):
        await admit(database, str(seed), training(seed=seed))
    seen, token = [], ""
    while True:
        shown, token = await database.run(policies.list_page, 2, token, 2**20)
        seen += [policy.name.removeprefix("policies/") for policy in shown]
        if not token:
            break
    expected = [training(seed=seed).address for seed in (2, 1, 0)]
    assert seen == [*expected, BASE.policy_id]
    with pytest.raises(ServiceError, match="page_token"):
        await database.run(policies.list_page, 2, "nonsense", 2**20)


async def test_deleting_needs_a_policy_that_nothing_uses(database: Database) -> None:
    name = f"policies/{training().address}"
    await admit(database, "a")
    for used in (name, f"policies/{BASE.policy_id}"):
        with pytest.raises(ServiceError) as caught:
            await database.run(policies.delete, used)
        assert caught.value.code.name == "FAILED_PRECONDITION"
    claimed = await claim_one(database)
    await database.run(jobs.succeed, claimed.job, claimed.attempt, "file:///a", "digest")
    successor = training(initial=training().address)
    await admit(database, "b", successor)
    with pytest.raises(ServiceError, match="starts from"):
        await database.run(policies.delete, name)
    claimed = await claim_one(database)
    assert claimed.initial_adapter == ("file:///a", "digest")
    await database.run(jobs.fail, claimed.job, claimed.attempt, FAILURE)
    await database.run(policies.delete, name)
    with pytest.raises(ServiceError) as caught:
        await database.run(policies.delete, name)
    assert caught.value.code.name == "NOT_FOUND"
    with pytest.raises(ServiceError, match=r"spec\.initial_policy"):
        await database.run(policies.check_initial, successor.spec)


async def test_training_starts_from_ready_policies_of_the_same_base_alone(
    database: Database,
) -> None:
    await admit(database, "a")
    other = BaseModel(name="other", revision="r9", path="other")
    await database.run(policies.add_base_models, {"other": other})
    for initial in (training().address, other.policy_id, "unknown"):
        with pytest.raises(ServiceError) as caught:
            await database.run(policies.check_initial, training(initial=initial).spec)
        assert caught.value.code.name == "INVALID_ARGUMENT"
        assert "spec.initial_policy" in caught.value.message
