"""VADER with the same scores, in a time that is linear in the text.

The library looks at a few words around each word that has a sentiment, and copies the whole text
for each look; after a `but` it searches the whole text again for each word. Here it gets those few
words, and the search uses an index. Only the `sentiment` check imports this module, when it loads:
the library is not needed before.
"""

import re
from collections import defaultdict
from heapq import heappop, heappush
from typing import Any

from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]
    SentimentIntensityAnalyzer,
    SentiText,
)

MAX_SENTIMENTS = 1000
"""Words with a sentiment, and emoji, that are read of one text. Prose of 32,768 characters has
about 300, and the score is close to -1 or 1 long before; 32,768 emoji take the library minutes."""

_PIECE = re.compile(r"\S+")


class LinearAnalyser(SentimentIntensityAnalyzer):  # type: ignore[misc]
    """`polarity_scores` as in the library, for long texts too."""

    def compound(self, text: str) -> float:
        """The compound score in [-1, 1]."""
        # Nothing else moves the score from zero: not `very`, not `!`.
        if not self._sentiments(text):
            return 0.0
        return float(self.polarity_scores(text)["compound"])

    def beginning(self, text: str) -> str:
        """The text up to its `MAX_SENTIMENTS`-th word with a sentiment or emoji.

        Example:
            >>> LinearAnalyser().beginning("not " + "good " * 2000).count("good")
            1000
        """
        if self._sentiments(text) <= MAX_SENTIMENTS:
            return text
        left = MAX_SENTIMENTS
        for piece in _PIECE.finditer(text):
            sentiments = self._sentiments(piece.group())
            if sentiments > left:
                emoji = (i for i, sign in enumerate(piece.group()) if sign in self.emojis)
                ends = [piece.start() + i for i, _ in zip(emoji, range(left + 1), strict=False)]
                return text[: ends[-1] if ends else piece.start()]
            left -= sentiments
        return text

    def _sentiments(self, text: str) -> int:
        words = sum(
            SentiText._strip_punc_if_word(word).lower() in self.lexicon for word in text.split()
        )
        return words if text.isascii() else words + sum(map(self.emojis.__contains__, text))

    # The names and arguments of the methods below are the library's.

    def _negation_check(self, valence: float, words: list[str], start_i: int, i: int) -> float:
        near, at = _around(words, i)
        return float(super()._negation_check(valence, near, start_i, at))

    def _special_idioms_check(self, valence: float, words: list[str], i: int) -> float:
        near, at = _around(words, i)
        return float(super()._special_idioms_check(valence, near, at))

    @staticmethod
    def _but_check(words: list[str], sentiments: list[float]) -> list[float]:
        """Halves what precedes a `but` and stresses what follows it.

        The library takes each value in turn and changes the first one that equals it, which may be
        another one, or one that was changed before: so it is done here, to the same end.
        """
        but = next((i for i, word in enumerate(words) if word.lower() == "but"), None)
        if but is None:
            return sentiments
        positions: dict[Any, list[int]] = defaultdict(list)
        """By value, a heap of the positions that have or had it."""
        for position, value in enumerate(sentiments):
            positions[value].append(position)
        for i in range(len(sentiments)):
            value = sentiments[i]
            while sentiments[positions[value][0]] != value:
                heappop(positions[value])
            first = positions[value][0]
            if value and first != but:
                sentiments[first] = value * (0.5 if first < but else 1.5)
                heappush(positions[sentiments[first]], first)
        return sentiments


def _around(words: list[str], i: int) -> tuple[list[str], int]:
    """The words that VADER's rules look at, three before and two after, and the word's position."""
    start = max(0, i - 3)
    return words[start : i + 3], i - start
