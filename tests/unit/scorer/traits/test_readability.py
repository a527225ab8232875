"""The `readability` check and its counts."""

import pytest

from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.checks.readability import (
    Readability,
    ReadabilityOptions,
    count_sentences,
    find_words,
)
from palmfolio_scorer.traits.checks.syllables import syllables

RISING = ["automated_readability_index", "coleman_liau_index", "lix", "flesch_kincaid_grade"]
EASY = "The cat sat on the mat. It was warm. The dog ran to it."
HARD = (
    "Notwithstanding considerable methodological heterogeneity, contemporary epidemiological "
    "investigations unambiguously demonstrate statistically significant associations."
)


def _reward(response: str, formula: str = "automated_readability_index") -> float:
    options = ReadabilityOptions.model_validate({"formula": formula})
    return Readability(options).reward(Sample("prompt", response))


@pytest.mark.parametrize("formula", RISING)
def test_a_hard_text_has_the_higher_figure(formula: str) -> None:
    assert _reward(EASY, formula) < _reward(HARD, formula)
    with pytest.raises(SampleError, match="no words"):
        _reward("...", formula)


def test_flesch_reading_ease_falls_and_needs_no_dictionary() -> None:
    assert _reward(EASY, "flesch_reading_ease") > 100 > 0 > _reward(HARD, "flesch_reading_ease")


# Counted by hand: 10 words, 2 sentences, 31 letters, 33 characters, 11 syllables, no long word.
@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("automated_readability_index", 4.71 * 3.3 + 0.5 * 5 - 21.43),
        ("coleman_liau_index", 5.8 * 3.1 - 29.6 / 5 - 15.8),
        ("lix", 5.0),
        ("flesch_reading_ease", 206.835 - 1.015 * 5 - 84.6 * 1.1),
        ("flesch_kincaid_grade", 0.39 * 5 + 11.8 * 1.1 - 15.59),
    ],
)
def test_the_formulas(formula: str, expected: float) -> None:
    text = "The cat sat near me. The dog ran after it."
    assert _reward(text, formula) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["OK.", "No, I do not.", "x" * 1000, "我不知道。", "42"])
def test_too_few_words_cannot_be_scored(text: str) -> None:
    with pytest.raises(SampleError, match="at least 5") as caught:
        _reward(text)
    assert caught.value.failure.field == "response"
    assert caught.value.failure.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two three. Four five six! Seven eight nine?", 3),
        ("Dr. Smith paid $3.50 for 2. Then he left.", 2),
        ("It costs 3.5 dollars", 1),
        ("A line that is\nbroken in two", 1),
        ("- One of the items\n- Another of the items\n1. A third of them", 3),
        ("A title without a stop\n\nA paragraph without one", 2),
        ("He said “no, not yet.” Then he left us.", 2),
        ("...", 1),
    ],
)
def test_sentences(text: str, sentences: int) -> None:
    assert count_sentences(text) == sentences


def test_words() -> None:
    assert find_words("We aren't—yet—here / there: e.g. well-known!") == [
        "We", "arent", "yet", "here", "there", "eg", "wellknown",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "count"),
    [
        ("make", 1), ("baked", 1), ("wanted", 2), ("apple", 2), ("apples", 2), ("boxes", 2),
        ("makes", 1), ("settled", 2), ("called", 1), ("red", 1), ("movement", 2), ("nation", 2),
        ("period", 3), ("social", 2), ("diet", 2), ("hour", 2), ("unique", 2), ("prism", 2),
        ("didnt", 2), ("idea", 3), ("radio", 3), ("piano", 3), ("question", 2), ("business", 2),
        ("readability", 5), ("rhythm", 1), ("the", 1), ("42", 1), ("information", 4),
    ],
)  # fmt: skip
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count
