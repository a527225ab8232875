"""A trait before and after a calibration: its version, and the quantiles of its rewards."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from palmfolio.types import Calibration, ScoredSample, Trait

_LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of the samples' rewards; None where nothing was scored."""

    level: float
    raw: float | None
    before: float | None
    """Normalised as before the calibration."""
    after: float | None
    """Normalised as after the calibration; None also when nothing was stored."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A trait before and after a calibration."""

    trait: str
    version_before: str
    version_after: str
    normalisation_before: str
    normalisation_after: str
    scored_samples: int
    stored: bool
    distribution: tuple[Quantile, ...]

    @classmethod
    def of(
        cls,
        trait: Trait,
        calibration: Calibration,
        before: Sequence[ScoredSample],
        after: Sequence[ScoredSample],
    ) -> Self:
        """Compares; `after` is empty when the calibration was not stored."""
        raw = [scored.raw[0] for scored in before]
        normalised = [[scored.normalised[0] for scored in side] for side in (before, after)]
        return cls(
            trait=trait.name,
            version_before=calibration.previous_version,
            version_after=calibration.trait.version,
            normalisation_before=trait.normalisation,
            normalisation_after=calibration.trait.normalisation,
            scored_samples=calibration.scored_samples,
            stored=bool(after),
            distribution=tuple(
                Quantile(level, _quantile(raw, level), *(_quantile(n, level) for n in normalised))
                for level in _LEVELS
            ),
        )


def _quantile(values: Sequence[float], level: float) -> float | None:
    """Linear between the order statistics, NaN left out."""
    known = sorted(value for value in values if math.isfinite(value))
    if not known:
        return None
    at = level * (len(known) - 1)
    below = math.floor(at)
    above = min(below + 1, len(known) - 1)
    return known[below] + (at - below) * (known[above] - known[below])
