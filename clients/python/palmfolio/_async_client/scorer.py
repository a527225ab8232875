"""The scorer's client for asyncio."""

# ruff: noqa: ASYNC109 - `timeout` travels to the server as the call's deadline.

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence

from palmfolio import types
from palmfolio._async_client.service import AsyncService
from palmfolio._calls import scorer as calls
from palmfolio._calls import services
from palmfolio._retry import Deadline
from palmfolio._scoring import tasks
from palmfolio._scoring.session import DEFAULT_WINDOW, Session


class AsyncScorer(AsyncService):
    """`Scorer` for asyncio.

    Example:
        async def scores(client: palmfolio.AsyncClient) -> None:
            samples = [palmfolio.Sample("How are you?", "Fine, thank you!")]
            rewards = await client.scorer.score(samples, traits=["brevity"])
            print(rewards.normalised)
    """

    async def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """As `Scorer.server_info`."""
        return await self._transport.unary(services.server_info("scorer"), timeout)

    def list_traits(self) -> AsyncIterator[types.Trait]:
        """As `Scorer.list_traits`."""
        return self._pages(calls.list_traits)

    async def score(
        self,
        samples: Iterable[types.Sample],
        *,
        traits: Sequence[str] = (),
        timeout: float | None = None,
    ) -> types.Rewards:
        """As `Scorer.score`."""
        return await self._transport.unary(calls.score(samples, traits), timeout)

    async def score_stream(
        self,
        samples: Iterable[types.Sample] | AsyncIterable[types.Sample],
        *,
        traits: Sequence[str] = (),
        window: int = DEFAULT_WINDOW,
        timeout: float | None = None,
    ) -> AsyncGenerator[types.ScoredSample, None]:
        """As `Scorer.score_stream`; the samples are read by another task."""
        deadline = Deadline(timeout)
        info = await self.server_info(timeout=deadline.remaining())
        served = [trait async for trait in self.list_traits()]
        session = Session(self._transport, info, served, traits, window, deadline)
        # A bare `async for` would leave the inner iterator open when this one is dropped.
        async with contextlib.aclosing(tasks.scored(self._transport, session, samples)) as results:
            async for result in results:
                yield result

    async def calibrate(
        self,
        trait: str,
        samples: Iterable[types.Sample],
        *,
        method: types.CalibrationMethod,
        tail: float = 0.0,
        validate_only: bool = False,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.Calibration:
        """As `Scorer.calibrate`."""
        call = calls.calibrate(trait, samples, method, tail, validate_only, request_id)
        return await self._transport.unary(call, timeout)
