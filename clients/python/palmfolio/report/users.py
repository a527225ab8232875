"""Typical users, to show a portfolio with."""

from collections.abc import Sequence

_SHOWN = 3
_FOCUS = 0.8


def typical_users(traits: Sequence[str]) -> list[tuple[str, dict[str, float]]]:
    """One user for each of the first three traits: 80 % of the weight on it, the rest shared.

    Returns (label, weights that sum to 1).
    """
    rest = (1 - _FOCUS) / max(1, len(traits) - 1)
    return [
        (f"wants {wanted}", {trait: _FOCUS if trait == wanted else rest for trait in traits})
        for wanted in traits[:_SHOWN]
    ]
