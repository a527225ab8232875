"""Finding rows by a natural key, and writing many rows of which some may exist."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session

K = TypeVar("K")

# Fewer than the variables that one SQLite statement may have.
BATCH = 500


def insert_missing(
    session: Session, row: type[DeclarativeBase], values: Sequence[Mapping[str, Any]]
) -> None:
    """Inserts the rows whose key is not there yet; the others stay as they are.

    For tables whose rows the database numbers, use `ensure_keys`.
    """
    if not values:
        return
    table = row.__table__
    assert isinstance(table, Table)
    # The standard has no "insert what is missing"; each database has a statement of its own.
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert(table) if is_sqlite else postgresql.insert(table)
    session.execute(insert.on_conflict_do_nothing(), [dict(value) for value in values])


def keys_by(
    session: Session,
    column: InstrumentedAttribute[K],
    key: InstrumentedAttribute[int],
    wanted: Iterable[K],
) -> dict[K, int]:
    """The key of each row whose `column` is among `wanted`."""
    values = list(dict.fromkeys(wanted))
    keys: dict[K, int] = {}
    for start in range(0, len(values), BATCH):
        query = select(column, key).where(column.in_(values[start : start + BATCH]))
        keys |= dict(session.execute(query).all())
    return keys


def ensure_keys(
    session: Session,
    row: type[DeclarativeBase],
    column: InstrumentedAttribute[K],
    key: InstrumentedAttribute[int],
    values: Mapping[K, Mapping[str, Any]],
) -> dict[K, int]:
    """The key of each row whose `column` is among `values`; the rows not there yet are added.

    Rows that exist are not offered to the database again: PostgreSQL takes the next number of the
    table's sequence for every row that it is offered, even where it then inserts nothing.

    Args:
        values: the columns of a new row, by the value of `column`.
    """
    keys = keys_by(session, column, key, values)
    missing = {value: columns for value, columns in values.items() if value not in keys}
    if missing:
        insert_missing(session, row, list(missing.values()))
        keys |= keys_by(session, column, key, missing)
    return keys
