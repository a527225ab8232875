"""The scorer as a service: the interface that `palmfolio_runtime.serving` starts and stops."""

from collections.abc import Callable, Sequence

from grpc import aio

from palmfolio.v1 import scorer_pb2
from palmfolio_scorer.calls.servicer import register
from palmfolio_scorer.config import ScorerConfig
from palmfolio_scorer.lifecycle.scorer_runtime import ScorerRuntime


class ScorerService:
    """Connects the scorer's runtime with the server that runs it."""

    names: Sequence[str] = (scorer_pb2.DESCRIPTOR.services_by_name["Scorer"].full_name,)

    def __init__(
        self, config: ScorerConfig, reread: Callable[[], ScorerConfig] | None = None
    ) -> None:
        """`reread` reads the configuration again, for a reload.

        Raises:
            ConfigError: the traits are declared wrongly.
        """
        self._runtime = ScorerRuntime(config, reread)

    def register(self, server: aio.Server) -> None:
        """Adds the servicer."""
        register(self._runtime, server)

    async def start(self) -> None:
        """Loads the traits."""
        await self._runtime.start()

    async def reload(self) -> None:
        """Takes the traits of the configuration as it is now, or keeps the old ones."""
        await self._runtime.reload()

    def not_ready(self) -> Sequence[str]:
        """Why the scorer does not take work, or not all of it."""
        return self._runtime.not_ready()

    async def stop(self) -> None:
        """Ends the models' threads."""
        await self._runtime.stop()
