"""Leases: one owner at a time for what runs, over any number of processes.

A row that is worked on carries `LeaseColumns`. A process claims it for some seconds and renews the
lease while it works; when it dies, the lease ends and another process claims the row. Each claim
raises the attempt number, which is the fencing token: a process that changes the row passes the
attempt it believes to be current, and a stale one gets nothing. An owner is an id that survives
restarts, so that a process finds its own rows again.
"""

import fcntl
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import ColumnElement, Float, String, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from palmfolio_runtime.volumes import write_text


class LeaseColumns:
    """Columns of a row that one process at a time works on. Mixed into a mapped class."""

    attempt: Mapped[int] = mapped_column(default=0)
    """Attempts begun; the newest one's number is the fencing token."""
    owner: Mapped[str | None] = mapped_column(String(64))
    """Who works on it; None when nobody does."""
    lease_expires: Mapped[float | None] = mapped_column(Float(53))
    """Seconds since the epoch; anybody may claim the row after it."""
    heartbeat: Mapped[float | None] = mapped_column(Float(53))
    """When the owner last renewed the lease, in seconds since the epoch."""


Leased = TypeVar("Leased", bound=LeaseColumns)


def claim(
    session: Session,
    table: type[Leased],
    owner: str,
    lease_seconds: float,
    limit: int,
    *,
    where: ColumnElement[bool],
    order_by: Sequence[InstrumentedAttribute[Any]],
) -> Sequence[Leased]:
    """Takes rows that nobody owns, or whose lease has ended, each with a new attempt number.

    Args:
        table: the mapped class.
        owner: who claims.
        lease_seconds: how long the lease lasts unless it is renewed.
        limit: the most rows to take.
        where: which rows there is still work for.
        order_by: which rows are taken first.
    """
    # Wall-clock time, since owners on other machines compare with it; leases are much longer than
    # the clocks of one cluster differ.
    now = time.time()
    free = or_(table.owner.is_(None), table.lease_expires < now)
    query = select(table).where(where, free).order_by(*order_by).limit(limit)
    # Two claims at once take different rows; neither waits for the other.
    rows = session.scalars(query.with_for_update(skip_locked=True)).all()
    for row in rows:
        row.attempt += 1
        row.owner = owner
        row.heartbeat = now
        row.lease_expires = now + lease_seconds
    return rows


def owned(
    session: Session, table: type[Leased], owner: str, *, where: ColumnElement[bool]
) -> Sequence[Leased]:
    """An owner's rows, at their current attempts.

    A row is the owner's until somebody else claims it, also after its lease has ended.
    """
    return session.scalars(select(table).where(where, table.owner == owner)).all()


def renew(
    session: Session,
    table: type[Leased],
    owner: str,
    lease_seconds: float,
    *,
    where: ColumnElement[bool],
) -> None:
    """Lets the leases of an owner's rows last `lease_seconds` from now."""
    now = time.time()
    session.execute(
        update(table)
        .where(where, table.owner == owner)
        .values({table.heartbeat: now, table.lease_expires: now + lease_seconds})
    )


def fence(session: Session, table: type[Leased], key: Any, attempt: int) -> Leased | None:
    """The row, locked until the transaction ends; None when the attempt is not the current one.

    Args:
        table: the mapped class.
        key: the row's primary key.
        attempt: the attempt that the caller believes to be current.
    """
    row = session.get(table, key, with_for_update=True)
    if row is None or row.owner is None or row.attempt != attempt:
        return None
    return row


def release(row: LeaseColumns) -> None:
    """Gives a row back: anybody may claim it at once, with the next attempt number."""
    row.owner = None
    row.lease_expires = None


class StateError(RuntimeError):
    """A state folder cannot be used."""


class StateFolder:
    """A folder that one process at a time uses, with the id under which that process owns leases.

    Args:
        path: made when it does not exist.

    Attributes:
        path: absolute.
        owner: the owner's id; the same after a restart, since it is kept in the folder.

    Raises:
        StateError: another process uses the folder, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = (self.path / "lock").open("w", encoding="utf-8")
        except OSError as error:
            raise StateError(f"state_dir {path} cannot be used: {error}") from error
        try:
            # The kernel drops the lock when the process dies, however it dies.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateError(
                f"state_dir {path} is in use by another process: stop it, or choose another folder"
            ) from error
        try:
            self.owner = self._identity(self.path / "identity")
        except OSError as error:
            raise StateError(f"state_dir {path} cannot be written: {error}") from error

    def close(self) -> None:
        """Releases the lock."""
        self._lock.close()

    @staticmethod
    def _identity(path: Path) -> str:
        # Kept in the folder: after a restart the process finds the rows that it owned before.
        if not path.exists():
            write_text(path, uuid.uuid4().hex)
        return path.read_text(encoding="utf-8").strip()
