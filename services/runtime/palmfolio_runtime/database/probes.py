"""Tests whether a database that could not be used can be used again."""

import os
import tempfile
from pathlib import Path

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from palmfolio_runtime.volumes import is_full

_ROOM_BYTES = 2**20

# As many bytes as `_ROOM_BYTES`, in rows too short to be compressed.
_FILL = text(
    "CREATE TEMPORARY TABLE palmfolio_probe ON COMMIT DROP AS "
    f"SELECT repeat(md5(n::text), 32) FROM generate_series(1, {_ROOM_BYTES // 1024}) n"
)


def trouble_of(engine: Engine, before: str) -> str:
    """Why the database cannot be used now; empty when it can.

    Args:
        engine: the database.
        before: what was wrong. After a full volume the database must store a megabyte: on a full
            volume it still answers queries.
    """
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT 1"))
            if is_full(before) and engine.dialect.name == "postgresql":
                connection.execute(_FILL)
        if is_full(before) and engine.dialect.name == "sqlite":
            _fill_folder(Path(engine.url.database or ".").parent)
    except (OperationalError, OSError) as error:
        return describe(error)
    except DBAPIError:
        # It answers. A role that may not make temporary tables cannot be tested further.
        return ""
    return ""


def describe(error: Exception) -> str:
    """An error of the database in one line."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return f"the database cannot be used: {' '.join(str(cause).split())}"


def _fill_folder(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0" * _ROOM_BYTES)
        file.flush()
        os.fsync(file.fileno())
