"""A summary of many rewards: counts, means and errors."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from palmfolio.types import ScoredSample

_FIRST_ERRORS = 5


@dataclass
class _TraitSummary:
    scored: int = 0
    cut: int = 0
    normalised: float = 0.0
    raw: float = 0.0
    versions: set[str] = field(default_factory=set)


class Summary:
    """Adds up scored samples as they come; holds none of them.

    Args:
        clock: the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._traits: dict[str, _TraitSummary] = {}
        self.samples = 0
        self.failed = 0
        self.errors: list[tuple[int, str]] = []
        """Line and reason of the first samples that could not be scored on every trait."""
        self.cut: list[int] = []
        """Lines of the first samples that were too long for a model, and were cut."""

    def add(self, line: int, scored: ScoredSample) -> None:
        """Counts one sample."""
        self.samples += 1
        if scored.status.failure is not None:
            self.failed += 1
            if len(self.errors) < _FIRST_ERRORS:
                self.errors.append((line, scored.status.failure.message))
        if scored.status.cut_tokens and len(self.cut) < _FIRST_ERRORS:
            self.cut.append(line)
        columns = (scored.traits, scored.trait_versions, scored.normalised, scored.raw)
        for trait, version, normalised, raw in zip(*columns, strict=True):
            total = self._traits.setdefault(trait, _TraitSummary())
            total.cut += trait in scored.status.cut_tokens
            if math.isfinite(normalised):
                total.scored += 1
                total.normalised += normalised
                total.raw += raw
                total.versions.add(version)

    @property
    def cut_traits(self) -> dict[str, int]:
        """Samples that were cut, by trait; only traits with such samples."""
        return {name: total.cut for name, total in self._traits.items() if total.cut}

    @property
    def changed_traits(self) -> list[str]:
        """Traits whose version changed during the run: rewards before and after do not compare."""
        return [name for name, total in self._traits.items() if len(total.versions) > 1]

    def as_plain(self) -> dict[str, Any]:
        """The summary as plain data, for `--json`."""
        seconds = self._clock() - self._start
        return {
            "samples": self.samples,
            "failed": self.failed,
            "seconds": round(seconds, 3),
            "samples_per_second": round(self.samples / seconds, 1) if seconds else None,
            "traits": {
                name: {
                    "versions": sorted(total.versions),
                    "scored": total.scored,
                    "cut": total.cut,
                    "mean": total.normalised / total.scored if total.scored else None,
                    "raw_mean": total.raw / total.scored if total.scored else None,
                }
                for name, total in self._traits.items()
            },
            "cut_lines": self.cut,
            "errors": [{"line": line, "message": message} for line, message in self.errors],
        }
