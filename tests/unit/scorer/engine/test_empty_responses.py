"""What a response that says nothing gets: what the trait file or the kind states, and no guess."""

import math
from pathlib import Path
from typing import Any

import pytest

from palmfolio_runtime.prompts import says_nothing
from palmfolio_scorer.engine import Engine
from palmfolio_scorer.engine.settings import EngineSettings
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.protocol.replies import trait_message
from palmfolio_scorer.samples import EmptyResponse, Sample
from palmfolio_scorer.traits.catalogue.spec import parse_traits
from palmfolio_scorer.traits.catalogue.trait_set import TraitSet
from palmfolio_scorer.traits.kind import TraitConfigError
from palmfolio_scorer.traits.registry import make_trait
from tests.support.tiny_models import classifier, language_model

NOTHING = ["", " ", "\n\n", "\t \r\n", "\u00a0", "\u200b", "\ufeff", "\u2028", "\0", "\u3164"]


@pytest.mark.parametrize("text", NOTHING)
def test_texts_that_say_nothing(text: str) -> None:
    assert says_nothing(text)


@pytest.mark.parametrize("text", [".", " a", "0", "…", "\ufffd", "👍", "\u200bx", "_"])
def test_texts_that_say_something(text: str) -> None:
    assert not says_nothing(text)


@pytest.mark.parametrize(
    ("kind", "options", "rule"),
    [
        ("verifier", {"check": "length"}, "judged"),
        ("embedding_similarity", {"model": "m"}, 0.0),
        ("embedding_similarity", {"model": "m", "between": ["response", "reference"]}, 0.0),
        ("embedding_similarity", {"model": "m", "between": ["prompt", "reference"]}, "judged"),
        ("sequence_classifier", {"model": "m", "template": "{response}"}, "unscorable"),
        ("sequence_classifier", {"model": "m", "template": "{prompt} {response}"}, "judged"),
        ("sequence_classifier", {"model": "m", "chat_template": True}, "judged"),
        ("language_model", {"model": "m"}, "unscorable"),
        ("language_model", {"model": "m", "measure": "per_byte"}, "unscorable"),
        (
            "language_model",
            {"model": "m", "measure": "judge", "template": "{response}?"},
            "judged",
        ),
        ("composite", {"of": {"a": 1.0}}, "judged"),
    ],
)
def test_each_kind_states_its_rule(kind: str, options: dict[str, Any], rule: EmptyResponse) -> None:
    assert make_trait(kind, options).empty_response() == rule


TRAITS = """
traits:
  - {name: brief, kind: verifier, check: length, normalisation: {kind: minmax, low: 10, high: 0}}
  - {name: wordy, kind: verifier, check: length, empty_response: -1,
     normalisation: {kind: minmax, low: -1, high: 9}}
  - {name: short, kind: verifier, check: length, empty_response: unscorable,
     normalisation: {kind: minmax, low: 10, high: 0}}
  - {name: plain, kind: verifier, check: readability, normalisation: {kind: identity}}
  - {name: plain0, kind: verifier, check: readability, empty_response: 0,
     normalisation: {kind: identity}}
  - {name: warm, kind: verifier, check: sentiment,
     normalisation: {kind: minmax, low: -1, high: 1}}
  - {name: right, kind: verifier, check: answer, normalisation: {kind: identity}}
  - {name: both, kind: composite, of: {brief: 0.5, warm: 0.5}, normalisation: {kind: identity}}
  - {name: both0, kind: composite, of: {brief: 0.5, plain: 0.5}, empty_response: 0.25,
     normalisation: {kind: identity}}
"""


