"""Transactions, migrations and outages of SQLite and PostgreSQL."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError, not_found


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def make(session: Session) -> None:
        session.execute(text("CREATE TABLE items (number INTEGER)"))

    def insert_and_fail(session: Session) -> None:
        session.execute(text("INSERT INTO items VALUES (1)"))
        raise LookupError("after the insert")

    await database.run(make)
    with pytest.raises(LookupError):
        await database.run(insert_and_fail)
    count = await database.run(lambda s: s.scalar(text("SELECT count(*) FROM items")))
    assert count == 0


async def test_transactions_run_off_the_event_loop(database: Database) -> None:
    thread = await database.run(lambda session: threading.current_thread())
    assert thread is not threading.current_thread()
    assert thread.name.startswith("database")


async def test_concurrent_increments_are_not_lost(database: Database) -> None:
    def make(session: Session) -> None:
        session.execute(text("CREATE TABLE counter (number INTEGER)"))
        session.execute(text("INSERT INTO counter VALUES (0)"))

    def increment(session: Session) -> None:
        session.execute(text("UPDATE counter SET number = number + 1"))

    await database.run(make)
    await asyncio.gather(*(database.run(increment) for _ in range(50)))
    assert await database.run(lambda s: s.scalar(text("SELECT number FROM counter"))) == 50


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/to/be/found/state.db",
        "postgresql://nobody:wrong@127.0.0.1:1/none",
    ],
)
async def test_an_unreachable_database_is_unavailable(url: str) -> None:
    database = Database(url)
    with pytest.raises(ServiceError) as caught:
        await database.run(lambda session: session.execute(text("SELECT 1")))
    assert caught.value.code.name == "UNAVAILABLE"
    assert caught.value.metadata == {"dependency": "database"}
    database.close()


async def test_a_lost_connection_is_replaced(postgres_url: str, postgres_server: str) -> None:
    import psycopg

    database = Database(postgres_url)
    await database.run(lambda session: session.execute(text("SELECT 1")))
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname LIKE 'test_%' AND pid <> pg_backend_pid()"
        )
    assert await database.run(lambda session: session.scalar(text("SELECT 1"))) == 1
    database.close()


async def test_a_failed_change_of_the_schema_leaves_nothing(database: Database) -> None:
    def make_and_fail(session: Session) -> None:
        session.execute(text("CREATE TABLE items (number INTEGER)"))
        raise LookupError("in the middle of a migration")

    with pytest.raises(LookupError):
        await database.run(make_and_fail)
    await database.run(lambda session: session.execute(text("CREATE TABLE items (number INTEGER)")))


async def test_opening_waits_for_a_database_and_says_why(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'later' / 'state.db'}")
    opening = asyncio.create_task(database.open("palmfolio_selector.store"))
    while not database.trouble:  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(0.01)
    assert "unable to open database file" in database.trouble
    assert not opening.done()
    (tmp_path / "later").mkdir()
    await asyncio.wait_for(opening, 60)
    assert database.trouble == ""
    assert await database.run(lambda s: s.scalar(text("SELECT count(*) FROM portfolios"))) == 0
    database.close()


async def test_only_an_unusable_database_is_tried_again(database: Database) -> None:
    tries = []

    async def fail() -> None:
        tries.append(1)
        raise not_found("portfolios/p")

    with pytest.raises(ServiceError):
        await database.until_usable(fail)
    assert len(tries) == 1


async def test_a_connection_that_is_lost_in_a_transaction_is_unavailable(postgres_url: str) -> None:
    database = Database(postgres_url)

    def lose(session: Session) -> None:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(ServiceError) as caught:
        await database.run(lose)
    assert caught.value.metadata == {"dependency": "database"}
    assert await database.run(lambda session: session.scalar(text("SELECT 1"))) == 1
    database.close()
