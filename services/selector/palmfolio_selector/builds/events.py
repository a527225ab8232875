"""Telling those who watch a build what happens."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf import timestamp_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import selector_pb2
from palmfolio_runtime import names, operations
from palmfolio_runtime.logs import get_logger
from palmfolio_selector.builds.plan import Facts

log = get_logger(__name__)


@dataclass(frozen=True)
class Happening:
    """What a `BuildEvent` says beside its number and the candidates' counts."""

    stage: selector_pb2.BuildStage.ValueType
    message: str
    policy: str = ""
    done: int = 0
    total: int = 0
    reward_means: Mapping[str, float] = field(default_factory=dict)


def append(session: Session, operation: str, facts: Facts | None, happening: Happening) -> None:
    """Adds an event to the operation and notes it as the last one."""
    now = timestamp_pb2.Timestamp()
    now.GetCurrentTime()

    def event(number: int) -> selector_pb2.BuildEvent:
        return selector_pb2.BuildEvent(
            number=number,
            time=now,
            stage=happening.stage,
            message=happening.message,
            policy=happening.policy,
            done=happening.done,
            total=happening.total,
            candidates_done=facts.candidates_done if facts else 0,
            candidates_total=facts.candidates_total if facts else 0,
            reward_means=dict(happening.reward_means),
        )

    added = operations.append_event(session, operation, event)
    if added is None:
        return
    assert isinstance(added, selector_pb2.BuildEvent)
    row = operations.get(session, names.OPERATIONS.name(operation))
    # The numbering statement went past the session.
    session.refresh(row)
    operations.set_metadata(session, row, metadata(row, added))
    log.info("build", portfolio=row.resource, number=added.number, message=happening.message)


def metadata(
    row: operations.OperationRow, last: selector_pb2.BuildEvent | None = None
) -> selector_pb2.BuildPortfolioMetadata:
    """The metadata of a build's operation."""
    created = timestamp_pb2.Timestamp()
    created.FromMicroseconds(round(row.created * 1_000_000))
    return selector_pb2.BuildPortfolioMetadata(
        portfolio=row.resource, last_event=last, create_time=created
    )
