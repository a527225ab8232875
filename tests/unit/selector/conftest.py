"""Fixtures of the selector's unit tests."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from palmfolio_runtime.database import Database
from palmfolio_selector.builds.context import ServerParts
from tests.support.selector_server import close_parts, make_parts

# No deadline: the tests must pass on slow machines, too.
settings.register_profile("any-speed", deadline=None, max_examples=50)
settings.load_profile("any-speed")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database of the selector, on SQLite and on PostgreSQL."""
    database = Database(database_url)
    await database.migrate("palmfolio_selector.store")
    yield database
    database.close()


@pytest.fixture
async def parts(database: Database, database_url: str) -> AsyncIterator[ServerParts]:
    """The parts that calls and builds share, on the test's database."""
    parts = make_parts(database, database_url)
    yield parts
    await close_parts(parts)
