"""Every table of the selector, once. The operations' tables are the runtime's.

What is measured is reusable: a response is known by (policy, sampling, prompt, sample), its
evaluation by the trait and the trait's version as well. Rows of different versions never meet,
because a version is part of the key. Duplicates of a key are ignored: whoever wrote first wins.
"""

import enum

from sqlalchemy import (
    JSON,
    BigInteger,
    Enum,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    false,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Metadata of the selector's tables."""


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

    key: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    """Of the text."""
    text: Mapped[str] = mapped_column(Text)


class PromptSetMemberRow(Base):
    """A prompt's place in a set."""

    __tablename__ = "prompt_set_members"

    prompt_set: Mapped[str] = mapped_column(
        ForeignKey("prompt_sets.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    """From 0."""
    prompt: Mapped[int] = mapped_column(ForeignKey("prompts.key"))


class PolicyRow(Base):
    """A policy as the trainer described it, or as it was imported."""

    __tablename__ = "policies"

    key: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    """`policies/{id}`."""
    base_model: Mapped[str] = mapped_column(String(200), default="")
    is_base_model: Mapped[bool] = mapped_column(default=False)
    weights: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))
    """The weights it was trained at; None for a base model."""
    adapter: Mapped[str] = mapped_column(Text, default="")
    """URI; empty for a base model."""


class SamplingRow(Base):
    """Settings that responses were sampled with, without the number of samples.

    Of imported evaluations nothing is known but their source, which stands here instead.
    """

    __tablename__ = "samplings"

    key: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    settings: Mapped[dict[str, float | str]] = mapped_column(JSON(none_as_null=True))


class TraitRow(Base):
    """One version of a trait."""

    __tablename__ = "traits"
    __table_args__ = (Unique("name", "version", name="uq_traits_name_version"),)

    key: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    version: Mapped[str] = mapped_column(String(200))


class ResponseRow(Base):
    """One sampled response."""

    __tablename__ = "responses"

    policy: Mapped[int] = mapped_column(ForeignKey("policies.key"), primary_key=True)
    sampling: Mapped[int] = mapped_column(ForeignKey("samplings.key"), primary_key=True)
    prompt: Mapped[int] = mapped_column(ForeignKey("prompts.key"), primary_key=True)
    sample: Mapped[int] = mapped_column(primary_key=True)
    """From 0."""
    text: Mapped[str] = mapped_column(Text)


class EvaluationRow(Base):
    """The reward of one response on one version of a trait."""

    __tablename__ = "evaluations"

    policy: Mapped[int] = mapped_column(ForeignKey("policies.key"), primary_key=True)
    sampling: Mapped[int] = mapped_column(ForeignKey("samplings.key"), primary_key=True)
    prompt: Mapped[int] = mapped_column(ForeignKey("prompts.key"), primary_key=True)
    sample: Mapped[int] = mapped_column(primary_key=True)
    trait: Mapped[int] = mapped_column(ForeignKey("traits.key"), primary_key=True)
    raw: Mapped[float | None] = mapped_column(Float(53))
    """As the trait computed it; None where the trait failed."""
    normalised: Mapped[float | None] = mapped_column(Float(53))
    """In [0, 1]; None where the trait failed."""
    failure: Mapped[str] = mapped_column(Text, default="")
    """Why the trait failed; empty otherwise."""


class MeanRow(Base):
    """The mean normalised reward of a policy on a trait over a prompt set."""

    __tablename__ = "means"

    policy: Mapped[int] = mapped_column(ForeignKey("policies.key"), primary_key=True)
    trait: Mapped[int] = mapped_column(ForeignKey("traits.key"), primary_key=True)
    prompt_set: Mapped[str] = mapped_column(
        ForeignKey("prompt_sets.id", ondelete="CASCADE"), primary_key=True
    )
    sampling: Mapped[int] = mapped_column(ForeignKey("samplings.key"), primary_key=True)
    samples: Mapped[int] = mapped_column(primary_key=True)
    """Samples of each prompt."""
    mean: Mapped[float] = mapped_column(Float(53))
    count: Mapped[int] = mapped_column()
    """Rewards in the mean."""
    failed: Mapped[int] = mapped_column()
    """Responses that the trait could not score."""


class PortfolioState(enum.StrEnum):
    """Where a portfolio is."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class PortfolioRow(Base):
    """A portfolio and what was asked for."""

    __tablename__ = "portfolios"
    __table_args__ = (Index("ix_portfolios_created", "created", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    spec: Mapped[bytes] = mapped_column(LargeBinary)
    """The canonical `PortfolioSpec`, serialised deterministically."""
    state: Mapped[PortfolioState] = mapped_column(
        Enum(PortfolioState, native_enum=False, length=16, values_callable=lambda e: [*e])
    )
    created: Mapped[float] = mapped_column(Float(53))
    operation: Mapped[str] = mapped_column(String(64), default="")
    """The id of the last build's operation."""
    trait_versions: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    """Version by trait; None until the build has asked the scorer."""
    base_policy: Mapped[str] = mapped_column(String(200), default="")
    """The base model's policy; empty until the build has asked the trainer."""
    source: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """The source of imported evaluations; empty when builds made them."""
    explored: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The strategy wants no further trainings."""
    result: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A serialised `Portfolio` that holds what selection found; None until ready."""
    error: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A serialised `google.rpc.Status`; None unless failed."""


class TrainingState(enum.StrEnum):
    """Where a training that a build wants is."""

    WANTED = "wanted"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


class TrainingRow(Base):
    """A training that a build wants."""

    __tablename__ = "trainings"

    portfolio: Mapped[str] = mapped_column(
        ForeignKey("portfolios.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    """From 1."""
    weights: Mapped[dict[str, float]] = mapped_column(JSON(none_as_null=True))
    initial: Mapped[int] = mapped_column(default=0)
    """The position of the training it starts from; 0 for the base model."""
    grpo: Mapped[bytes] = mapped_column(LargeBinary)
    """A serialised `GrpoConfig`."""
    seed: Mapped[int | None] = mapped_column(BigInteger)
    """None for the spec's."""
    state: Mapped[TrainingState] = mapped_column(
        Enum(TrainingState, native_enum=False, length=16, values_callable=lambda e: [*e])
    )
    operation: Mapped[str] = mapped_column(String(200), default="")
    """The trainer's `operations/{id}`; empty until asked."""
    last_event: Mapped[int] = mapped_column(default=0)
    """The number of the newest event of that operation that was passed on."""
    policy: Mapped[str] = mapped_column(String(200), default="")
    """`policies/{id}`; empty until ready."""
    error: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A serialised `google.rpc.Status`; None unless failed."""


class CandidateRow(Base):
    """A policy that a portfolio chose from, with the value it was chosen by."""

    __tablename__ = "candidates"

    portfolio: Mapped[str] = mapped_column(
        ForeignKey("portfolios.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    """From 0, members first."""
    policy: Mapped[int] = mapped_column(ForeignKey("policies.key"))
    selected: Mapped[bool] = mapped_column()
    value: Mapped[dict[str, float]] = mapped_column(JSON(none_as_null=True))
    """Value by trait, in [0, 1]."""
