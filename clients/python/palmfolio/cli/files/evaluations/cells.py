"""Cells of a table of values."""

import math
from typing import Any

from palmfolio.cli.numbers import parse_number

# What leaderboards and programs write where there is no value.
_BLANK = frozenset(("", "n/a", "na", "nan", "none", "null", "-", "–", "—", "?"))


def is_blank(cell: Any) -> bool:
    """Whether a cell says that there is no value."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in _BLANK)


def is_number(cell: Any) -> bool:
    """Whether a cell holds a number."""
    try:
        value_of(cell)
    except ValueError:
        return False
    return True


def value_of(cell: Any) -> float:
    """The number in a cell that is not blank; `50%` is 0.5.

    Raises:
        ValueError: what it is instead, as the sentence goes on.
    """
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        # A whole number of JSON may have any number of digits.
        return float(cell) if abs(cell) < 1e308 else math.copysign(math.inf, cell)
    if not isinstance(cell, str):
        raise ValueError(f"is {cell!r}, not a number")
    text = cell.strip()
    try:
        return parse_number(text[:-1]) / 100 if text.endswith("%") else parse_number(text)
    except ValueError:
        if text.lower().lstrip("+-") in ("inf", "infinity"):
            return math.inf
        raise ValueError(f"is {text!r}, not a number") from None
