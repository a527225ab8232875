"""How positive a response is."""

import re
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from palmfolio_scorer.models.sources import ModelPlaces
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.checks.check import Check, CheckOptions

_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"')\]]*\s+|\n+")


class SentimentOptions(CheckOptions):
    """Options of `sentiment`."""

    aggregate: Literal["text", "mean_of_sentences", "min_of_sentences"] = "text"
    """`text` scores the response at once (long texts saturate); the others score sentences."""


class Sentiment(Check[SentimentOptions]):
    """Raw reward: VADER's compound score in [-1, 1]; 0 where nothing has a sentiment.

    VADER knows English words and emoji alone.
    """

    name = "sentiment"
    options_type = SentimentOptions
    _analyser: Any

    def load(self, places: ModelPlaces) -> None:
        """Reads VADER's lexicon."""
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # type: ignore[import-untyped]

        self._analyser = SentimentIntensityAnalyzer()

    def provenance(self) -> dict[str, str]:
        """The lexicon comes with the library."""
        return {"vaderSentiment": version("vaderSentiment")}

    def reward(self, sample: Sample) -> float:
        """The compound score, aggregated as configured."""
        if self.options.aggregate == "text":
            return self._compound(sample.response)
        sentences = split_sentences(sample.response)
        if not sentences:
            return 0.0
        scores = [self._compound(sentence) for sentence in sentences]
        mean = self.options.aggregate == "mean_of_sentences"
        return float(np.mean(scores) if mean else np.min(scores))

    def _compound(self, text: str) -> float:
        return float(self._analyser.polarity_scores(text)["compound"])


def split_sentences(text: str) -> list[str]:
    """Non-empty pieces of a text between line breaks and after `.`, `!` or `?` and a space."""
    return [piece.strip() for piece in _SENTENCE_END.split(text) if piece.strip()]
