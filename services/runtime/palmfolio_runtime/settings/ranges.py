"""Ranges of numbers: the check, and the text that a refusal shows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import Message


@dataclass(frozen=True)
class Range:
    """A range of finite numbers; `high` belongs to it.

    Attributes:
        low: the smallest value.
        high: the largest value; infinity for no limit.
        above_low: whether `low` itself is outside.

    Example:
        >>> 3 in Range(1, 3), math.nan in Range(0), str(Range(0, 1, above_low=True))
        (True, False, 'above 0 and at most 1')
    """

    low: float
    high: float = math.inf
    above_low: bool = False

    def __contains__(self, value: float) -> bool:
        # NaN compares as False; an infinity is never in.
        is_low_enough = value <= self.high and value < math.inf
        return is_low_enough and (value > self.low if self.above_low else value >= self.low)

    def __str__(self) -> str:
        low = f"above {self.low:,}" if self.above_low else f"{self.low:,}"
        if math.isinf(self.high):
            return low if self.above_low else f"at least {low}"
        return f"{low} and at most {self.high:,}" if self.above_low else f"{low} to {self.high:,}"


Ranges = Mapping[str, Range]
"""The range of each field of a message, by the field's name."""


def range_violations(message: Message, ranges: Ranges, field: str) -> list[tuple[str, str]]:
    """The set fields of a message that are out of range, each with what is allowed.

    Args:
        field: the path of the message in the request.
    """
    given = {descriptor.name: value for descriptor, value in message.ListFields()}
    return [
        (f"{field}.{name}", f"{given[name]} is not {allowed}")
        for name, allowed in ranges.items()
        if name in given and given[name] not in allowed
    ]
