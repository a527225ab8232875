"""Which unit tests `make check` leaves out, so that it takes under a minute."""

from pathlib import Path

import pytest

# Folders whose tests run or train real, if tiny, models, or search many portfolios.
_SLOW_NAMES = ("trainer_engine", "scorer/models", "palm/covers")
_SLOW_FOLDERS = tuple(Path(__file__).parent / name for name in _SLOW_NAMES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as slow what needs a PostgreSQL server or is in a slow folder.

    pytest passes the items of the whole run, also those outside this folder.
    """
    for item in items:
        # `database_url` asks for the server only when its parameter says so.
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        # Parameters may be arrays, which `in` cannot compare with a text.
        on_server = any(isinstance(value, str) and value == "postgresql" for value in parameters)
        needs_server = on_server or "postgres_server" in getattr(item, "fixturenames", ())
        if needs_server or any(folder in item.path.parents for folder in _SLOW_FOLDERS):
            item.add_marker(pytest.mark.slow)
