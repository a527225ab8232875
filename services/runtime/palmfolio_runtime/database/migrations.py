"""Runs a service's migrations; its `migrations/env.py` calls this."""

from collections.abc import Sequence

from alembic import context
from sqlalchemy import MetaData


def run(metadata: Sequence[MetaData]) -> None:
    """Runs the migrations on the connection that `Database.migrate` opened.

    Args:
        metadata: the tables that the migrations should lead to, for autogeneration.
    """
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=list(metadata),
        # SQLite cannot alter a column: a batch copies the table instead.
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()
