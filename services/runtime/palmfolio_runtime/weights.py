"""Weights over traits, in canonical form."""

import math
from collections.abc import Collection, Mapping

from palmfolio_runtime.errors import invalid_argument

_DIGITS = 9


def canonical_weights(
    values: Mapping[str, float], traits: Collection[str] | None = None, field: str = "weights"
) -> dict[str, float]:
    """Weights that sum to 1, rounded to 1e-9, with sorted traits; traits of weight 0 stay.

    The largest weight takes up the rounding error, so that the sum is 1 and equal preferences give
    equal weights at any scale.

    Args:
        values: weight >= 0 by trait; any positive sum.
        traits: the known traits; None to accept any.
        field: the field's path, for the errors.

    Raises:
        ServiceError: INVALID_ARGUMENT for no weights, a negative, NaN or infinite weight, weights
            that are all zero, or an unknown trait.
    """
    path = f"{field}.values"
    if not values:
        raise invalid_argument((path, "is required: one weight >= 0 for each trait"))
    violations = [
        (f"{path}[{trait}]", f"{value} is not a finite weight >= 0")
        for trait, value in values.items()
        if not (math.isfinite(value) and value >= 0)
    ]
    if traits is not None:
        known = ", ".join(sorted(traits))
        violations += [
            (f"{path}[{trait}]", f"unknown trait; known traits: {known}")
            for trait in values
            if trait not in traits
        ]
    if violations:
        raise invalid_argument(*violations)
    largest = max(values.values())
    if largest <= 0:
        raise invalid_argument((path, "all weights are zero; at least one must be positive"))
    # Dividing by the largest first keeps the sum finite for any finite weights.
    scaled = {trait: values[trait] / largest for trait in sorted(values)}
    total = math.fsum(scaled.values())
    rounded = {trait: round(value / total, _DIGITS) for trait, value in scaled.items()}
    # The name breaks ties, so that the order in which a client sends traits does not matter.
    top = max(rounded, key=lambda trait: (rounded[trait], trait))
    rest = math.fsum(value for trait, value in rounded.items() if trait != top)
    rounded[top] = round(1.0 - rest, _DIGITS)
    return rounded
