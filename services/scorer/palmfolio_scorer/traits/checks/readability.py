"""The check `readability`: how hard a response is to read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.checks.check import Check, CheckOptions
from palmfolio_scorer.traits.checks.syllables import syllables

MIN_WORDS = 5
"""With fewer words the formulas give figures that say nothing: one long word is a hard text."""


class ReadabilityOptions(CheckOptions):
    """Options of `readability`."""

    formula: Literal[
        "automated_readability_index",
        "coleman_liau_index",
        "lix",
        "flesch_reading_ease",
        "flesch_kincaid_grade",
    ] = "automated_readability_index"
    """The first three count characters and words, in any language that puts spaces between words;
    Flesch's two count syllables too, in English."""


class Readability(Check[ReadabilityOptions]):
    """Raw reward: the formula's figure. Higher is harder, except for `flesch_reading_ease`.

    A response of fewer than `MIN_WORDS` words cannot be scored.

    Example:
        In the trait file:

            - name: plain
              kind: verifier
              check: readability
              normalisation: {kind: minmax, low: 20, high: 0}
    """

    name = "readability"
    code_version: ClassVar[int] = 2
    options_type = ReadabilityOptions

    def reward(self, sample: Sample) -> float:
        """The formula's figure."""
        words = find_words(sample.response)
        if not words:
            raise SampleError("has no words: it has no readability", field="response")
        if len(words) < MIN_WORDS:
            raise SampleError(
                f"has {len(words)} words: a readability needs at least {MIN_WORDS}",
                field="response",
            )
        return _FORMULAS[self.options.formula](Text(sample.response, words))


@dataclass(frozen=True)
class Text:
    """What the formulas count in a text."""

    text: str
    words: list[str]
    """As `find_words` gives them."""

    @property
    def sentence_length(self) -> float:
        """Words per sentence."""
        return len(self.words) / count_sentences(self.text)

    @property
    def word_length(self) -> float:
        """Letters and digits per word."""
        return sum(map(len, self.words)) / len(self.words)

    @property
    def characters_per_chunk(self) -> float:
        """Characters, punctuation included, per piece between white space."""
        chunks = self.text.split()
        return sum(map(len, chunks)) / len(chunks)

    @property
    def long_words(self) -> float:
        """The share of words with more than six letters."""
        return sum(len(word) > 6 for word in self.words) / len(self.words)

    @property
    def syllables_per_word(self) -> float:
        """Syllables per word, by the rules of English."""
        total = sum(syllables(word) for word in map(str.lower, self.words))
        return total / len(self.words)


_PUNCTUATION = re.compile(r"[^\w\s]")
_ENDS = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)|\n\s*\n|\n(?=\s*(?:[-*•#]|\d{1,3}[.)])\s)")


def find_words(text: str) -> list[str]:
    """The pieces between white space and dashes, without punctuation: `aren't` is `arent`.

    Example:
        >>> find_words("We aren't here - yet!")
        ['We', 'arent', 'here', 'yet']
    """
    return _PUNCTUATION.sub("", re.sub("[—–/]", " ", text)).split()


def count_sentences(text: str) -> int:
    """Sentences, at least 1: they end at `.`, `!` or `?` before white space, at a blank line and
    before the next item of a list. As in textstat, a piece of one or two words is not one, so that
    `Dr.` and `2.` do not count.
    """
    pieces = _ENDS.split(text)
    return max(1, sum(len(find_words(piece)) > 2 for piece in pieces))


# The formulas' constants are those of their authors, as in textstat.
_FORMULAS: dict[str, Callable[[Text], float]] = {
    "automated_readability_index": lambda text: (
        4.71 * text.characters_per_chunk + 0.5 * text.sentence_length - 21.43
    ),
    "coleman_liau_index": lambda text: 5.8 * text.word_length - 29.6 / text.sentence_length - 15.8,
    "lix": lambda text: text.sentence_length + 100 * text.long_words,
    "flesch_reading_ease": lambda text: (
        206.835 - 1.015 * text.sentence_length - 84.6 * text.syllables_per_word
    ),
    "flesch_kincaid_grade": lambda text: (
        0.39 * text.sentence_length + 11.8 * text.syllables_per_word - 15.59
    ),
}
