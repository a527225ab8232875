"""Migrations carry the stored data over, on both databases."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text

from palmfolio_runtime.database import Database
from palmfolio_selector.domain.measurement import Measurement
from palmfolio_selector.store import evaluations, prompt_sets, values
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


def migrate(database: Database, revision: str) -> None:
    """Brings the schema to a revision."""
    config = Config()
    folder = resources.files("palmfolio_selector.store") / "migrations"
    config.set_main_option("script_location", str(folder))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


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
    keys = await empty.run(lambda session: prompt_sets.ensure_prompts(session, ["why not?"]))
    assert keys == {"why not?": 6}
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
        key = prompt_sets.ensure_prompts(session, ["new"])["new"]
        evaluations.add_responses(session, 7, 3, [(key, 0, "answer")])
        evaluations.add_rewards(session, 7, 3, [evaluations.Reward(key, 0, 2, 0.5, 0.5)])
        row = prompt_sets.add(session, ["new"], "")
        measurement = Measurement(row.id, 1, 3, 1, {"brevity": 2})
        values.materialise(session, measurement)
        return key, values.means(session, measurement, ["policies/p"])

    key, means = await empty.run(store)
    assert key == large + 1
    assert means == {"policies/p": {"brevity": values.Mean(0.5, 1, 0)}}


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
