"""Which services are away, and when to try them again."""

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass

_FIRST_SECONDS = 0.25


@dataclass
class _Outage:
    pause: float
    until: float
    told: str


class Outages:
    """Doubles the pause before a service is tried again, up to a longest one.

    Args:
        max_seconds: the longest pause.
    """

    def __init__(self, max_seconds: float) -> None:
        self._max = max_seconds
        self._away: dict[str, _Outage] = {}
        self._back: list[str] = []

    def failed(self, dependency: str, message: str) -> bool:
        """Notes that a service did not answer; True when that is news to those who watch."""
        before = self._away.get(dependency)
        pause = min(self._max, 2 * before.pause if before else _FIRST_SECONDS)
        # Builds that wait for the same service are not to come back all at once.
        until = time.monotonic() + pause * random.uniform(0.5, 1.0)
        self._away[dependency] = _Outage(pause, until, message)
        return before is None or before.told != message

    def answered(self, dependency: str) -> None:
        """Notes that a service answered."""
        if self._away.pop(dependency, None) is not None:
            self._back.append(dependency)

    def take_back(self) -> list[str]:
        """The services that came back since this was last asked."""
        back, self._back = self._back, []
        return back

    def blocks(self, dependencies: Iterable[str]) -> bool:
        """Whether one of the services is not to be tried yet."""
        now = time.monotonic()
        return any(name in self._away and self._away[name].until > now for name in dependencies)

    def seconds_left(self) -> float | None:
        """Until the next service is to be tried; None when all answered when last tried."""
        now = time.monotonic()
        left = [outage.until - now for outage in self._away.values() if outage.until > now]
        return min(left, default=None)
