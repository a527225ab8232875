"""Migrations carry the stored data over, on both databases."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from google.protobuf import any_pb2
from sqlalchemy import Connection, inspect, text

from palmfolio.v1 import evaluations_pb2, portfolios_pb2
from palmfolio_runtime.database import Database
from palmfolio_runtime.operations import OperationRow
from palmfolio_runtime.prompts import Prompt
from palmfolio_selector.domain.coverage import Exclusion
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.store import evaluations, listing, portfolios, prompt_sets, values
from palmfolio_selector.store.tables import Base

# Rows as version 0002 wrote them.
ROWS: dict[str, list[dict[str, Any]]] = {
    "policies": [
        {"key": 7, "name": "policies/p", "base_model": "", "is_base_model": False, "adapter": "a"}
    ],
    "prompts": [{"key": 5, "digest": "d5", "text": "why?"}],
    "prompt_sets": [{"id": "set", "display_name": "questions", "created": 1.5}],
    "prompt_set_members": [{"prompt_set": "set", "position": 0, "prompt": 5}],
    "samplings": [{"key": 3, "digest": "d3", "settings": "{}"}],
    "traits": [{"key": 2, "name": "brevity", "version": "1"}],
    "responses": [{"policy": 7, "sampling": 3, "prompt": 5, "sample": 0, "text": "because"}],
    "evaluations": [
        {
            "policy": 7,
            "sampling": 3,
            "prompt": 5,
            "sample": 0,
            "trait": 2,
            "raw": 0.5,
            "normalised": 0.25,
            "failure": "",
        }
    ],
    "means": [
        {
            "policy": 7,
            "trait": 2,
            "prompt_set": "set",
            "sampling": 3,
            "samples": 1,
            "mean": 0.25,
            "count": 1,
            "failed": 0,
        }
    ],
    "portfolios": [
        {
            "id": "p",
            "spec": b"",
            "state": "ready",
            "created": 2.5,
            "operation": "",
            "base_policy": "",
            "source": "",
            "explored": True,
        }
    ],
    "candidates": [
        {"portfolio": "p", "position": 0, "policy": 7, "selected": True, "value": '{"brevity": 1}'}
    ],
}


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    """A database without tables."""
    database = Database(database_url)
    yield database
    database.close()


def migrate(database: Database, revision: str, *, down: bool = False) -> None:
    """Brings the schema to a revision, which is an earlier one for `down`."""
    config = Config()
    folder = resources.files("palmfolio_selector.store") / "migrations"
    config.set_main_option("script_location", str(folder))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, revision)


def stored(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of the tables above, with the columns above."""
    content: dict[str, list[dict[str, Any]]] = {}
    for table, rows in ROWS.items():
        columns = ", ".join(f'"{name}"' for name in rows[0])
        result = connection.execute(text(f"SELECT {columns} FROM {table}"))
        content[table] = [dict(row._mapping) for row in result]
    return content


def insert(connection: Connection) -> None:
    """Stores the rows above, numbered as the database would have numbered them."""
    for table, rows in ROWS.items():
        names = list(rows[0])
        columns = ", ".join(f'"{name}"' for name in names)
        places = ", ".join(f":{name}" for name in names)
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), rows)
        if "key" in names and connection.dialect.name == "postgresql":
            last = rows[-1]["key"]
            connection.execute(text(f"SELECT setval('{table}_key_seq', {last})"))


async def test_wider_keys_keep_every_row_and_number_on(empty: Database) -> None:
    migrate(empty, "0002")
    with empty.engine.begin() as connection:
        insert(connection)
        before = stored(connection)
    await empty.migrate("palmfolio_selector.store")
    with empty.engine.connect() as connection:
        assert stored(connection) == before
    added = Prompt.of_text("why not?")
    keys = await empty.run(lambda session: prompt_sets.ensure_prompts(session, [added]))
    assert keys == {added.digest: 6}
    traits = await empty.run(
        lambda session: evaluations.ensure_traits(session, {"brevity": "1", "warmth": "1"})
    )
    assert traits == {"brevity": 2, "warmth": 3}


async def test_keys_beyond_32_bits_work(empty: Database) -> None:
    migrate(empty, "0002")
    with empty.engine.begin() as connection:
        insert(connection)
    await empty.migrate("palmfolio_selector.store")
    large = 2**31 + 5
    with empty.engine.begin() as connection:
        if empty.is_sqlite:
            change = text("INSERT INTO prompts (key, digest, text) VALUES (:key, 'x', 'x')")
            connection.execute(change, {"key": large})
        else:
            connection.execute(text(f"SELECT setval('prompts_key_seq', {large})"))

    def store(session: Any) -> Any:
        new = Prompt.of_text("new")
        key = prompt_sets.ensure_prompts(session, [new])[new.digest]
        evaluations.add_responses(session, 7, 3, [(key, 0, "answer")])
        evaluations.add_rewards(session, 7, 3, [evaluations.Reward(key, 0, 2, 0.5, 0.5)])
        row = prompt_sets.add(session, [new], "")
        measurement = Measurement(row.id, 1, 3, 1, {"brevity": 2})
        values.materialise(session, measurement)
        return key, values.means(session, measurement, ["policies/p"])

    key, means = await empty.run(store)
    assert key == large + 1
    assert means == {"policies/p": {"brevity": values.Mean(0.5, 1, 0)}}


# The result of a build, without its sample answers.
BUILT = portfolios_pb2.Portfolio(name="portfolios/p", trait_versions={"brevity": "1"})
ANSWER = portfolios_pb2.SampleAnswer(
    policy="policies/p", response="because", rewards={"brevity": 0.5}
)


