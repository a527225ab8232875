"""The base class of the groups of calls."""

import asyncio
import threading
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from palmfolio_palm import Progress, ProgressCallback
from palmfolio_runtime.database import Database
from palmfolio_selector.builds.context import ServerParts
from palmfolio_selector.builds.runner import Builds
from palmfolio_selector.calls.readiness import ServerState

P = ParamSpec("P")
R = TypeVar("R")


class SearchAbandoned(Exception):
    """Nobody waits for the answer of a search any more."""


class CallGroup:
    """Calls that check requests, read and change the store, and start builds.

    Args:
        state: whether the server takes work.
        server: shared by calls and builds.
        builds: the builds of this server.
    """

    def __init__(self, state: ServerState, server: ServerParts, builds: Builds) -> None:
        self._state = state
        self._server = server
        self._builds = builds

    @property
    def _database(self) -> Database:
        return self._server.database

    async def _change(
        self,
        function: Callable[Concatenate[Session, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Runs a transaction; again if another transaction added the same row meanwhile."""
        try:
            return await self._database.run(function, *args, **kwargs)
        except IntegrityError:
            # The second time, the function finds the other transaction's row.
            return await self._database.run(function, *args, **kwargs)

    async def _compute(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs mathematics off the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._server.mathematics, lambda: function(*args, **kwargs)
        )

    async def _search(self, function: Callable[[ProgressCallback], R]) -> R:
        """Runs a search off the event loop; stops it when its call is cancelled or late."""
        # A thread cannot be cancelled: the search asks whether it should stop.
        stopped = threading.Event()

        def progress(_: Progress) -> None:
            # A search ends with the exception that its report raises: no other way reaches it.
            if stopped.is_set():
                raise SearchAbandoned

        try:
            return await self._compute(function, progress)
        except asyncio.CancelledError:
            stopped.set()
            raise
