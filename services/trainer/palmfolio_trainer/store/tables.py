"""The trainer's own tables. Those of operations are the runtime's."""

import enum
from typing import Any

from sqlalchemy import JSON, Enum, Float, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from palmfolio_runtime.leases import LeaseColumns


class Base(DeclarativeBase):
    """Metadata of the trainer's tables."""


class PolicyState(enum.StrEnum):
    """What can be done with a policy."""

    TRAINING = "training"
    READY = "ready"
    FAILED = "failed"


class JobState(enum.StrEnum):
    """How far a job is. `QUEUED` and `RUNNING` are alive, the others are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PromptsRow(Base):
    """Training prompts, stored once for all policies that share them."""

    __tablename__ = "training_prompts"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    prompts: Mapped[list[Any]] = mapped_column(JSON)
    """`Prompt.canonical` of each: a text without a reference is a string."""


class PolicyRow(Base):
    """A policy: a base model, unchanged or with an adapter."""

    __tablename__ = "policies"
    __table_args__ = (Index("ix_policies_created", "created", "id"),)

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    """The address that it had when it was stored; it never changes, since others refer to it."""
    address: Mapped[str | None] = mapped_column(String(128), index=True, unique=True)
    """The content address in today's form, by which a spec finds its policy. None for a policy
    that an older trainer stored, until a trainer that serves its base model starts."""
    base_model: Mapped[str] = mapped_column(String(200))
    spec: Mapped[str | None] = mapped_column(Text)
    """The `TrainingSpec` as JSON; None for a base model."""
    prompts_digest: Mapped[str | None] = mapped_column(ForeignKey("training_prompts.digest"))
    initial_policy: Mapped[str | None] = mapped_column(String(128), index=True)
    """The id of the policy that training starts from."""
    state: Mapped[PolicyState] = mapped_column(
        Enum(PolicyState, native_enum=False, length=16, values_callable=lambda e: [*e])
    )
    adapter: Mapped[str | None] = mapped_column(Text)
    """URI of the adapter's folder."""
    adapter_digest: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 of the adapter's manifest."""
    error: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A serialised `google.rpc.Status`: why the last training failed."""
    operation: Mapped[str | None] = mapped_column(String(64))
    """The id of the newest operation that makes it."""
    created: Mapped[float] = mapped_column(Float(53))
    """Seconds since the epoch."""

    @property
    def is_base_model(self) -> bool:
        """True for an unchanged base model."""
        return self.spec is None


class JobRow(LeaseColumns, Base):
    """The training of one operation.

    A trainer owns a running job as long as its lease lasts. Only the current attempt may change the
    job or publish its adapter.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """The operation's id."""
    policy: Mapped[str] = mapped_column(ForeignKey("policies.id"), index=True)
    state: Mapped[JobState] = mapped_column(
        Enum(JobState, native_enum=False, length=16, values_callable=lambda e: [*e]), index=True
    )
    crashes: Mapped[int] = mapped_column(default=0)
    """Attempts whose process ended without an outcome."""
    created: Mapped[float] = mapped_column(Float(53))
    """Seconds since the epoch."""
