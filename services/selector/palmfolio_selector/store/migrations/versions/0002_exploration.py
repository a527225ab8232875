"""Portfolios from imported evaluations; trainings that a strategy adds while a build goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("portfolios") as table:
        table.add_column(sa.Column("source", sa.String(64), nullable=False, server_default=""))
        table.add_column(
            sa.Column("explored", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("trainings") as table:
        table.add_column(sa.Column("seed", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("trainings") as table:
        table.drop_column("seed")
    with op.batch_alter_table("portfolios") as table:
        table.drop_column("explored")
        table.drop_column("source")
