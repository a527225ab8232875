"""Policies that an older trainer stored: migrated with their content, and found again."""

import json
from collections.abc import AsyncIterator, Callable
from importlib import resources
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.orm import Session

from palmfolio.v1 import trainer_pb2
from palmfolio_runtime.database import Database
from palmfolio_runtime.digest import digest
from palmfolio_trainer.models.base_models import BaseModel
from palmfolio_trainer.policies.spec import TrainingRequest, TrainingSpec
from palmfolio_trainer.store import jobs, policies
from palmfolio_trainer.store.tables import PolicyRow
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings
from tests.support.prompts import text_prompts

FORMER = "1" * 64
MODEL = BaseModel("tiny", revision="2" * 64, path="tiny", former_revision=FORMER)
PACKAGE = "palmfolio_trainer.store"


def former_spec(**changes: Any) -> dict[str, Any]:
    """A spec as the first version stored it."""
    spec = {
        "base_model": "tiny",
        "base_revision": FORMER,
        "weights": {"brevity": 1.0},
        "trait_versions": {"brevity": "b1"},
        "prompts_digest": "d1",
        "seed": 0,
        "initial_policy": None,
        "method": "grpo",
        "grpo": GrpoSettings(steps=3).model_dump(exclude={"method"}),
    }
    return {**spec, **changes}


def former_id(spec: dict[str, Any]) -> str:
    """The id that the first version gave to a spec."""
    settings = {k: v for k, v in spec["grpo"].items() if k != "completions_per_pass"}
    return digest({**spec, "grpo": settings}, 24)


BASE_ID = f"base-{digest({'base_model': 'tiny', 'base_revision': FORMER}, 12)}"
READY = former_spec()
QUEUED = former_spec(seed=1)
OTHER = former_spec(base_revision="9" * 64)
CHILD = former_spec(initial_policy=former_id(READY))


def request(spec: dict[str, Any]) -> TrainingRequest:
    """Today's request for what a former spec asked for."""
    fields = {key: value for key, value in spec.items() if key not in ("method", "grpo")}
    settings = GrpoSettings(**spec["grpo"])
    today = TrainingSpec(**{**fields, "base_revision": MODEL.revision}, settings=settings)
    return TrainingRequest(today, text_prompts("One?"))


def store(session: Session) -> None:
    """Stores policies as the first version did: one in training, the others ready."""
    session.execute(text("INSERT INTO training_prompts VALUES ('d1', '[\"One?\"]')"))
    add = text(
        "INSERT INTO policies "
        "(id, base_model, spec, prompts_digest, state, adapter, adapter_digest, created) "
        "VALUES (:id, 'tiny', :spec, :prompts, :state, :adapter, :digest, 1)"
    )
    base = {"id": BASE_ID, "spec": None, "prompts": None, "state": "ready"}
    session.execute(add, {**base, "adapter": None, "digest": None})
    for spec in (READY, QUEUED, OTHER, CHILD):
        identifier = former_id(spec)
        row = {"id": identifier, "spec": json.dumps(spec), "prompts": "d1"}
        adapter = {"adapter": f"file:///{identifier}", "digest": "a"}
        state = "training" if spec is QUEUED else "ready"
        session.execute(add, {**row, **adapter, "state": state})
    session.execute(
        text(
            "INSERT INTO jobs (id, policy, state, attempt, crashes, created) "
            "VALUES ('job', :policy, 'queued', 0, 0, 1)"
        ),
        {"policy": former_id(QUEUED)},
    )


def migrate(database: Database, change: Callable[[Config, str], None], revision: str) -> None:
    """Brings the schema to a revision, with Alembic's `upgrade` or `downgrade`."""
    config = Config()
    config.set_main_option("script_location", str(resources.files(PACKAGE) / "migrations"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        change(config, revision)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database of the first version, opened by today's trainer that serves the same model."""
    made = Database(database_url)
    migrate(made, command.upgrade, "0001")
    await made.run(store)
    await made.migrate(PACKAGE)
    yield made
    made.close()


async def test_a_stored_policy_keeps_its_id_and_is_found_again(database: Database) -> None:
    await database.run(policies.add_base_models, {"tiny": MODEL})
    asked = trainer_pb2.TrainPolicyRequest(request_id="r")
    operation = await database.run(policies.admit, asked, request(READY), 10)
    assert operation.done
    policy = trainer_pb2.Policy()
    assert operation.response.Unpack(policy)
    assert policy.name == f"policies/{former_id(READY)}"
    assert policy.adapter == f"file:///{former_id(READY)}"
    assert policy.spec.grpo.steps == 3


async def test_a_child_of_a_stored_policy_is_found_again(database: Database) -> None:
    await database.run(policies.add_base_models, {"tiny": MODEL})
    child = request(CHILD)
    await database.run(policies.check_initial, child.spec)
    row = await database.run(policies.at_address, child.address)
    assert row is not None
    assert row.id == former_id(CHILD)


async def test_the_base_models_policy_keeps_its_id(database: Database) -> None:
    stored = await database.run(policies.add_base_models, {"tiny": MODEL})
    assert stored["tiny"].policy_id == BASE_ID
    assert stored["tiny"].address == MODEL.address != BASE_ID
    again = await database.run(policies.add_base_models, {"tiny": MODEL})
    assert again == stored


async def test_a_job_that_waited_trains_the_same_policy(database: Database) -> None:
    await database.run(policies.add_base_models, {"tiny": MODEL})
    (claim,) = await database.run(jobs.claim, "me", 60.0, 1)
    assert claim.policy == former_id(QUEUED)
    assert claim.prompts == text_prompts("One?")
    assert TrainingSpec.model_validate_json(claim.spec) == request(QUEUED).spec


async def test_a_policy_of_another_revision_stays_as_it_is(database: Database) -> None:
    await database.run(policies.add_base_models, {"tiny": MODEL})
    row = await database.run(policies.get, f"policies/{former_id(OTHER)}")
    assert row.address is None
    spec = TrainingSpec.model_validate_json(row.spec or "")
    assert spec.base_revision == "9" * 64
    # Its base model is served again one day.
    back = BaseModel("tiny", revision="3" * 64, path="tiny", former_revision="9" * 64)
    await database.run(policies.add_base_models, {"tiny": back})
    row = await database.run(policies.get, f"policies/{former_id(OTHER)}")
    assert row.address is not None


async def test_a_base_model_that_changed_is_a_new_one(database: Database) -> None:
    """Files that the former form did not cover cannot be told apart, all others can."""
    changed = BaseModel("tiny", revision="4" * 64, path="tiny", former_revision="5" * 64)
    stored = await database.run(policies.add_base_models, {"tiny": changed})
    assert stored["tiny"].policy_id == changed.address
    assert await database.run(policies.at_address, request(READY).address) is None


async def test_the_migration_can_be_undone(database: Database) -> None:
    migrate(database, command.downgrade, "0001")
    query = text("SELECT spec FROM policies WHERE id = :id")

    def read(session: Session) -> str:
        return str(session.scalar(query, {"id": former_id(READY)}))

    assert json.loads(await database.run(read)) == READY


async def test_new_policies_have_their_address_as_id(database: Database) -> None:
    await database.run(policies.add_base_models, {"tiny": MODEL})
    new = request(former_spec(seed=7))
    asked = trainer_pb2.TrainPolicyRequest(request_id="r")
    await database.run(policies.admit, asked, new, 10)
    row = await database.run(policies.at_address, new.address)
    assert isinstance(row, PolicyRow)
    assert row.id == new.address
