"""A service's database: SQLite in its state folder, or PostgreSQL by URL."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import Any, Concatenate, ParamSpec, TypeVar

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from palmfolio_runtime.database.probes import describe, trouble_of
from palmfolio_runtime.errors import ServiceError, unavailable
from palmfolio_runtime.logs import get_logger

log = get_logger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# Any number, the same in every replica: the replica that holds the lock migrates.
_MIGRATION_LOCK = 7_256_001
_SQLITE_BUSY_SECONDS = 30
_PROBE_SECONDS = 5.0
_RETRY_SECONDS = 1.0
_ANSWER_SECONDS = 15.0
# TCP itself would wait a quarter of an hour for a machine that is gone; these give up after about
# twenty seconds.
_POSTGRES_TIMEOUTS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}


class SchemaError(RuntimeError):
    """The database has a schema that this program does not know."""


class Database:
    """Runs transactions on separate threads, so that SQL never blocks the event loop.

    SQLite has a write-ahead log and one thread, since it has one writer; PostgreSQL has a small
    pool, whose connections are checked before use.

    Args:
        url: an SQLAlchemy URL; `postgresql://` uses psycopg.

    Attributes:
        trouble: why the database could not be used at the last try; empty when it could. After
            `open`, a task keeps it up to date.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        # SQLite has one writer at a time: more threads would only wait for its lock.
        workers = 1 if self.is_sqlite else 4
        options = {} if self.is_sqlite else _postgres_options(parsed, workers)
        self.engine: Engine = create_engine(parsed, pool_pre_ping=True, **options)
        self.url = parsed.render_as_string(hide_password=False)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="database")
        self._watching: asyncio.Task[None] | None = None
        self.trouble = ""

    async def open(self, package: str) -> None:
        """Brings the schema to the newest revision in `package`'s `migrations` folder.

        Waits as long as the database cannot be used: it is away, wrongly configured, or has a
        schema that this program does not know. `trouble` and the log tell why.
        """
        await self.until_usable(lambda: self.migrate(package))
        self._recovered()
        self._watching = asyncio.create_task(self._watch(), name="database watch")

    async def until_usable(self, work: Callable[[], Awaitable[R]]) -> R:
        """Repeats `work()` while the database cannot be used; returns what it returns.

        Other errors than those of an unusable database are raised at once.

        Args:
            work: uses the database, and is safe to repeat.
        """
        while True:
            try:
                return await work()
            except ServiceError as error:
                if error.metadata.get("dependency") != "database":
                    raise
                self._record_trouble(error.message)
            except SchemaError as error:
                self._record_trouble(str(error))
            except DBAPIError as error:
                self._record_trouble(describe(error))
            await asyncio.sleep(_RETRY_SECONDS)

    async def run(
        self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Runs `function(session, ...)` in one transaction and returns what it returns.

        The transaction is committed when the function returns, and rolled back when it raises. Rows
        that it returns can be read afterwards; what they refer to must be loaded in it.

        Args:
            function: runs on a thread of the database; takes a session first.
            args: passed on.
            kwargs: passed on.

        Raises:
            ServiceError: UNAVAILABLE when the database cannot be reached.
        """

        def transaction() -> R:
            # Rows are read after the commit, outside the transaction: they must not expire.
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                return function(session, *args, **kwargs)

        return await self._on_thread(transaction)

    async def migrate(self, package: str) -> None:
        """Brings the schema to the newest revision in `package`'s `migrations` folder.

        One replica migrates, the others wait for it.

        Raises:
            SchemaError: the schema is newer than the program.
            ServiceError: UNAVAILABLE when the database cannot be reached.
        """
        await self._on_thread(lambda: self._migrate(package))

    def close(self) -> None:
        """Waits for running transactions and closes the connections."""
        if self._watching is not None:
            self._watching.cancel()
        self._executor.shutdown(wait=True)
        self.engine.dispose()

    async def _on_thread(self, function: Callable[[], R]) -> R:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._executor, function)
        except OperationalError as error:
            self._record_trouble(describe(error))
            raise unavailable("database", self.trouble) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                self._record_trouble("the connection to the database was lost")
                raise unavailable("database", self.trouble) from error
            raise

    def _record_trouble(self, trouble: str) -> None:
        if trouble != self.trouble:
            log.error("trouble with the database", reason=trouble)
        self.trouble = trouble

    def _recovered(self) -> None:
        if self.trouble:
            log.info("the database can be used again")
        self.trouble = ""

    async def _watch(self) -> None:
        """Asks the database every few seconds whether it can be used, and updates `trouble`."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_RETRY_SECONDS if self.trouble else _PROBE_SECONDS)
            before = self.trouble
            probe = loop.run_in_executor(self._executor, trouble_of, self.engine, before)
            done, _ = await asyncio.wait({probe}, timeout=_ANSWER_SECONDS)
            if not done:
                self._record_trouble("the database does not answer")
            trouble = await probe
            if trouble:
                self._record_trouble(trouble)
            else:
                self._recovered()

    def _migrate(self, package: str) -> None:
        config = AlembicConfig()
        folder = resources.files(package) / "migrations"
        config.set_main_option("script_location", str(folder))
        with self.engine.begin() as connection:
            if not self.is_sqlite:
                # Released at the end of the transaction.
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            _check_known(connection, ScriptDirectory.from_config(config), package)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _check_known(connection: Connection, scripts: ScriptDirectory, package: str) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in {s.revision for s in scripts.walk_revisions()}:
        raise SchemaError(
            f"the database is at schema {current}, which this version of "
            f"{package.partition('.')[0]} does not know: "
            "run a newer version of the program, or point it at another database"
        )


def _postgres_options(url: URL, connections: int) -> dict[str, Any]:
    patience = {key: value for key, value in _POSTGRES_TIMEOUTS.items() if key not in url.query}
    return {"pool_size": connections, "max_overflow": 0, "connect_args": patience}


def _configure_sqlite(connection: Any, _record: Any) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    # The driver begins no transaction before a change of the schema, so that a killed migration
    # would stay half done. Without its isolation level, `_begin_sqlite` begins every transaction.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute(f"PRAGMA busy_timeout = {_SQLITE_BUSY_SECONDS * 1000}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once. A transaction that reads first and takes it later
    # fails when another process has written in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
