"""The clients of the load run: each checks every reward it gets."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import grpc.aio

from palmfolio import Sample, Timeouts, _connection, _transport
from palmfolio._async_client import AsyncScorer

_TOLERANCE = 1e-4  # float32, whatever the batch
_SAMPLES_PER_CALL = 2
_WINDOW = 4
_CALL_SECONDS = 600.0


@dataclass(frozen=True)
class Expected:
    """A sample and its raw rewards."""

    sample: Sample
    raw: tuple[float, ...]


@dataclass
class Tally:
    """What all clients saw together."""

    sent: int = 0
    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    call_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def check(self, expected: Expected, raw: Sequence[float], who: str) -> None:
        """Counts one answer, and keeps it when it is not what the table says."""
        self.answered += 1
        right = len(raw) == len(expected.raw) and all(
            abs(got - wanted) <= _TOLERANCE * max(1.0, abs(wanted))  # NaN is wrong too
            for got, wanted in zip(raw, expected.raw, strict=True)
        )
        if not right:
            self.wrong.append(f"{who}: {tuple(raw)} in place of {expected.raw}")


async def run_clients(
    address: str, table: Sequence[Expected], clients: int, seconds: float
) -> Tally:
    """Runs half of the clients with `score`, half with `score_stream`, until all work is done.

    New work is begun for `seconds`; what was begun is finished.
    """
    tally = Tally()
    start = time.monotonic()
    end = start + seconds

    async def client_of(number: int) -> None:
        chooser = random.Random(number)
        behave = _calling if number % 2 else _streaming
        try:
            async with _client(address) as scorer:
                await behave(scorer, table, chooser, end, tally)
        except Exception as error:
            tally.errors.append(f"client {number}: {type(error).__name__}: {error}")

    await asyncio.gather(*(client_of(number) for number in range(clients)))
    tally.seconds = time.monotonic() - start
    return tally


async def _calling(
    scorer: AsyncScorer,
    table: Sequence[Expected],
    chooser: random.Random,
    end: float,
    tally: Tally,
) -> None:
    while time.monotonic() < end:
        chosen = chooser.choices(table, k=_SAMPLES_PER_CALL)
        tally.sent += len(chosen)
        begun = time.monotonic()
        rewards = await scorer.score(
            [expected.sample for expected in chosen], timeout=_CALL_SECONDS
        )
        tally.call_seconds.append(time.monotonic() - begun)
        for expected, raw in zip(chosen, rewards.raw, strict=True):
            tally.check(expected, raw, "score")


async def _streaming(
    scorer: AsyncScorer,
    table: Sequence[Expected],
    chooser: random.Random,
    end: float,
    tally: Tally,
) -> None:
    chosen: list[Expected] = []

    def samples() -> Iterator[Sample]:
        while time.monotonic() < end:
            chosen.append(chooser.choice(table))
            tally.sent += 1
            yield chosen[-1].sample

    position = itertools.count()
    async for scored in scorer.score_stream(samples(), window=_WINDOW):
        tally.check(chosen[next(position)], scored.raw, "score_stream")


class _OwnChannels(_transport.AsyncTransport):
    """Channels with connections of their own: gRPC shares one among equal channels."""

    def _open(self, address: str) -> grpc.aio.Channel:
        options = [*_connection.channel_options(None), ("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.insecure_channel(address, options)
        self._channels.append(channel)
        return channel


@contextlib.asynccontextmanager
async def _client(address: str) -> AsyncIterator[AsyncScorer]:
    transport = _OwnChannels(_connection.Connection({"scorer": address}), Timeouts())
    try:
        yield AsyncScorer(transport)
    finally:
        await transport.close()
