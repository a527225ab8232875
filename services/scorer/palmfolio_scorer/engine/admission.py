"""Admission: bounds the memory; a request is admitted whole or refused immediately."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SHORTEST_WAIT, _LONGEST_WAIT = 0.05, 30.0
_LONGEST_LINE = 1000
# Grace on a queue place beyond the announced retry time: 1.5 × wait + 2 s. Clients add a random
# delay, so that they do not all come back at the same time.
_GRACE_FACTOR, _GRACE_SECONDS = 1.5, 2.0


class QueueFullError(Exception):
    """There is no room for a request now; retry after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True)
class _QueuePlace:
    """A refused request's place in line."""

    samples: int
    expires: float


class Admission:
    """Counts the samples and characters in the engine. Used from the event loop only.

    Refused requests keep a place in line; a retry is admitted before later arrivals, or a busy
    client could starve the others.
    """

    def __init__(
        self,
        max_samples: int,
        max_characters: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._max_samples = max_samples
        self._max_characters = max_characters
        self.samples = 0
        self.characters = 0
        self._requests = 0
        self.idle = asyncio.Event()
        """Set while no request is in the engine."""
        self.idle.set()
        self._rate = 0.0  # samples per second, smoothed; 0 until measured
        self._next_turn = 0.0  # the latest retry time announced to a request without a key
        self._line: OrderedDict[object, _QueuePlace] = OrderedDict()

    @contextmanager
    def admit(self, samples: int, characters: int, key: object = None) -> Iterator[None]:
        """Counts a request as in the engine until the block ends.

        Args:
            samples: the number of its samples.
            characters: of all its texts together.
            key: equal each time that the request is tried; a request without a key is not
                recognised when it comes back, and so gets no place in line.

        Raises:
            QueueFullError: there is no room, or earlier requests wait for it.
        """
        now = self._clock()
        ahead = self._ahead(key, now)
        # Those in line hold at most half of the room. The other half is for whoever comes, so that
        # the engine is not idle while it waits for requests that may never come back.
        excess = self.samples + min(ahead, self._max_samples // 2) + samples - self._max_samples
        full = excess > 0 or self.characters + characters > self._max_characters
        if self.samples and full:  # a request of any size is admitted while nothing else runs
            raise QueueFullError(
                f"{self.samples} samples are at work and {ahead} are in line before these; at most "
                f"{self._max_samples} samples and {self._max_characters} characters may be at work",
                self._turn(samples, now) if key is None else self._join_line(key, samples, now),
            )
        if key is not None:
            self._line.pop(key, None)
        self.idle.clear()
        self._requests += 1
        self.samples += samples
        self.characters += characters
        before = self.samples
        try:
            yield
            self._update_rate(before, self._clock() - now)
        finally:
            self.samples -= samples
            self.characters -= characters
            self._requests -= 1
            if not self._requests:
                self.idle.set()

    def leave(self, key: object) -> None:
        """Gives up the place in line of a refused request that will not be tried again."""
        self._line.pop(key, None)

    def _ahead(self, key: object, now: float) -> int:
        """Samples of the requests in line before this one; expired places are removed."""
        expired, ahead = [], 0
        for other, place in self._line.items():
            if other == key:
                break
            if place.expires < now:
                expired.append(other)
            else:
                ahead += place.samples
        for other in expired:
            del self._line[other]
        return ahead

    def _join_line(self, key: object, samples: int, now: float) -> float:
        """Gives the request a place in line; returns the seconds after which it should retry.

        That is the time in which the samples before it are expected to be scored.
        """
        excess = self.samples + self._ahead(key, now) + samples - self._max_samples
        wait = _bounded(excess / (self._rate or self._max_samples))
        expires = now + _GRACE_FACTOR * wait + _GRACE_SECONDS
        if key in self._line:
            self._line[key].expires = expires
        elif len(self._line) < _LONGEST_LINE:
            self._line[key] = _QueuePlace(samples, expires)
        return wait

    def _turn(self, samples: int, now: float) -> float:
        """Seconds after which a request without a key should retry.

        Each gets a retry time of its own. If all got the same, they would all come back at the
        same time, and refusing them would take the time that scoring needs.
        """
        turn = samples / self._rate if self._rate else 1.0
        self._next_turn = min(max(self._next_turn, now) + turn, now + _LONGEST_WAIT)
        return _bounded(self._next_turn - now)

    def _update_rate(self, samples: int, seconds: float) -> None:
        # A moving average: one unusual request must not change the retry times much.
        rate = samples / max(seconds, 1e-3)
        self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate


def _bounded(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_WAIT), _LONGEST_WAIT)
