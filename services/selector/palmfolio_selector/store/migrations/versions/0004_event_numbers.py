"""Numbers of events have 64 bits, as in the protocol."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("operations", "last_event"),
    ("operation_events", "number"),
    ("trainings", "last_event"),
)


def upgrade() -> None:
    _set_types(sa.BigInteger())


def downgrade() -> None:
    _set_types(sa.Integer())


def _set_types(kind: sa.types.TypeEngine[int]) -> None:
    # An INTEGER of SQLite has 64 bits already.
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, column in _COLUMNS:
        op.alter_column(table, column, type_=kind)