def stored_response(*prompts: str) -> bytes:
    """A build's response as version 0004 stored it: the prompt of an answer was a string."""
    value = BUILT.SerializeToString()
    for prompt in prompts:
        text = prompt.encode()
        answer = ANSWER.SerializeToString() + bytes([2 << 3 | 2, len(text)]) + text
        value += bytes([7 << 3 | 2, len(answer)]) + answer
    packed = any_pb2.Any()
    packed.Pack(BUILT)
    packed.value = value
    return packed.SerializeToString()


def insert_operations(connection: Connection, **responses: bytes | None) -> None:
    """Stores ended operations by id, each with its response."""
    rows = [
        {
            "id": name,
            "details": b"",
            "response": response,
            "state": "failed" if response is None else "succeeded",
        }
        for name, response in responses.items()
    ]
    columns = "id, kind, resource, state, cancel_requested, details, response, created, last_event"
    row = ":id, 'build_portfolio', 'portfolios/p', :state, false, :details, :response, 1.5, 0"
    connection.execute(text(f"INSERT INTO operations ({columns}) VALUES ({row})"), rows)


async def test_prompts_become_records_and_keep_their_results(empty: Database) -> None:
    migrate(empty, "0004")
    digest = Prompt.of_text("why?").digest
    with empty.engine.begin() as connection:
        insert(connection)
        connection.execute(text("UPDATE prompts SET digest = :digest"), {"digest": digest})
        before = stored(connection)
        insert_operations(connection, b=stored_response("why?", "wo\u00df?"), f=None)
    await empty.migrate("palmfolio_selector.store")
    with empty.engine.connect() as connection:
        assert stored(connection) == before

    def read(session: Any) -> Any:
        found = prompt_sets.prompts_of(session, "set")
        # A prompt that is asked again is the same row; with a reference it is another row.
        asked = [Prompt.of_text("why?"), Prompt.of_text("why?", "because")]
        keys = prompt_sets.ensure_prompts(session, asked)
        rewards: list[listing.StoredReward] = []

        def noted(reward: listing.StoredReward) -> evaluations_pb2.Evaluation:
            rewards.append(reward)
            return evaluations_pb2.Evaluation()

        listing.list_page(session, listing.Filter(), 10, "", noted, 2**24)
        (reward,) = rewards
        measurement = Measurement("set", 1, 3, 1, {"brevity": 2})
        answers = evaluations.answers(session, measurement, "policies/p", 3)
        rows = {name: session.get(OperationRow, name).response for name in ("b", "f")}
        return found, [keys[prompt.digest] for prompt in asked], reward, answers, rows

    found, keys, reward, answers, rows = await empty.run(read)
    assert found == [Prompt.of_text("why?")]
    assert keys == [5, 6]
    assert (reward.prompt, reward.normalised, reward.response) == (found[0], 0.25, "because")
    assert answers == [(found[0], "because", {"brevity": 0.25})]
    assert rows["f"] is None
    portfolio = portfolios_pb2.Portfolio()
    assert any_pb2.Any.FromString(rows["b"]).Unpack(portfolio)
    assert [answer.prompt.text for answer in portfolio.sample_answers] == ["why?", "wo\u00df?"]
    for answer in portfolio.sample_answers:
        answer.ClearField("prompt")
        assert answer == ANSWER
    del portfolio.sample_answers[:]
    assert portfolio == BUILT


async def test_prompt_records_can_be_taken_back(empty: Database) -> None:
    migrate(empty, "0004")
    with empty.engine.begin() as connection:
        insert(connection)
        before = stored(connection)
        insert_operations(connection, b=stored_response("why?"))
    migrate(empty, "0005")
    migrate(empty, "0004", down=True)
    with empty.engine.connect() as connection:
        assert stored(connection) == before
        response = connection.scalar(text("SELECT response FROM operations"))
    assert b"\x12\x04why?" in bytes(response)
    assert len(response) == len(stored_response("why?"))


async def test_every_key_column_has_64_bits_on_postgresql(postgres_url: str) -> None:
    database = Database(postgres_url)
    await database.migrate("palmfolio_selector.store")
    inspector = inspect(database.engine)
    for table in Base.metadata.sorted_tables:
        types = {
            column["name"]: str(column["type"]) for column in inspector.get_columns(table.name)
        }
        keys = [
            column.name
            for column in table.columns
            if column.name == "key" or any(f.column.name == "key" for f in column.foreign_keys)
        ]
        assert {name: types[name] for name in keys} == dict.fromkeys(keys, "BIGINT")
    database.close()


async def test_numbers_of_events_have_64_bits_on_postgresql(postgres_url: str) -> None:
    database = Database(postgres_url)
    await database.migrate("palmfolio_selector.store")
    inspector = inspect(database.engine)
    columns = [
        ("operations", "last_event"),
        ("operation_events", "number"),
        ("trainings", "last_event"),
    ]
    for table, name in columns:
        types = {column["name"]: str(column["type"]) for column in inspector.get_columns(table)}
        assert types[name] == "BIGINT"
    database.close()


async def test_portfolios_keep_their_content_when_exclusions_come(empty: Database) -> None:
    migrate(empty, "0005")
    with empty.engine.begin() as connection:
        insert(connection)
        before = stored(connection)
    await empty.migrate("palmfolio_selector.store")
    with empty.engine.connect() as connection:
        assert stored(connection) == before
    exclusion = Exclusion("policies/p", 3, "3 of 4 prompts have every reward")
    # An action that is repeated after a crash notes it again.
    for _ in range(2):
        await empty.run(lambda session: portfolios.exclude(session, "p", exclusion))
    assert await empty.run(lambda session: portfolios.exclusions(session, "p")) == (exclusion,)
    migrate(empty, "0005", down=True)
    with empty.engine.connect() as connection:
        assert stored(connection) == before
