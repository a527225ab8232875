"""The `language` check."""

from typing import Any

import pytest

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.kind import TextTrait
from palmfolio_scorer.traits.registry import make_trait


def _trait(language: str) -> TextTrait[Any]:
    trait = make_trait("verifier", {"check": "language", "language": language})
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, TextTrait)
    return trait


ENGLISH = _trait("en")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Good day, how are you doing this morning?"), ("en", "Thank you very much."),
        ("en", "I do not know."), ("de", "Ich weiß es nicht."), ("de", "Die Antwort ist 42."),
        ("fr", "Bonjour tout le monde"), ("es", "Hola, ¿cómo estás?"), ("sv", "Jag vet inte."),
        ("it", "La risposta è quarantadue."), ("pt", "Não sei o que dizer."),
        ("nl", "Ik weet het niet."), ("pl", "Nie wiem, co powiedzieć."), ("el", "Δεν ξέρω."),
        ("uk", "Я не знаю, що сказати."), ("zh", "我不知道。"), ("ja", "わかりません。"),
        ("ko", "모르겠습니다."), ("ar", "لا أعرف."), ("he", "אני לא יודע."), ("hi", "मुझे नहीं पता।"),
        ("tr", "Bilmiyorum, belki yarın."), ("fi", "En tiedä, mitä sanoa."),
        ("vi", "Tôi không biết."), ("th", "ฉันไม่รู้"),
    ],
)  # fmt: skip
def test_a_sentence_is_in_its_language(language: str, text: str) -> None:
    sample = Sample("prompt", text)
    assert _trait(language).reward(sample) > 0.5
    assert language == "en" or ENGLISH.reward(sample) < 0.1


@pytest.mark.parametrize(
    "text",
    [
        "OK.", "No.", "Yes", "Hello", "Paris.", "Hotel Ritz", "Beethoven, Mozart, Haydn", "JSON",
        "x = 5", "km/h", "Tokyo 2020", "def f(x): return x + 1", "https://example.org/a/b", "Oui",
        "NaCl + H2O", "foo bar baz", r"\boxed{x}", "Hmm", "Я не знаю.", "Non lo so.",
    ],
)  # fmt: skip
def test_a_text_of_any_language_cannot_be_scored(text: str) -> None:
    with pytest.raises(SampleError, match="too little text to tell its language") as caught:
        ENGLISH.reward(Sample("prompt", text))
    assert caught.value.failure.field == "response"


@pytest.mark.parametrize("text", ["", "4 + 4 = 8", "#### 18", "😀😀", "...", "\n" * 1000])
def test_a_text_without_letters_cannot_be_scored(text: str) -> None:
    with pytest.raises(SampleError, match="no letters"):
        ENGLISH.reward(Sample("prompt", text))


def test_an_unknown_language_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(TraitLoadError, match=r"'xx'.* de,.* en,"):
        _trait("xx")
