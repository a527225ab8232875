"""Trait versions that were handed out stay valid: stored evaluations are found by them.

A version may change only when the rewards do. A change of the code that moves one of these without
moving rewards is a mistake: everything that was evaluated would have to be evaluated again. When a
kind or a check raises its `code_version`, its versions here change with it.
"""

from pathlib import Path
from typing import Annotated

import pytest

from palmfolio_runtime.identity import OUTSIDE, Neutral
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.catalogue.spec import parse_traits, read_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet
from palmfolio_scorer.traits.kind import TextTrait, TraitOptions

QUICKSTART = Path(__file__).parents[4] / "examples" / "quickstart" / "traits.yaml"

# These need no library and no file whose release would rightly change them.
PLAIN = {
    "5d3221c749df9de4": "correct, kind: verifier, check: answer, normalisation: {kind: identity}",
    "56bc3efe1ffd8682": "boxed, kind: verifier, check: answer, response: boxed, reference: last, "
    "normalisation: {kind: identity}",
    "da5cce8c79cef2ca": "json, kind: verifier, check: format, form: json, "
    "json_schema: {type: object}, normalisation: {kind: identity}",
    "18ebcddfe179da9b": "pattern, kind: verifier, check: format, form: regex, pattern: 'yes|no', "
    "normalisation: {kind: identity}",
    "76451961680f933f": "length, kind: verifier, check: length, "
    "normalisation: {kind: sigmoid, centre: 200, scale: -50}",
    "9addc5a424ef16fa": "tokens, kind: verifier, check: length, unit: tokens, "
    "normalisation: {kind: quantile, knots: [0, 50, 400], levels: [1, 0.5, 0]}",
    "f154122f71e6262d": "overall, kind: composite, of: {correct: 0.5, length: 0.5}, "
    "normalisation: {kind: identity}",
}


def _versions(traits: TraitSet) -> dict[str, str]:
    traits.load(ModelStore("cpu"))
    assert traits.failures() == []
    return {served.name: served.version for served in traits}


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    """Versions of `PLAIN`, by name."""
    text = "\n".join(f"- {{name: {entry}}}" for entry in PLAIN.values())
    return _versions(TraitSet(parse_traits(f"traits:\n{text}", "these traits")))


@pytest.mark.parametrize("version", PLAIN)
def test_versions_of_plain_traits(version: str, plain: dict[str, str]) -> None:
    assert plain[PLAIN[version].split(",")[0]] == version


class _Options(TraitOptions):
    words: tuple[str, ...]


class _NewerOptions(_Options):
    whole_words: Annotated[bool, Neutral(False)] = False
    threads: Annotated[int, OUTSIDE] = 1


class _Words(TextTrait[_Options]):
    kind = "words"
    options_type = _Options

    def reward(self, sample: Sample) -> float:
        return float(any(word in sample.response for word in self.options.words))


def test_a_new_option_with_a_neutral_value_keeps_versions() -> None:
    before = _Words(_Options(words=("a",))).identity()
    assert before["options"] == {"words": ["a"]}
    assert _Words(_NewerOptions(words=("a",), threads=2)).identity() == before
    assert _Words(_NewerOptions(words=("a",), whole_words=True)).identity() != before


def test_versions_of_the_quickstart() -> None:
    """`relevance` and `warmth` also follow the model's files and the release of vaderSentiment."""
    assert _versions(TraitSet(read_traits(QUICKSTART))) == {
        "relevance": "4dac6be36f5f4517",
        "brevity": "58a6f555813d56d3",
        "warmth": "4bd65542969aaace",
    }
