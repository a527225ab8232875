"""The tables of operations, in the database of each service that has operations."""

import enum

from sqlalchemy import (
    BigInteger,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# The protocol's numbers of events have 64 bits, so a client may ask for events after any of them.
# An INTEGER of SQLite has 64 bits already.
EventNumber = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Metadata of the runtime's tables; each service's migrations create them."""


class OperationState(enum.StrEnum):
    """Where an operation is. Every state but `RUNNING` is final."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class OperationRow(Base):
    """One operation. Messages are stored as serialised `google.protobuf.Any`."""

    __tablename__ = "operations"
    __table_args__ = (Index("ix_operations_created", "created", "id"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    """The kind of work: `train_policy`, `build_portfolio`."""
    resource: Mapped[str] = mapped_column(String(200), index=True)
    """The name of the resource that the operation makes."""
    state: Mapped[OperationState] = mapped_column(
        Enum(OperationState, native_enum=False, length=16, values_callable=lambda e: [*e])
    )
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    details: Mapped[bytes] = mapped_column(LargeBinary)
    """The operation's metadata message."""
    response: Mapped[bytes | None] = mapped_column(LargeBinary)
    error: Mapped[bytes | None] = mapped_column(LargeBinary)
    """A serialised `google.rpc.Status`; set when failed or cancelled."""
    created: Mapped[float] = mapped_column(Float(53))
    """Seconds since the epoch."""
    last_event: Mapped[int] = mapped_column(EventNumber, default=0)
    """The number of the newest event; 0 without one."""


class EventRow(Base):
    """One event of an operation."""

    __tablename__ = "operation_events"

    operation: Mapped[str] = mapped_column(
        ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(EventNumber, primary_key=True, autoincrement=False)
    """1, 2, 3 … within the operation."""
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    """The serialised event message."""


class RequestRow(Base):
    """What a mutating request answered, so that its retry answers the same."""

    __tablename__ = "requests"

    method: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    body_digest: Mapped[str] = mapped_column(String(64))
    result: Mapped[str] = mapped_column(String(200))
    """The name of the operation or resource that was returned."""
