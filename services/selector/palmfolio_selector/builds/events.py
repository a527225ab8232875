"""The events of a build, for its watchers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2
from palmfolio_runtime import names, operations
from palmfolio_runtime.logs import get_logger
from palmfolio_runtime.timestamps import timestamp
from palmfolio_selector.builds.plan import Facts
from palmfolio_selector.store import builds

log = get_logger(__name__)


@dataclass(frozen=True)
class EventDraft:
    """A `BuildEvent` without number, time and candidate counts."""

    stage: portfolios_pb2.BuildStage.ValueType
    message: str
    policy: str = ""
    done: int = 0
    total: int = 0
    reward_means: Mapping[str, float] = field(default_factory=dict)


def append(session: Session, operation: str, facts: Facts | None, draft: EventDraft) -> None:
    """Adds an event to the operation, also as the last event in the operation's metadata."""
    now = timestamp(time.time())

    def numbered(number: int) -> portfolios_pb2.BuildEvent:
        return portfolios_pb2.BuildEvent(
            number=number,
            time=now,
            stage=draft.stage,
            message=draft.message,
            policy=draft.policy,
            done=draft.done,
            total=draft.total,
            candidates_done=facts.candidates_done if facts else 0,
            candidates_total=facts.candidates_total if facts else 0,
            reward_means=dict(draft.reward_means),
        )

    event = operations.append_event(session, operation, numbered)
    if event is None:
        # The operation was deleted meanwhile: nobody can watch it any more.
        return
    assert isinstance(event, portfolios_pb2.BuildEvent)
    row = operations.get(session, names.OPERATIONS.name(operation))
    # The statement that numbered the event changed the row without the session's knowledge.
    session.refresh(row)
    operations.set_metadata(session, row, builds.metadata(row, event))
    log.info("build", portfolio=row.resource, number=event.number, message=event.message)
