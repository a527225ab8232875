"""What every action of a build works with."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from google.rpc import status_pb2
from sqlalchemy.orm import Session

from palmfolio.v1 import selector_pb2
from palmfolio_runtime.clients.scorer import ScorerClient
from palmfolio_runtime.clients.trainer import TrainerClient
from palmfolio_runtime.database import Database
from palmfolio_runtime.operations import Changes
from palmfolio_selector.builds import events
from palmfolio_selector.builds.events import Happening
from palmfolio_selector.builds.plan import Facts
from palmfolio_selector.config import SelectorConfig


class BuildFailed(Exception):
    """The build cannot go on; `status` says why and what to do."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


@dataclass(frozen=True)
class Tools:
    """What the builds of a server share.

    Attributes:
        mathematics: where selection runs, off the event loop.
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
        tools: shared with the other builds.
        portfolio: the portfolio's id.
        operation: the operation's id.
        spec: canonical.
        facts: as they were last read.
        answered: to be called when the named service has answered.
    """

    tools: Tools
    portfolio: str
    operation: str
    spec: selector_pb2.PortfolioSpec
    answered: Callable[[str], None]
    facts: Facts | None = None

    async def report(self, happening: Happening) -> None:
        """Adds an event in a transaction of its own."""
        await self.tools.database.run(self.append, happening)
        await self.tools.changes.notify()

    def append(self, session: Session, happening: Happening) -> None:
        """Adds an event in the caller's transaction."""
        events.append(session, self.operation, self.facts, happening)
