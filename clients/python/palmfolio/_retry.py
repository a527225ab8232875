"""Decides when to repeat a failed call, for the sync and the asyncio transport alike."""

import math
import random
import time
from collections.abc import Callable

from palmfolio.errors import (
    Cancelled,
    DeadlineExceeded,
    ResourceExhausted,
    ServiceError,
    Unavailable,
)

_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_JITTER = 0.25


class Deadline:
    """A point in time that a call and its retries share."""

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        unlimited = seconds is None or math.isinf(seconds)
        self._end = None if unlimited or seconds is None else clock() + seconds

    def remaining(self) -> float | None:
        """Seconds left, at least 0; None without a limit."""
        return None if self._end is None else max(0.0, self._end - self._clock())


def pause_before_retry(error: ServiceError, deadline: Deadline) -> float | None:
    """Seconds to wait before the same call again; None to give up.

    Only overload with a `RetryInfo` is retried here, for as long as the deadline allows. gRPC
    itself retries UNAVAILABLE, as the channel's service configuration says.
    """
    if not isinstance(error, ResourceExhausted) or error.retry_after is None:
        return None
    pause = _jittered(max(error.retry_after, _SHORTEST_PAUSE))
    remaining = deadline.remaining()
    return pause if remaining is None or pause < remaining else None


def _jittered(seconds: float) -> float:
    """The seconds, and up to a quarter more at random.

    A service refuses many clients at once; without this, all of them would come back at once.
    """
    return seconds * (1 + _JITTER * random.random())


class Patience:
    """Decides how long to retry while a service is away and its work goes on.

    A long operation outlives restarts of its service. Every answer starts the time anew.

    Args:
        seconds: how long the service may be away.
        clock: the time, in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._away_since: float | None = None
        self._failures = 0

    def sign_of_life(self) -> None:
        """The service answered."""
        self._away_since = None
        self._failures = 0

    def pause(self, error: ServiceError) -> float | None:
        """Seconds to wait before asking again; None when the error is final."""
        if not _connection_was_lost(error):
            return None
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since >= self._seconds:
            return None
        self._failures += 1
        return _jittered(min(_LONGEST_PAUSE, 0.1 * 2 ** min(self._failures, 10)))


def _connection_was_lost(error: ServiceError) -> bool:
    if isinstance(error, Unavailable | DeadlineExceeded):
        return True
    # A server that stops cancels its streams without a reason. An operation that somebody cancelled
    # has a reason, and must not be retried.
    return isinstance(error, Cancelled) and not error.reason
