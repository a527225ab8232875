"""Bounded memory: a request is taken whole or refused at once."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SHORTEST_WAIT, _LONGEST_WAIT = 0.05, 30.0
_LONGEST_LINE = 1000
# A client comes back a little later than it was told to, so that not all come at once.
_GRACE_FACTOR, _GRACE_SECONDS = 1.5, 2.0


class QueueFullError(Exception):
    """There is no room for a request now."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True)
class _Claim:
    """A refused request's place in the line."""

    samples: int
    expires: float


class Admission:
    """Counts the samples and characters in the engine. Used from the event loop alone.

    Those refused stand in line: a request that is tried again under its name goes before later
    ones. Otherwise who was just served would take the place it left, and others might never get
    one.
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
        """Set while nothing is in the engine."""
        self.idle.set()
        self._rate = 0.0  # samples a second, smoothed
        self._next_turn = 0.0  # when the nameless request refused last was told to come back
        self._line: OrderedDict[object, _Claim] = OrderedDict()

    @contextmanager
    def admit(self, samples: int, characters: int, name: object = None) -> Iterator[None]:
        """Holds a request's places while it is worked on.

        Args:
            samples: how many places it takes.
            characters: of all its texts.
            name: the same each time that the request is tried; without one it is not known again,
                and holds no place in line.

        Raises:
            QueueFullError: other requests take too many places, or were here before.
        """
        now = self._clock()
        ahead = self._ahead(name, now)
        # Half of the places go to whoever comes, lest the engine waits for those in line.
        excess = self.samples + min(ahead, self._max_samples // 2) + samples - self._max_samples
        full = excess > 0 or self.characters + characters > self._max_characters
        if self.samples and full:
            raise QueueFullError(
                f"{self.samples} samples are at work and {ahead} wait before these; at most "
                f"{self._max_samples} samples and {self._max_characters} characters may be at work",
                self._turn(samples, now)
                if name is None
                else self._stand_in_line(name, samples, now),
            )
        if name is not None:
            self._line.pop(name, None)
        self.idle.clear()
        self._requests += 1
        self.samples += samples
        self.characters += characters
        before = self.samples
        try:
            yield
            self._learn(before, self._clock() - now)
        finally:
            self.samples -= samples
            self.characters -= characters
            self._requests -= 1
            if not self._requests:
                self.idle.set()

    def leave(self, name: object) -> None:
        """A refused request will not be tried again: its place in line is the next one's."""
        self._line.pop(name, None)

    def _ahead(self, name: object, now: float) -> int:
        """Samples of the requests in line before that one; who did not come back is left out."""
        gone, ahead = [], 0
        for other, claim in self._line.items():
            if other == name:
                break
            if claim.expires < now:
                gone.append(other)
            else:
                ahead += claim.samples
        for other in gone:
            del self._line[other]
        return ahead

    def _stand_in_line(self, name: object, samples: int, now: float) -> float:
        """Seconds until those before have been worked on, when the request should come back."""
        excess = self.samples + self._ahead(name, now) + samples - self._max_samples
        wait = _bounded(excess / (self._rate or self._max_samples))
        expires = now + _GRACE_FACTOR * wait + _GRACE_SECONDS
        if name in self._line:
            self._line[name].expires = expires
        elif len(self._line) < _LONGEST_LINE:
            self._line[name] = _Claim(samples, expires)
        return wait

    def _turn(self, samples: int, now: float) -> float:
        """Seconds until a request that will not be known again may find room.

        Each gets a turn of its own: were all told the same, they would all come back at once, and
        refusing them would take the time that scoring needs.
        """
        turn = samples / self._rate if self._rate else 1.0
        self._next_turn = min(max(self._next_turn, now) + turn, now + _LONGEST_WAIT)
        return _bounded(self._next_turn - now)

    def _learn(self, samples: int, seconds: float) -> None:
        rate = samples / max(seconds, 1e-3)
        self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate


def _bounded(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_WAIT), _LONGEST_WAIT)
