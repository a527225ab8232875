"""Shared by the actions of a build: the server's parts, and the build itself."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from google.rpc import status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.clients.trainer import TrainerClient
from palmfolio_runtime.database import Database
from palmfolio_runtime.operations import Changes
from palmfolio_selector.builds import events
from palmfolio_selector.builds.events import EventDraft
from palmfolio_selector.builds.plan import Facts
from palmfolio_selector.config import SelectorConfig

P = ParamSpec("P")
R = TypeVar("R")


class BuildFailed(Exception):
    """The build cannot go on; `status` says why and what to do."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


@dataclass(frozen=True)
class ServerParts:
    """The parts of the server that calls and builds share.

    Attributes:
        changes: wakes those who watch an operation.
        mathematics: runs selections, off the event loop.
    """

    config: SelectorConfig
    database: Database
    changes: Changes
    trainer: TrainerClient
    scorer: ScorerClient
    mathematics: Executor


@dataclass
class BuildContext:
    """One build.

    Attributes:
        server: shared with the other builds.
        portfolio: the portfolio's id.
        operation: the operation's id.
        spec: canonical.
        answered: to be called when the named service has answered.
        facts: as they were last read.
    """

    server: ServerParts
    portfolio: str
    operation: str
    spec: portfolios_pb2.PortfolioSpec
    answered: Callable[[str], None]
    facts: Facts | None = None

    async def read(
        self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Returns `function(session, ...)`, which only reads."""
        return await self.server.database.run(function, *args, **kwargs)

    async def commit(
        self, function: Callable[Concatenate[Session, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Runs `function(session, ...)` in one transaction, then wakes the build's watchers."""
        answer = await self.server.database.run(function, *args, **kwargs)
        # Only now: watchers that wake before the commit would read the old events.
        await self.server.changes.notify()
        return answer

    async def report(self, draft: EventDraft) -> None:
        """Adds an event in a transaction of its own."""
        await self.commit(self.append, draft)

    def append(self, session: Session, draft: EventDraft) -> None:
        """Adds an event in the caller's transaction."""
        events.append(session, self.operation, self.facts, draft)
