"""The events of a stream of samples and the reactions to them, without threads or tasks."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from palmfolio import errors, types
from palmfolio._calls import scorer
from palmfolio._calls.call import Call
from palmfolio._names import resource_id
from palmfolio._retry import Deadline, Patience, pause_before_retry
from palmfolio._scoring.window import ScoreWindow
from palmfolio._transport import Transport

DEFAULT_WINDOW = 2048
"""Samples held at most: enough for a server to sort by length, and a few megabytes."""


@dataclass(frozen=True, slots=True)
class Read:
    """A sample was read."""

    sample: types.Sample


@dataclass(frozen=True, slots=True)
class InputEnded:
    """All samples were read, or reading them raised `error`."""

    error: Exception | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answered on the stream of that number."""

    stream: int
    message: Any


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The stream of that number ended; `error` is None when it ended well, or nothing is known."""

    stream: int
    error: grpc.RpcError | None


Event = Read | InputEnded | Answered | StreamEnded


class Session:
    """One `score_stream`: its window, its deadline and its patience with the server.

    Args:
        transport: carries the calls.
        info: the server's limits.
        served: the traits that the server scores.
        wanted: names of traits to score; empty means all.
        size: samples held at most.
        deadline: for everything.

    Raises:
        ConfigurationError: `size` is not positive.
    """

    def __init__(
        self,
        transport: Transport,
        info: types.ServerInfo,
        served: Iterable[types.Trait],
        wanted: Sequence[str],
        size: int,
        deadline: Deadline,
    ) -> None:
        if size < 1:
            raise errors.ConfigurationError(f"window must be at least 1, not {size}")
        known = {trait.name: trait for trait in served}
        names = [resource_id(name) for name in wanted] or list(known)
        # The traits are sent by name, so that a server that restarts with other traits still scores
        # the same. A name that the server does not know is for the server to refuse.
        traits = [known.get(name, types.Trait(name)) for name in names]
        self.window = ScoreWindow(traits, info.limits, size)
        self.deadline = deadline
        self._transport = transport
        # How long the server may be away, or silent while it has samples to score.
        self._silence = transport.timeouts.score
        self._patience = Patience(math.inf if self._silence is None else self._silence)
        self.call: Call[Any] = scorer.score_stream()
        self.stream = 0
        """The number of the stream in use; 0 while there is none."""
        self._streams = 0

    def opened(self) -> int:
        """Counts another stream, and returns its number."""
        self._streams += 1
        self.stream = self._streams
        return self.stream

    def seconds_to_wait(self) -> float | None:
        """Seconds to wait for the next event; None waits without a limit."""
        remaining = self.deadline.remaining()
        if not self.window.waiting or self._silence is None:
            return remaining
        return self._silence if remaining is None else min(self._silence, remaining)

    def too_late(self) -> errors.DeadlineExceeded:
        """The error when no event came in time."""
        left = self.window.waiting
        return errors.DeadlineExceeded(
            f"{self._transport.where(self.call)} did not score all samples in time: "
            f"{self.window.answered} have an answer, {left} of those sent have none; "
            "try a longer timeout",
            code="DEADLINE_EXCEEDED",
        )

    def handle(self, event: Event) -> float:
        """Handles an event; returns the seconds to pause before a new stream, mostly 0.

        Raises:
            ServiceError: the stream failed for good.
        """
        match event:
            case Read(sample):
                self.window.add(sample)
            case InputEnded(error):
                self.window.end(error)
            case Answered(stream, message) if stream == self.stream:
                self._patience.sign_of_life()
                self.window.take_in(message)
            case StreamEnded(stream, broken) if stream == self.stream:
                return self._broken(broken)
        return 0.0

    def _broken(self, raw: grpc.RpcError | None) -> float:
        self.stream = 0
        if self.window.all_sent and not self.window.waiting:
            return 0.0
        error = self._error(raw)
        self.window.send_again()
        remaining = self.deadline.remaining()
        if remaining == 0:
            raise self.too_late() from None
        pause = pause_before_retry(error, self.deadline)
        if pause is None:
            pause = self._patience.pause(error)
        if pause is None or (remaining is not None and pause >= remaining):
            raise error from None
        return pause

    def _error(self, raw: grpc.RpcError | None) -> errors.ServiceError:
        if raw is not None:
            return self._transport.error(raw, self.call)
        where = self._transport.where(self.call)
        return errors.Unavailable(f"{where} ended the stream early", code="UNAVAILABLE")
