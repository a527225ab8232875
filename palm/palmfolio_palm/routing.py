"""Which member of a portfolio serves a user best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    """The answer for one user.

    Attributes:
        index: the chosen candidate's position.
        utility: weights · value of the chosen one.
        gap: what the best candidate would give more, >= 0.
    """

    index: int
    utility: float
    gap: float


def route(
    values: Sequence[Mapping[str, float]],
    members: Sequence[int],
    weights: Mapping[str, float],
) -> Route:
    """The member with the largest weights · value; of equal ones the first in `members`.

    Args:
        values: value by trait of every candidate.
        members: positions of the portfolio's members in `values`; at least one.
        weights: weight >= 0 by trait, Σ = 1; traits left out weigh 0.
    """
    utilities = [
        sum(weight * value[trait] for trait, weight in weights.items()) for value in values
    ]
    index = max(members, key=lambda member: utilities[member])
    return Route(index, utilities[index], max(0.0, max(utilities) - utilities[index]))
