"""Keys of 64 bits, so that no installation runs out of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The columns that hold keys: each table's own first, then those that refer to them.
_OWN = ("policies", "prompts", "samplings", "traits")
_REFERENCES = {
    "candidates": ("policy",),
    "evaluations": ("policy", "sampling", "prompt", "trait"),
    "means": ("policy", "trait", "sampling"),
    "prompt_set_members": ("prompt",),
    "responses": ("policy", "sampling", "prompt"),
}


def upgrade() -> None:
    _set_types(sa.BigInteger())


def downgrade() -> None:
    _set_types(sa.Integer())


def _set_types(kind: sa.types.TypeEngine[int]) -> None:
    # An INTEGER of SQLite has 64 bits already.
    if op.get_bind().dialect.name == "sqlite":
        return
    name = kind.compile(op.get_bind().dialect)
    for table in _OWN:
        op.alter_column(table, "key", type_=kind)
        # The sequence that numbers the rows has a type of its own, and would end at 2^31 - 1.
        op.execute(f"ALTER SEQUENCE {table}_key_seq AS {name}")
    for table, columns in _REFERENCES.items():
        # One statement for a table: PostgreSQL then writes its rows anew only once.
        changes = ", ".join(f"ALTER COLUMN {column} TYPE {name}" for column in columns)
        op.execute(f"ALTER TABLE {table} {changes}")