async def _score(
    text: str, samples: list[Sample], names: list[str] | None = None
) -> dict[str, list[float]]:
    """Normalised rewards of samples, by trait."""
    traits = TraitSet(parse_traits(text, "test"))
    models = ModelStore("cpu")
    traits.load(models)
    assert not traits.failures()
    engine = Engine(EngineSettings(), 1000)
    engine.start(models)
    wanted = [trait for trait in traits if names is None or trait.name in names]
    try:
        table = await engine.score(samples, wanted)
    finally:
        await engine.stop()
    for (i, j), failure in table.failures.items():
        assert math.isnan(table.normalised[i, j])
        assert failure.code == "INVALID_ARGUMENT" and failure.message
    return {trait.name: table.normalised[:, j].tolist() for j, trait in enumerate(wanted)}


@pytest.mark.parametrize("nothing", ["", " \n", "\u00a0"])
async def test_an_empty_response_gets_what_is_stated_and_others_what_they_got(nothing: str) -> None:
    said = Sample("Hi", "Good day to you all, friend.", "#### 4")
    got = await _score(TRAITS, [said, Sample("Hi", nothing, "#### 4"), said])
    alone = await _score(TRAITS, [said])
    expected = {
        "brief": 1.0,
        "wordy": 0.0,
        "short": math.nan,
        "plain": math.nan,
        "plain0": 0.0,
        "warm": 0.5,
        "right": 0.0,
        "both": 0.75,
        "both0": 0.25,
    }
    for name, value in expected.items():
        assert got[name][1] == pytest.approx(value, nan_ok=True), name
        assert got[name][::2] == [alone[name][0]] * 2, name


async def test_a_batch_of_empty_responses_asks_no_model(tmp_path: Path) -> None:
    text = f"""
    traits:
      - {{name: likely, kind: language_model, model: {language_model(tmp_path / "lm")},
         normalisation: {{kind: identity}}}}
      - {{name: funny, kind: sequence_classifier, model: {classifier("bert", tmp_path / "bert")},
         template: "{{response}}", normalisation: {{kind: sigmoid}}}}
      - {{name: sad, kind: sequence_classifier, model: {tmp_path / "bert"},
         template: "{{response}}", empty_response: 0, normalisation: {{kind: sigmoid}}}}
      - {{name: kind, kind: sequence_classifier, model: {tmp_path / "bert"},
         template: ["{{prompt}}", "{{response}}"], normalisation: {{kind: sigmoid}}}}
    """
    got = await _score(text, [Sample("Hello", nothing) for nothing in ("", "  ", "\u200b")])
    assert all(math.isnan(value) for name in ("likely", "funny") for value in got[name])
    assert got["sad"] == [0.5] * 3
    # With a prompt there is something to judge.
    assert all(0 < value < 1 for value in got["kind"])


def test_clients_learn_the_rule_and_fixed_rewards() -> None:
    traits = TraitSet(parse_traits(TRAITS, "test"))
    traits.load(ModelStore("cpu"))
    assert {each.name: trait_message(each).empty_response for each in traits} == {
        "brief": "0",
        "wordy": "-1",
        "short": "unscorable",
        "plain": "unscorable",
        "plain0": "0",
        "warm": "0",
        "right": "judged",
        "both": "judged",
        "both0": "0.25",
    }


def test_a_stated_value_is_part_of_the_version_and_no_statement_is_not() -> None:
    entry = "- {name: brief, kind: verifier, check: length, normalisation: {kind: identity}%s}"

    def version(stated: str) -> str:
        traits = TraitSet(parse_traits("traits:\n" + entry % stated, "test"))
        traits.load(ModelStore("cpu"))
        return next(iter(traits)).version

    stated = ["", ", empty_response: 0", ", empty_response: 1", ", empty_response: unscorable"]
    assert len({version(each) for each in stated}) == len(stated)


@pytest.mark.parametrize("wrong", ["maybe", ".nan", ".inf", "[1]"])
def test_a_wrong_statement_is_refused(wrong: str) -> None:
    entry = f"- {{name: a, kind: verifier, check: length, empty_response: {wrong}, normalisation: "
    with pytest.raises(TraitConfigError, match=r"traits\[0\]\.empty_response"):
        parse_traits(f"traits:\n{entry}{{kind: identity}}}}", "test")
