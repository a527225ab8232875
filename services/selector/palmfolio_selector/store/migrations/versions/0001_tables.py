"""The first tables: prompts, policies, evaluations, portfolios, operations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policies",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("base_model", sa.String(length=200), nullable=False),
        sa.Column("is_base_model", sa.Boolean(), nullable=False),
        sa.Column("weights", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("adapter", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "portfolios",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("trait_versions", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("base_policy", sa.String(length=200), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("portfolios", schema=None) as batch_op:
        batch_op.create_index("ix_portfolios_created", ["created", "id"], unique=False)

    op.create_table(
        "prompt_sets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "prompts",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "samplings",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("settings", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "traits",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sa.UniqueConstraint("name", "version", name="uq_traits_name_version"),
    )
    op.create_table(
        "candidates",
        sa.Column("portfolio", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("policy", sa.Integer(), nullable=False),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.Column("value", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy"],
            ["policies.key"],
        ),
        sa.ForeignKeyConstraint(["portfolio"], ["portfolios.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portfolio", "position"),
    )
    op.create_table(
        "evaluations",
        sa.Column("policy", sa.Integer(), nullable=False),
        sa.Column("sampling", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=False),
        sa.Column("trait", sa.Integer(), nullable=False),
        sa.Column("raw", sa.Float(precision=53), nullable=True),
        sa.Column("normalised", sa.Float(precision=53), nullable=True),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy"],
            ["policies.key"],
        ),
        sa.ForeignKeyConstraint(
            ["prompt"],
            ["prompts.key"],
        ),
        sa.ForeignKeyConstraint(
            ["sampling"],
            ["samplings.key"],
        ),
        sa.ForeignKeyConstraint(
            ["trait"],
            ["traits.key"],
        ),
        sa.PrimaryKeyConstraint("policy", "sampling", "prompt", "sample", "trait"),
    )
    op.create_table(
        "means",
        sa.Column("policy", sa.Integer(), nullable=False),
        sa.Column("trait", sa.Integer(), nullable=False),
        sa.Column("prompt_set", sa.String(length=64), nullable=False),
        sa.Column("sampling", sa.Integer(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Float(precision=53), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy"],
            ["policies.key"],
        ),
        sa.ForeignKeyConstraint(["prompt_set"], ["prompt_sets.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["sampling"],
            ["samplings.key"],
        ),
        sa.ForeignKeyConstraint(
            ["trait"],
            ["traits.key"],
        ),
        sa.PrimaryKeyConstraint("policy", "trait", "prompt_set", "sampling", "samples"),
    )
    op.create_table(
        "prompt_set_members",
        sa.Column("prompt_set", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prompt"],
            ["prompts.key"],
        ),
        sa.ForeignKeyConstraint(["prompt_set"], ["prompt_sets.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("prompt_set", "position"),
    )
    op.create_table(
        "responses",
        sa.Column("policy", sa.Integer(), nullable=False),
        sa.Column("sampling", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy"],
            ["policies.key"],
        ),
        sa.ForeignKeyConstraint(
            ["prompt"],
            ["prompts.key"],
        ),
        sa.ForeignKeyConstraint(
            ["sampling"],
            ["samplings.key"],
        ),
        sa.PrimaryKeyConstraint("policy", "sampling", "prompt", "sample"),
    )
    op.create_table(
        "trainings",
        sa.Column("portfolio", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("weights", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("initial", sa.Integer(), nullable=False),
        sa.Column("grpo", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("operation", sa.String(length=200), nullable=False),
        sa.Column("last_event", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(length=200), nullable=False),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["portfolio"], ["portfolios.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("portfolio", "position"),
    )
    op.create_table(
        "operations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("resource", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.LargeBinary(), nullable=True),
        sa.Column("created", sa.Float(precision=53), nullable=False),
        sa.Column("last_event", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.create_index("ix_operations_created", ["created", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_operations_resource"), ["resource"], unique=False)

    op.create_table(
        "requests",
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("result", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("method", "request_id"),
    )
    op.create_table(
        "operation_events",
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["operation"], ["operations.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("operation", "number"),
    )


def downgrade() -> None:
    op.drop_table("operation_events")
    op.drop_table("requests")
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_operations_resource"))
        batch_op.drop_index("ix_operations_created")

    op.drop_table("operations")
    op.drop_table("trainings")
    op.drop_table("responses")
    op.drop_table("prompt_set_members")
    op.drop_table("means")
    op.drop_table("evaluations")
    op.drop_table("candidates")
    op.drop_table("traits")
    op.drop_table("samplings")
    op.drop_table("prompts")
    op.drop_table("prompt_sets")
    with op.batch_alter_table("portfolios", schema=None) as batch_op:
        batch_op.drop_index("ix_portfolios_created")

    op.drop_table("portfolios")
    op.drop_table("policies")
