"""Policies that a portfolio did not choose from, because they lack too many rewards.

A portfolio of an earlier version has none: its values are the means over all rewards that there
were, and they stay as they are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "exclusions",
        sa.Column(
            "portfolio",
            sa.String(64),
            sa.ForeignKey("portfolios.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("policy", _KEY, sa.ForeignKey("policies.key"), primary_key=True),
        sa.Column("complete", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("exclusions")
