"""Numbers as people write them, read strictly."""

import re

# Python's `float` also takes `1_0`, digits of other scripts, `nan` and `infinity`.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def parse_number(text: str) -> float:
    """The number that a text is; infinite where it is too large.

    Raises:
        ValueError: it is not a decimal number.
    """
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        raise ValueError(f"{stripped!r} is not a number")
    return float(stripped)
