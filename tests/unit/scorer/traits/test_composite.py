"""Traits made of others, and presets."""

import asyncio
import json
from pathlib import Path

import pytest

from palmfolio_scorer.engine import RewardTable
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.catalogue.presets import preset_names, preset_text
from palmfolio_scorer.traits.catalogue.spec import parse_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet
from palmfolio_scorer.traits.kind import TraitConfigError
from tests.support.counting_model import engine_on

GSM8K = Path(__file__).parents[5] / "shared" / "data" / "gsm8k_test_first300.jsonl"
TRAITS = """
traits:
  - {name: both, kind: composite, of: {short: 0.5, shorter: 2.0}, clip: [0, 1.5],
     normalisation: {kind: minmax, low: 0, high: 2}}
  - {name: nested, kind: composite, of: {both: -1.0, short: 1.0}, rewards: raw,
     normalisation: {kind: identity}}
  - {name: product, kind: composite, of: {short: 1, shorter: 2}, combine: product,
     normalisation: {kind: identity}}
  - {name: right, kind: verifier, check: answer, normalisation: {kind: identity}}
  - {name: partly, kind: composite, of: {short: 1, right: 1}, normalisation: {kind: identity}}
  - {name: short, kind: verifier, check: length, normalisation: {kind: minmax, low: 10, high: 0}}
  - {name: shorter, kind: verifier, check: length, normalisation: {kind: minmax, low: 5, high: 0}}
"""


def _loaded(text: str) -> TraitSet:
    traits = TraitSet(parse_traits(text, "test"))
    traits.load(ModelStore("cpu"))
    return traits


def _scored(traits: TraitSet, samples: list[Sample], *names: str) -> RewardTable:
    async def score() -> RewardTable:
        engine = engine_on(max_characters=10_000)
        chosen = [served for name in names if (served := traits.get(name))]
        table = await engine.score(samples, chosen)
        await engine.stop()
        return table

    return asyncio.run(score())


def test_sums_and_products_of_parts_that_were_not_asked_for() -> None:
    samples = [Sample("", "x" * 2), Sample("", "")]
    table = _scored(_loaded(TRAITS), samples, "both", "nested", "product")
    assert table.raw[0] == pytest.approx([1.5, 0.5, 0.8 * 0.6**2])
    assert table.raw[1] == pytest.approx([1.5, -1.5, 1.0])
    assert table.normalised[1] == pytest.approx([0.75, 0.0, 1.0])


def test_a_sample_that_a_part_cannot_score_fails_in_the_composite_only() -> None:
    samples = [Sample("", "#### 1", "#### 1"), Sample("", "#### 1", "nothing")]
    table = _scored(_loaded(TRAITS), samples, "partly", "short")
    assert list(table.failures) == [(1, 0)]
    assert "part right" in table.failures[1, 0].message
    assert table.raw[0, 0] == pytest.approx(0.4 + 1)


def test_a_composites_version_follows_its_parts() -> None:
    changed = TRAITS.replace("low: 5, high: 0", "low: 6, high: 0")
    before, after = _loaded(TRAITS), _loaded(changed)
    versions = {name: (before.get(name), after.get(name)) for name in before.names()}
    differing = {n for n, (a, b) in versions.items() if a and b and a.version != b.version}
    assert differing == {"shorter", "both", "nested", "product"}


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ("{a: 1}", "made of one another"),
        ("{nowhere: 1}", "nowhere is not declared"),
        ("{}", "at least 1"),
        ("{b: .nan}", "finite"),
    ],
)
def test_wrong_parts_are_refused(of: str, message: str) -> None:
    text = f"""
traits:
  - {{name: a, kind: composite, of: {of}, normalisation: {{kind: identity}}}}
  - {{name: b, kind: verifier, check: length, normalisation: {{kind: identity}}}}
"""
    with pytest.raises(TraitConfigError, match=message):
        TraitSet(parse_traits(text, "test"))


def test_a_part_that_fails_to_load_fails_the_composite() -> None:
    traits = _loaded(
        """
traits:
  - {name: a, kind: composite, of: {b: 1}, normalisation: {kind: identity}}
  - {name: b, kind: embedding_similarity, model: ./nowhere, normalisation: {kind: identity}}
"""
    )
    assert len(traits.failures()) == 2 and "its part b" in traits.failures()[0]


@pytest.mark.skipif(not GSM8K.exists(), reason="GSM8K is not at hand")
def test_rlvr_gsm_on_gsm8k() -> None:
    traits = _loaded(preset_text("rlvr-gsm"))
    rows = [json.loads(line) for line in GSM8K.read_text(encoding="utf-8").splitlines()]
    right = [Sample(row["question"], row["answer"], row["answer"]) for row in rows]
    bare = [
        Sample(row["question"], row["answer"].rsplit("#### ", 1)[1], row["answer"]) for row in rows
    ]
    wrong = [Sample(row["question"], "I think\n#### 123456789", row["answer"]) for row in rows]
    table = _scored(traits, right + bare + wrong, "correct", "brief", "clear")
    assert table.failures == {}
    assert (table.normalised[:600, 0] == 1).all() and (table.normalised[600:, 0] == 0).all()
    assert (table.normalised[:300, 2] == 1).all() and (table.normalised[300:600, 2] == 0).all()
    assert (table.normalised[:, 1] > 0).all()
    assert (table.normalised[300:600, 1] > table.normalised[:300, 1]).all()


def test_presets_are_named_in_the_error() -> None:
    assert preset_names() == ["helpful-assistants", "rlvr-gsm", "safety-alignment"]
    with pytest.raises(TraitConfigError, match="rlvr-gsm"):
        preset_text("nothing")
