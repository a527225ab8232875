"""Reports of a search while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

# Default time limit of a search in seconds: what a person waits for at a prompt.
TIME_LIMIT = 20.0


@dataclass(frozen=True)
class Progress:
    """State of a running search.

    Attributes:
        measure: what is minimised: "size" (`min_portfolio`) or "gap" (`best_portfolio`).
        seconds: since the search began.
        upper: best value of the measure found so far.
        lower: proven lower bound on it.
        size: number of members the search is working on.

    Example:
        >>> from palmfolio_palm import min_portfolio
        >>> reports: list[Progress] = []
        >>> _ = min_portfolio([[1, 0], [0, 1]], 0.0, 0.1, progress=reports.append)
        >>> reports[-1].measure, reports[-1].upper, reports[-1].lower
        ('size', 2.0, 2.0)
    """

    measure: Literal["size", "gap"]
    seconds: float
    upper: float
    lower: float
    size: int


ProgressCallback: TypeAlias = Callable[[Progress], None]
