"""The `sentiment` check gives VADER's scores, for long texts too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # type: ignore[import-untyped]

from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.checks.vader import MAX_SENTIMENTS, LinearAnalyser
from palmfolio_scorer.traits.registry import make_trait

LIBRARY = SentimentIntensityAnalyzer()
ANALYSER = LinearAnalyser()
# Words that VADER has rules for, and some that it has none for.
WORDS = (
    "good great bad hate GOOD but BUT not never so this without doubt very kind of no or least at "
    "the shit bomb hand to mouth uber sort isn't table x !! ? :) 😀 💔 good! (bad)"
)


@given(
    st.lists(st.sampled_from(WORDS.split()), max_size=40), st.sampled_from([" ", "", "\n", ", "])
)
def test_the_score_is_the_library_s(words: list[str], between: str) -> None:
    text = between.join(words)
    assert ANALYSER.beginning(text) == text
    assert ANALYSER.compound(text) == LIBRARY.polarity_scores(text)["compound"]


@pytest.mark.parametrize("unit", ["good ", "😀", "I love it but ", "x😀", "good!\n"])
def test_of_a_long_text_the_beginning_is_scored(unit: str) -> None:
    beginning = ANALYSER.beginning(unit * 2 * MAX_SENTIMENTS)
    assert (unit * 2 * MAX_SENTIMENTS).startswith(beginning)
    assert ANALYSER._sentiments(beginning) == MAX_SENTIMENTS


@pytest.mark.parametrize("aggregate", ["text", "mean_of_sentences", "min_of_sentences"])
@pytest.mark.parametrize("unit", ["😀", "very good but ", "It is good. ", "a\n"])
def test_a_long_text_is_scored(aggregate: str, unit: str) -> None:
    trait = make_trait("verifier", {"check": "sentiment", "aggregate": aggregate})
    trait.load(ModelStore("cpu"))
    reward = trait.reward(Sample("prompt", (unit * 32_768)[:32_768]))  # type: ignore[attr-defined]
    assert (reward > 0.4) == (unit != "a\n")
