"""The check `sentiment`: how positive the words of a response are."""

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from palmfolio_scorer.models.sources import ModelSources
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.checks.check import Check, CheckOptions

if TYPE_CHECKING:
    from palmfolio_scorer.traits.checks.vader import LinearAnalyser

_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"')\]]*\s+|\n+")


class SentimentOptions(CheckOptions):
    """Options of `sentiment`."""

    aggregate: Literal["text", "mean_of_sentences", "min_of_sentences"] = "text"
    """`text` scores the response as a whole (long texts saturate at -1 or 1); the others score each
    sentence."""


class Sentiment(Check[SentimentOptions]):
    """Raw reward: VADER's compound score in [-1, 1]; 0 if no word has a sentiment.

    VADER knows English words and emoji only. Of a response, the first 1,000 words with a sentiment
    and emoji are read.

    Example:
        In the trait file:

            - name: warmth
              kind: verifier
              check: sentiment
              normalisation: {kind: minmax, low: -1, high: 1}
    """

    name = "sentiment"
    code_version: ClassVar[int] = 2
    options_type = SentimentOptions
    _analyser: "LinearAnalyser"

    def load(self, sources: ModelSources) -> None:
        """Reads VADER's lexicon."""
        from palmfolio_scorer.traits.checks.vader import LinearAnalyser

        self._analyser = LinearAnalyser()

    def provenance(self) -> dict[str, str]:
        """The library's version: the lexicon comes with the library."""
        return {"vaderSentiment": version("vaderSentiment")}

    def reward(self, sample: Sample) -> float:
        """The compound score, aggregated as configured."""
        text = self._analyser.beginning(sample.response)
        if self.options.aggregate == "text":
            return self._analyser.compound(text)
        sentences = split_sentences(text)
        if len(text) < len(sample.response) and len(sentences) > 1:
            del sentences[-1]  # the rest of a sentence that was cut
        if not sentences:
            return 0.0
        scores = [self._analyser.compound(sentence) for sentence in sentences]
        mean = self.options.aggregate == "mean_of_sentences"
        return float(np.mean(scores) if mean else np.min(scores))


def split_sentences(text: str) -> list[str]:
    """The sentences of a text: it is split at line breaks, and at spaces after `.`, `!` or `?`.

    Example:
        >>> split_sentences("Really? Yes.")
        ['Really?', 'Yes.']
    """
    return [piece.strip() for piece in _SENTENCE_END.split(text) if piece.strip()]
