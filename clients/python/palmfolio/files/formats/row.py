"""What every format is read into: rows, and faults where there is none."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What `surrogateescape` makes of bytes that are not UTF-8.
_ESCAPED = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        place: where it stands, for people: `line 3`, `row 3`.
        number: the number in `place`.
        values: the columns by name, in the order of the file.
    """

    place: str
    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a file.

    Attributes:
        place: where, for people; empty for the whole file.
        problem: what is wrong, as the sentence goes on after the place: `: not JSON`.
    """

    place: str
    problem: str


def undecodable(text: str) -> int | None:
    """The first byte of a text, decoded with `surrogateescape`, that was not UTF-8; from 0."""
    if text.isascii():
        return None
    found = _ESCAPED.search(text)
    return found and len(text[: found.start()].encode("utf-8", "surrogateescape"))
