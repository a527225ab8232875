"""What every group of calls works with."""

import asyncio
import threading
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from palmfolio_palm.selection import Stopped
from palmfolio_runtime.database import Database
from palmfolio_selector.builds.context import Tools
from palmfolio_selector.builds.runner import Builds
from palmfolio_selector.calls.readiness import ServerState

P = ParamSpec("P")
R = TypeVar("R")


class Calls:
    """Checks requests, asks the store, starts builds.

    Args:
        state: whether the server takes work.
        tools: what calls and builds share.
        running: the builds of this server.
    """

    def __init__(self, state: ServerState, tools: Tools, running: Builds) -> None:
        self._state = state
        self._tools = tools
        self._builds = running

    @property
    def _database(self) -> Database:
        return self._tools.database

    async def _change(
        self,
        function: Callable[Concatenate[Session, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Runs a transaction, once more when another one made the same row meanwhile."""
        try:
            return await self._database.run(function, *args, **kwargs)
        except IntegrityError:
            return await self._database.run(function, *args, **kwargs)

    async def _compute(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs mathematics off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._tools.mathematics, lambda: function(*args, **kwargs)
        )

    async def _search(self, function: Callable[[Stopped], R]) -> R:
        """Runs a search off the event loop, and stops it when the call is cancelled or late."""
        stopped = threading.Event()
        try:
            return await self._compute(function, stopped.is_set)
        except asyncio.CancelledError:
            stopped.set()
            raise
