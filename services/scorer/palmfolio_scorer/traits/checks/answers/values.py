"""What an answer can be, other than a number, and when two answers are equal."""

from dataclasses import dataclass
from fractions import Fraction

from palmfolio_scorer.traits.checks.answers.expressions import Value


@dataclass(frozen=True)
class Percentage:
    """`50%`: equal to 50 %, to the number 50 (the sign is often left out) and to one half."""

    value: Value


@dataclass(frozen=True)
class Clock:
    """A time of day, a duration or a ratio: whole numbers with colons between them."""

    parts: tuple[int, ...]
    half: str
    """`a` (a.m.), `p` (p.m.) or empty."""

    def equals(self, other: "Clock") -> bool:
        """10:30 p.m. is 22:30; 10:30 without a half of the day is 10:30 a.m. or p.m."""
        if self.half and other.half:
            return self._on_24_hours() == other._on_24_hours()
        return self.parts == other.parts or self._on_24_hours() == other._on_24_hours()

    def hour(self) -> Fraction | None:
        """The number of a full hour, so that `10 p.m.` equals 10."""
        full = bool(self.half) and not any(self.parts[1:])
        return Fraction(self.parts[0]) if full else None

    def _on_24_hours(self) -> tuple[int, ...]:
        hour, *rest = self.parts
        if self.half and hour <= 12:
            hour = hour % 12 + (12 if self.half == "p" else 0)
        return (hour, *rest)


@dataclass(frozen=True)
class Collection:
    """Several values: a point or an interval in brackets, else a set whose order is free."""

    items: "tuple[AnswerValue, ...]"
    brackets: str
    """`()`, `[)` and so on; empty where the order is free."""

    def equals(self, other: "Collection") -> bool:
        """Item by item; where the order is free, each item needs a partner of its own."""
        if self.brackets != other.brackets or len(self.items) != len(other.items):
            return False
        if self.brackets:
            return all(same(a, b) for a, b in zip(self.items, other.items, strict=True))
        left = list(other.items)
        for item in self.items:
            partner = next((i for i, value in enumerate(left) if same(item, value)), None)
            if partner is None:
                return False
            del left[partner]
        return True


AnswerValue = Value | Percentage | Clock | Collection


def same(a: AnswerValue, b: AnswerValue) -> bool:
    """Whether two values are equal."""
    if isinstance(a, Value):
        if isinstance(b, Value):
            return a.equals(b)
        if isinstance(b, Percentage):
            return a.equals(b.value) or a.equals(b.value.scaled(Fraction(1, 100)))
        if isinstance(b, Clock):
            return a.numbers == (b.hour(),)
        return False
    if isinstance(b, Value):
        return same(b, a)
    if isinstance(a, Percentage) and isinstance(b, Percentage):
        return a.value.equals(b.value)
    if isinstance(a, Clock) and isinstance(b, Clock):
        return a.equals(b)
    return isinstance(a, Collection) and isinstance(b, Collection) and a.equals(b)
