"""Which unit tests `make check` leaves out, so that it takes under a minute."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow what starts a PostgreSQL server; other slow tests say so themselves."""
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
