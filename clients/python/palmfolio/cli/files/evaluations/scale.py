"""Values of any range as values in [0, 1].

Both ways are linear, with the same zero and unit for every policy, so that weighted values keep
their order: a value becomes (value - worst) / (best - worst).

- `minmax`: worst and best are those of the file.
- `zscore`: the unit is the same number of standard deviations on every trait: as many as the
  widest trait spans.

A trait on which all policies are equal decides nothing, and is left out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from palmfolio.cli.files.evaluations.settings import Scale


@dataclass(frozen=True, slots=True)
class TraitScale:
    """The values of a trait that become 0 and 1."""

    worst: float
    best: float

    def apply(self, value: float) -> float:
        """A value in [0, 1]."""
        # Rounding must not carry it out of the range.
        return min(1.0, max(0.0, (value - self.worst) / (self.best - self.worst)))


def scale_of(
    columns: Sequence[Sequence[float]], lower: Sequence[bool], scale: Scale
) -> list[TraitScale | None]:
    """The scale of each trait; None for a trait on which all values are equal.

    Args:
        columns: for each of d traits, its finite values.
        lower: for each trait, whether smaller values are better.
        scale: how values are scaled.

    Raises:
        OverflowError: the values of a trait are too far apart; its argument is the position.
    """
    if scale is Scale.NONE:
        return [TraitScale(1.0, 0.0) if down else TraitScale(0.0, 1.0) for down in lower]
    spans = [max(column) - min(column) for column in columns]
    for position, span in enumerate(spans):
        if not math.isfinite(span):
            raise OverflowError(position)
    units = list(spans)
    if scale is Scale.ZSCORE:
        deviations = [_deviation(column) for column in columns]
        widest = max(
            (span / sd for span, sd in zip(spans, deviations, strict=True) if sd), default=1.0
        )
        units = [widest * sd for sd in deviations]
    return [
        _scale(column, unit, down) if unit > 0.0 else None
        for column, unit, down in zip(columns, units, lower, strict=True)
    ]


def _scale(column: Sequence[float], unit: float, down: bool) -> TraitScale:
    worst = max(column) if down else min(column)
    return TraitScale(worst, worst - unit if down else worst + unit)


def _deviation(column: Sequence[float]) -> float:
    """The standard deviation over the values as given, without overflow."""
    low, span = min(column), max(column) - min(column)
    if not span:
        return 0.0
    shares = [(value - low) / span for value in column]
    mean = math.fsum(shares) / len(shares)
    return span * math.sqrt(math.fsum((share - mean) ** 2 for share in shares) / len(shares))
