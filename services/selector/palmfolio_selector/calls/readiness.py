"""The selector's readiness and limits."""

from importlib.metadata import version

import grpc

from palmfolio.v1 import errors_pb2, types_pb2
from palmfolio_runtime.database import Database
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.limits import SelectorLimits


class ServerState:
    """Whether the server takes work, and its limits."""

    def __init__(self, limits: SelectorLimits, database: Database) -> None:
        self._limits = limits
        self._database = database
        self.started = False

    def not_ready(self) -> list[str]:
        """Why the server takes no work; empty when it does."""
        if self._database.trouble:
            return [self._database.trouble]
        return [] if self.started else ["the database is being opened"]

    def check_ready(self) -> None:
        """Refuses a call that comes too early.

        Raises:
            ServiceError: UNAVAILABLE (SERVER_NOT_READY) until the server has started.
        """
        # A call finds out by itself that the database is away, and it may be back by now.
        if not self.started:
            raise ServiceError(
                grpc.StatusCode.UNAVAILABLE,
                errors_pb2.ERROR_REASON_SERVER_NOT_READY,
                f"the selector is starting: {'; '.join(self.not_ready())}; try again in a moment",
            )

    def info(self) -> types_pb2.ServerInfo:
        """The answer of `GetServerInfo`."""
        reasons = self.not_ready()
        return types_pb2.ServerInfo(
            service="selector",
            version=version("palmfolio"),
            readiness=types_pb2.Readiness(ready=not reasons, reasons=reasons),
            limits=self._limits.as_map(),
        )
