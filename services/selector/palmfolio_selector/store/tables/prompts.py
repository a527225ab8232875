"""Tables of prompts and of the sets that hold them."""

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from palmfolio_selector.store.tables.schema import Base, Key


class PromptSetRow(Base):
    """A set of prompts, addressed by its content."""

    __tablename__ = "prompt_sets"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    display_name: Mapped[str] = mapped_column(Text)
    created: Mapped[float] = mapped_column(Float(53))
    """Seconds since the epoch."""


class PromptRow(Base):
    """One prompt, shared by every set that holds it."""

    __tablename__ = "prompts"

    key: Mapped[int] = mapped_column(Key, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """Of the text or the messages, and the reference (`palmfolio_runtime.prompts`)."""
    text: Mapped[str] = mapped_column(Text)
    """Empty for a conversation."""
    messages: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    """A conversation's turns, each with `role` and `content`; None for a text."""
    reference: Mapped[str] = mapped_column(Text, default="", server_default="")
    """The expected answer; empty when there is none."""


class PromptSetMemberRow(Base):
    """A prompt's position in a set."""

    __tablename__ = "prompt_set_members"

    prompt_set: Mapped[str] = mapped_column(
        ForeignKey("prompt_sets.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    """From 0."""
    prompt: Mapped[int] = mapped_column(Key, ForeignKey("prompts.key"))
    tags: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """None without tags."""
