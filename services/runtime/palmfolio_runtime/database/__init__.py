"""A service's database: the connection, migrations, and what to do when it is away."""

from palmfolio_runtime.database.engine import Database

__all__ = ["Database"]
