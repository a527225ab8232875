"""Formats numbers and names for readers; everything returned is safe in HTML."""

import html
import math
from collections.abc import Mapping, Sequence

MINUS = "\N{MINUS SIGN}"


def escape(text: str) -> str:
    """The text with the characters escaped that HTML would take for markup."""
    return html.escape(text, quote=True)


def number(value: float, digits: int = 3) -> str:
    """A number with a fixed count of decimals; a dash for one that has no meaning."""
    if not math.isfinite(value):
        return "–"
    # A value that rounds to 0 is shown without a sign: `-0.000` would look like a loss.
    text = f"{value:.{digits}f}"
    return text.replace("-", MINUS) if float(text) else f"{0:.{digits}f}"


def change(value: float) -> str:
    """A difference with its sign."""
    text = number(abs(value), 2)
    if not float(text):
        return "±0"
    return ("+" if value > 0 else MINUS) + text


def percent(share: float) -> str:
    """A share as whole percent."""
    return f"{round(100 * share)}\N{NO-BREAK SPACE}%"


def weights(values: Mapping[str, float], traits: Sequence[str]) -> str:
    """Weights by trait, without those that round to 0."""
    parts = [
        f"{escape(trait)}\N{NO-BREAK SPACE}{percent(values.get(trait, 0.0))}"
        for trait in traits
        if values.get(trait, 0.0) >= 0.005
    ]
    return ", ".join(parts) or "no weights"


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60} min"


def listed(items: Sequence[str]) -> str:
    """`a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def counted(count: int, singular: str, plural: str) -> str:
    """A count with its noun, small ones in words."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    name = words[count] if count < len(words) else str(count)
    return f"{name} {singular if count == 1 else plural}"
