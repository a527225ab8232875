"""When to call a service again that is away."""

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_FIRST_SECONDS = 0.25


def pauses(max_seconds: float) -> Iterator[float]:
    """Seconds to wait before each new try: 0.25, then double, at most `max_seconds`; never ends."""
    pause = min(_FIRST_SECONDS, max_seconds)
    while True:
        yield pause
        pause = min(2 * pause, max_seconds)


@dataclass
class _Outage:
    pauses: Iterator[float]
    until: float
    message: str


class DependencyBackoff:
    """Which services are away, and when to call each of them again.

    The pause before a service is tried again doubles with each failure.

    Args:
        max_seconds: the longest pause.
    """

    def __init__(self, max_seconds: float) -> None:
        self._max = max_seconds
        self._away: dict[str, _Outage] = {}
        self._back: list[str] = []

    def failed(self, dependency: str, message: str) -> bool:
        """Records a failure and backs off; True if watchers should be told.

        They should be told of the first failure, and when the message changes.
        """
        before = self._away.get(dependency)
        growing = before.pauses if before else pauses(self._max)
        # Random, so that builds that wait for the same service do not all call it at once.
        until = time.monotonic() + next(growing) * random.uniform(0.5, 1.0)
        self._away[dependency] = _Outage(growing, until, message)
        return before is None or before.message != message

    def answered(self, dependency: str) -> None:
        """Records that a service answered."""
        if self._away.pop(dependency, None) is not None:
            self._back.append(dependency)

    def take_back(self) -> list[str]:
        """The services that came back since the last call of this method."""
        back, self._back = self._back, []
        return back

    def blocks(self, dependencies: Iterable[str]) -> bool:
        """Whether one of the services should not be called yet."""
        now = time.monotonic()
        return any(name in self._away and self._away[name].until > now for name in dependencies)

    def seconds_left(self) -> float | None:
        """Seconds until a service should be tried again; None when none is being waited for."""
        now = time.monotonic()
        left = [outage.until - now for outage in self._away.values() if outage.until > now]
        return min(left, default=None)
