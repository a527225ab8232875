"""Tables of portfolios, of the trainings that they want and of the candidates they chose from."""

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
from sqlalchemy.orm import Mapped, mapped_column

from palmfolio_runtime.operations.tables import EventNumber
from palmfolio_selector.store.tables.schema import Base, Key


class PortfolioState(enum.StrEnum):
    """The state of a portfolio."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class PortfolioRow(Base):
    """A portfolio and its spec."""

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
    """A serialised `Portfolio` with certificate, baselines and bounds; None until ready."""
    error: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A serialised `google.rpc.Status`; None unless failed."""


class TrainingState(enum.StrEnum):
    """The state of a training that a build wants."""

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
    last_event: Mapped[int] = mapped_column(EventNumber, default=0)
    """The number of the newest event of that operation that was passed on."""
    policy: Mapped[str] = mapped_column(String(200), default="")
    """`policies/{id}`; empty until ready."""
    error: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A serialised `google.rpc.Status`; None unless failed."""


class ExclusionRow(Base):
    """A policy that a portfolio did not choose from, because it lacks too many rewards."""

    __tablename__ = "exclusions"

    portfolio: Mapped[str] = mapped_column(
        ForeignKey("portfolios.id", ondelete="CASCADE"), primary_key=True
    )
    policy: Mapped[int] = mapped_column(Key, ForeignKey("policies.key"), primary_key=True)
    complete: Mapped[int] = mapped_column()
    """Prompts for which it has every reward on every trait."""
    reason: Mapped[str] = mapped_column(Text)
    """For people."""


class CandidateRow(Base):
    """A policy that a portfolio chose from, with the value it was chosen by."""

    __tablename__ = "candidates"

    portfolio: Mapped[str] = mapped_column(
        ForeignKey("portfolios.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    """From 0, members first."""
    policy: Mapped[int] = mapped_column(Key, ForeignKey("policies.key"))
    selected: Mapped[bool] = mapped_column()
    value: Mapped[dict[str, float]] = mapped_column(JSON(none_as_null=True))
    """Value by trait, in [0, 1]."""
