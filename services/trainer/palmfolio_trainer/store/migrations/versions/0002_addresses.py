"""Policies are found by an address that may differ from their id; settings name their method."""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_POLICIES = sa.table("policies", sa.column("id", sa.String), sa.column("spec", sa.Text))


def upgrade() -> None:
    """Adds the addresses, empty; the trainer fills them in when it knows its base models."""
    # Not in Alembic's batch mode: it makes the table anew, which SQLite refuses while jobs refer to
    # its policies.
    op.add_column("policies", sa.Column("address", sa.String(128)))
    op.create_index("ix_policies_address", "policies", ["address"], unique=True)
    _rewrite(_with_settings)


def downgrade() -> None:
    """Drops the addresses."""
    _rewrite(_without_settings)
    op.drop_index("ix_policies_address", "policies")
    op.drop_column("policies", "address")


def _rewrite(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    connection = op.get_bind()
    query = sa.select(_POLICIES.c.id, _POLICIES.c.spec).where(_POLICIES.c.spec.is_not(None))
    for identifier, spec in connection.execute(query).all():
        changed = json.dumps(change(json.loads(spec)))
        connection.execute(
            _POLICIES.update().where(_POLICIES.c.id == identifier).values(spec=changed)
        )


def _with_settings(spec: dict[str, Any]) -> dict[str, Any]:
    method = spec.pop("method")
    settings = spec.pop(method)
    return {**spec, "settings": {"method": method, **settings}}


def _without_settings(spec: dict[str, Any]) -> dict[str, Any]:
    settings = spec.pop("settings")
    method = settings.pop("method")
    return {**spec, "method": method, method: settings}
