"""Waits until services take work."""

import asyncio
from collections.abc import Callable, Mapping

from palmfolio._async_client import AsyncClient
from palmfolio.errors import Unavailable

_POLL_SECONDS = 0.3


async def wait_until_ready(
    addresses: Mapping[str, str],
    tell: Callable[[str, str], None] = lambda service, news: None,
) -> None:
    """Returns when every service says that it is ready. Has no limit of its own.

    Args:
        addresses: `host:port` by service.
        tell: called with a service and its news: why it is not ready yet, then `ready`.
    """
    async with AsyncClient(addresses) as client:
        services = {
            "scorer": client.scorer.server_info,
            "trainer": client.trainer.server_info,
            "selector": client.selector.server_info,
        }

        async def wait(name: str) -> None:
            last = ""
            while last != "ready":
                try:
                    readiness = (await services[name]()).readiness
                    news = (
                        "ready" if readiness.ready else "; ".join(readiness.reasons) or "starting"
                    )
                except Unavailable:
                    news = "starting"
                if news != last:
                    tell(name, news)
                    last = news
                if last != "ready":
                    await asyncio.sleep(_POLL_SECONDS)

        await asyncio.gather(*(wait(name) for name in addresses))
