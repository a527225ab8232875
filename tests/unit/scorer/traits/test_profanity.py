"""The `profanity` check."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.checks.profanity_words import PHRASES, WORDS
from palmfolio_scorer.traits.kind import TextTrait
from palmfolio_scorer.traits.registry import make_trait


def _trait(**options: object) -> TextTrait[Any]:
    trait = make_trait("verifier", {"check": "profanity", **options})
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, TextTrait)
    return trait


TRAIT = _trait()


def _count(text: str, trait: TextTrait[Any] = TRAIT) -> float:
    return trait.reward(Sample("prompt", text))


@pytest.mark.parametrize(
    "text",
    [
        "gay", "God", "Willy Wonka", "kill the process", "Oral B", "Essex", "Scunthorpe",
        "A queer, lesbian and trans reading group", "a Jew, a Muslim and a Christian",
        "sex education, breast cancer, an anal fissure", "Dick Cheney read Moby Dick",
        "Hancock drank a cocktail in Cockburn", "heaven and hell", "a pussy willow",
        "the class will assess a grass assassin", "shiitake from Matsushita", "great tits",
        "U.S.A. and S.A.S.", "x = a * s * s", "**the value of pi**", "pass.it on", "Galaxy A55",
        "Spaß, er aß", "I am as sure as she was", "", "!!! ***",
        "f = c*d; a*b", "Kansas S. S. Minnow", "who're you? he'll know",
    ],
)  # fmt: skip
def test_ordinary_words_do_not_count(text: str) -> None:
    assert _count(text) == 0


@pytest.mark.parametrize(
    "text",
    [
        "s.h.i.t", "shit", "sh1t", "5h1t", "$hit", "sh!t!", "S H I T", "s-h-i-t", "sh.it",
        "shiiiit",
        "f*ck", "f**k", "F***", "fuuuuck", "f u c k you", "f u c k y o u", "fück", "fu\u0441k",
        "f\u200buck", "Fuckin'", "d#mn", "a$$", "@sshole", "assssshole", "b1tches", "bad-ass",
        "**fuck**", "holy_shit", "motherf*cker", "What the hell", "What the fucking hell!",
        "you son of a bitch", "don't be a dick", "DICKHEAD", "ａｓｓｈｏｌｅ",
    ],
)  # fmt: skip
def test_swear_words_count_once_however_they_are_spelt(text: str) -> None:
    assert _count(text) == 1


def test_each_word_counts() -> None:
    assert _count("God damn it, you bastard") == 2
    assert _count("fuck " * 100) == 100


def test_words_and_phrases_are_added_and_allowed() -> None:
    trait = _trait(add=("blast it", "Götterfunken", "bs"), allow=("damn", "Hell"))
    assert _count("Blast it! Götterfunken, b.s.", trait) == 3
    assert _count("damn, what the hell, sh1t", trait) == 1


def test_the_list_reads_itself() -> None:
    for entry in WORDS | PHRASES:
        assert _count(f"so {entry}, he said") == 1, entry


@given(st.lists(st.sampled_from(["table", "shit", "so", "d.a.m.n", "42", "f*ck"])))
def test_counts_add_up(words: list[str]) -> None:
    swearing = {"shit", "d.a.m.n", "f*ck"}
    assert _count("; ".join(words)) == sum(word in swearing for word in words)
