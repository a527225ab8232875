"""Responses that say nothing: the same definition for rewards and for what is counted."""

import unicodedata
from typing import Final

_INVISIBLE: Final = {"Cc", "Cf"}
# Characters that Unicode counts as letters or symbols, and that show nothing.
_BLANKS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def says_nothing(text: str) -> bool:
    """Whether a text shows nothing: it is empty, or only white space and invisible characters.

    Example:
        >>> says_nothing(" \\n\\u200b"), says_nothing(".")
        (True, False)
    """
    return all(
        character.isspace() or character in _BLANKS or unicodedata.category(character) in _INVISIBLE
        for character in text
    )
