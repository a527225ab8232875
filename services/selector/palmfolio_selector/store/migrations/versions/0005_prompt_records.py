"""Prompts are records: messages and references, and tags of a set's members.

A prompt that was stored is a text without a reference. Its row and its digest stay as they are, and
so does every row that refers to it. Only the results of finished builds hold prompts themselves.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OPERATIONS = sa.table(
    "operations",
    sa.column("id", sa.String()),
    sa.column("kind", sa.String()),
    sa.column("response", sa.LargeBinary()),
)
_BUILD = "build_portfolio"


def upgrade() -> None:
    with op.batch_alter_table("prompts") as table:
        table.add_column(sa.Column("messages", sa.JSON(none_as_null=True), nullable=True))
        table.add_column(sa.Column("reference", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("prompt_set_members") as table:
        table.add_column(sa.Column("tags", sa.JSON(none_as_null=True), nullable=True))
    prompt = _messages()["Prompt"]
    _change_answers(lambda text: prompt(text=text).SerializeToString())


def downgrade() -> None:
    prompt = _messages()["Prompt"]
    _change_answers(lambda record: prompt.FromString(record).text)
    # Without a batch, which would copy `prompts` and drop the table that other rows refer to.
    op.drop_column("prompt_set_members", "tags")
    op.drop_column("prompts", "reference")
    op.drop_column("prompts", "messages")


def _change_answers(change: Callable[[bytes], bytes]) -> None:
    """Changes the prompt of each sample answer in the results of builds."""
    portfolio_class = _messages()["Portfolio"]
    connection = op.get_bind()
    results = sa.select(_OPERATIONS.c.id).where(
        _OPERATIONS.c.kind == _BUILD, _OPERATIONS.c.response.is_not(None)
    )
    # One result at a time: each may have thousands of candidates.
    for identifier in list(connection.scalars(results)):
        row = _OPERATIONS.c.id == identifier
        stored = connection.scalars(sa.select(_OPERATIONS.c.response).where(row)).one()
        packed = any_pb2.Any.FromString(stored)
        portfolio = portfolio_class.FromString(packed.value)
        for answer in portfolio.sample_answers:
            answer.prompt = change(answer.prompt)
        packed.value = portfolio.SerializeToString(deterministic=True)
        connection.execute(
            sa.update(_OPERATIONS).where(row).values(response=packed.SerializeToString())
        )


def _messages() -> dict[str, Any]:
    """The messages that change, with the fields that matter only.

    The fields that are left out are kept as they are: protobuf keeps what it does not know. The
    generated classes are not used, because a later version of the protocol may change them.
    """
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="0005.proto", package="revision_0005", syntax="proto3"
    )
    portfolio = file.message_type.add(name="Portfolio")
    portfolio.field.add(
        name="sample_answers",
        number=7,
        label=kinds.LABEL_REPEATED,
        type=kinds.TYPE_MESSAGE,
        type_name=".revision_0005.SampleAnswer",
    )
    for name, field, number in (("SampleAnswer", "prompt", 2), ("Prompt", "text", 1)):
        file.message_type.add(name=name).field.add(
            name=field, number=number, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_BYTES
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{file.package}.{message.name}")
        )
        for message in file.message_type
    }
