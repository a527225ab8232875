"""Trait kinds from entry points, with the documented example."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits import registry
from palmfolio_scorer.traits.kind import TextTrait, TraitConfigError
from palmfolio_scorer.traits.registry import kinds, make_trait

EXAMPLE = Path(__file__).parents[4] / "examples" / "trait_plugin"


@pytest.fixture(autouse=True)
def _fresh_kinds() -> Iterator[None]:
    kinds.cache_clear()
    yield
    kinds.cache_clear()


def _install(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    point = EntryPoint(name, value, registry.PLUGIN_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])


def test_the_example_adds_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, "keywords", "palmfolio_keywords:Keywords")
    trait = make_trait("keywords", {"words": ["flour", "Oven"]})
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, TextTrait)
    samples = [Sample("", "Flour, then the oven"), Sample("", ""), Sample("", "flour")]
    rewards = trait.raw_rewards(samples)
    assert rewards.values[[0, 2]].tolist() == [1.0, 0.5]
    assert list(rewards.failures) == [1]
    assert trait.identity()["options"] == {"words": ["flour", "Oven"]}
    with pytest.raises(TraitConfigError, match="words"):
        make_trait("keywords", {"words": []})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("verifier", "palmfolio_keywords:Keywords", "already exists"),
        ("keywords", "palmfolio_keywords:KeywordsOptions", "not a subclass"),
        ("keywords", "palmfolio_nowhere:Trait", "palmfolio_nowhere"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    _install(monkeypatch, name, value)
    with pytest.raises(TraitConfigError, match=message):
        make_trait("verifier", {"check": "length"})
