"""The client for asyncio: where the services are, and one object for each."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from palmfolio._async_client.scorer import AsyncScorer
from palmfolio._async_client.selector import AsyncSelector
from palmfolio._async_client.trainer import AsyncTrainer
from palmfolio._connection import TLS, Timeouts, connection
from palmfolio._transport import AsyncTransport


class AsyncClient:
    """`Client` for asyncio; belongs to the event loop that it is first used on.

    Its methods have the names and parameters of `Client`'s, and are explained there.

    Example:
        import asyncio

        import palmfolio

        async def main() -> None:
            async with palmfolio.AsyncClient("palmfolio-quickstart/endpoints.json") as client:
                route = await client.selector.route("quickstart", {"brevity": 2, "warmth": 1})
                print(route.policy)

        asyncio.run(main())
    """

    def __init__(
        self,
        endpoints: Mapping[str, str] | str | Path | None = None,
        *,
        scorer: str | None = None,
        trainer: str | None = None,
        selector: str | None = None,
        token: str | None = None,
        tls: TLS | None = None,
        insecure: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        explicit = {"scorer": scorer, "trainer": trainer, "selector": selector}
        settled = connection(endpoints, explicit, token, tls, insecure)
        self._transport = AsyncTransport(settled, timeouts or Timeouts())
        self.scorer = AsyncScorer(self._transport)
        self.trainer = AsyncTrainer(self._transport)
        self.selector = AsyncSelector(self._transport)

    async def close(self) -> None:
        """As `Client.close`.

        Example:
            async def main() -> None:
                client = palmfolio.AsyncClient(scorer="127.0.0.1:8101")
                await client.close()
        """
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
