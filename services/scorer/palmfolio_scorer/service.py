"""The scorer as the runtime runs it."""

from collections.abc import Callable, Sequence

from grpc import aio

from palmfolio.v1 import scorer_pb2
from palmfolio_scorer.calls.servicer import register
from palmfolio_scorer.config import ScorerConfig
from palmfolio_scorer.lifecycle.scorer_runtime import Scoring


class ScorerService:
    """What the runtime runs."""

    names: Sequence[str] = (scorer_pb2.DESCRIPTOR.services_by_name["Scorer"].full_name,)

    def __init__(
        self, config: ScorerConfig, reread: Callable[[], ScorerConfig] | None = None
    ) -> None:
        """`reread` reads the configuration again, for a reload.

        Raises:
            ConfigError: the traits are declared wrongly.
        """
        self._scoring = Scoring(config, reread)

    def register(self, server: aio.Server) -> None:
        """Adds the servicer."""
        register(self._scoring, server)

    async def start(self) -> None:
        """Loads the traits."""
        await self._scoring.start()

    async def reload(self) -> None:
        """Takes the traits of the configuration as it is now, or keeps the old ones."""
        await self._scoring.reload()

    def not_ready(self) -> Sequence[str]:
        """Why the scorer does not take work."""
        return self._scoring.not_ready()

    async def stop(self) -> None:
        """Ends the models' threads."""
        await self._scoring.stop()
