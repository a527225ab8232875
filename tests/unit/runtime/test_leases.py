"""Leases: one owner at a time, fencing tokens that only rise, on SQLite and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from palmfolio_runtime import leases
from palmfolio_runtime.database import Database
from palmfolio_runtime.leases import LeaseColumns, StateError, StateFolder


class Base(DeclarativeBase):
    """Metadata of the table that is leased here."""


class Task(LeaseColumns, Base):
    """Something that one process at a time works on."""

    __tablename__ = "tasks"

    id: Mapped[int] = mapped_column(primary_key=True)
    done: Mapped[bool] = mapped_column(default=False)


UNFINISHED = Task.done.is_(False)


class Clock:
    """The time that leases see; a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still."""
    made = Clock()
    monkeypatch.setattr(leases, "time", made)
    return made


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Three tasks that nobody has begun."""
    made = Database(database_url)
    Base.metadata.create_all(made.engine)
    with Session(made.engine) as session, session.begin():
        session.add_all([Task(id=number) for number in (1, 2, 3)])
    yield made
    made.close()


def claim(session: Session, owner: str, limit: int = 3) -> dict[int, int]:
    """Claims tasks for 10 seconds; attempts by task."""
    rows = leases.claim(session, Task, owner, 10.0, limit, where=UNFINISHED, order_by=(Task.id,))
    return {row.id: row.attempt for row in rows}


async def test_a_row_has_one_owner(database: Database, clock: Clock) -> None:
    assert await database.run(claim, "a", limit=2) == {1: 1, 2: 1}
    assert await database.run(claim, "b") == {3: 1}
    assert await database.run(claim, "c") == {}
    mine = await database.run(leases.owned, Task, "a", where=UNFINISHED)
    assert sorted(row.id for row in mine) == [1, 2]


async def test_an_ended_lease_is_taken_over_with_a_new_attempt(
    database: Database, clock: Clock
) -> None:
    await database.run(claim, "a")
    clock.now += 10.1
    # Nobody took it over yet: the attempt is still the current one.
    assert await database.run(leases.fence, Task, 1, 1) is not None
    assert await database.run(claim, "b", limit=1) == {1: 2}
    assert await database.run(leases.fence, Task, 1, 1) is None
    assert await database.run(leases.fence, Task, 1, 2) is not None
    still = await database.run(leases.owned, Task, "a", where=UNFINISHED)
    assert sorted(row.id for row in still) == [2, 3]


async def test_a_renewed_lease_lasts(database: Database, clock: Clock) -> None:
    await database.run(claim, "a")
    clock.now += 9
    await database.run(leases.renew, Task, "a", 10.0, where=UNFINISHED)
    clock.now += 9
    assert await database.run(claim, "b") == {}
    clock.now += 2
    assert await database.run(claim, "b") == {1: 2, 2: 2, 3: 2}


async def test_what_is_released_is_free_at_once_and_its_attempt_stale(
    database: Database, clock: Clock
) -> None:
    await database.run(claim, "a")

    def release(session: Session) -> None:
        leases.release(session.get_one(Task, 2))

    await database.run(release)
    assert await database.run(leases.fence, Task, 2, 1) is None
    assert await database.run(claim, "b") == {2: 2}


async def test_nothing_is_claimed_that_needs_no_work(database: Database, clock: Clock) -> None:
    def finish(session: Session) -> None:
        session.get_one(Task, 1).done = True

    await database.run(finish)
    assert await database.run(claim, "a") == {2: 1, 3: 1}
    assert await database.run(leases.fence, Task, 4, 1) is None


def test_a_state_folder_has_one_process_and_one_identity(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    owner = folder.owner
    with pytest.raises(StateError, match="in use by another process"):
        StateFolder(tmp_path / "state")
    folder.close()
    again = StateFolder(tmp_path / "state")
    assert again.owner == owner
    again.close()
    other = StateFolder(tmp_path / "other")
    assert other.owner != owner
    other.close()


def test_a_state_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be used"):
        StateFolder(tmp_path / "file" / "state")
