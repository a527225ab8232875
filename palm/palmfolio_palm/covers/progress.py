"""How searches report while they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

#: Default time limit of a search in seconds.
TIME_LIMIT = 20.0


@dataclass(frozen=True)
class Progress:
    """State of a running search.

    Attributes:
        seconds: since the search began.
        upper: best value found so far: a size (`min_portfolio`) or a gap (`best_portfolio`).
        lower: proven lower bound on that value.
        size: number of members the search is working on.
    """

    seconds: float
    upper: float
    lower: float
    size: int


ProgressCallback: TypeAlias = Callable[[Progress], None]
