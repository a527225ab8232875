"""Checks of the verifier kind."""

import time
from typing import Any

import pytest

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.kind import TraitConfigError
from palmfolio_scorer.traits.registry import make_trait
from palmfolio_scorer.traits.verifier import Verifier


def _loaded(check: str, **options: object) -> Verifier:
    trait = make_trait("verifier", {"check": check} | options)
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, Verifier)
    return trait


def _reward(trait: Verifier, response: str, reference: str = "") -> float:
    return trait.reward(Sample("prompt", response, reference))


def test_json() -> None:
    schema = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    plain, strict = (
        _loaded("format", form="json"),
        _loaded("format", form="json", json_schema=schema),
    )
    assert _reward(plain, ' {"a": [1, 2]} \n') == 1
    assert _reward(plain, "{'a': 1}") == _reward(plain, "") == _reward(plain, "NaN") == 0
    assert _reward(plain, "[" * 100_000) == 0
    assert _reward(strict, '{"name": "x"}') == 1
    assert _reward(strict, '{"name": 1}') == _reward(strict, "[]") == 0


def test_regular_expressions() -> None:
    whole = _loaded("format", form="regex", pattern=r"<a>\d+</a>")
    anywhere = _loaded("format", form="regex", pattern=r"<a>\d+</a>", match="anywhere")
    assert _reward(whole, " <a>12</a>\n") == 1
    assert _reward(whole, "so <a>12</a>") == 0 != _reward(anywhere, "so <a>12</a>")


def test_a_pattern_that_backtracks_without_end_fails_its_sample_in_time() -> None:
    trait = _loaded("format", form="regex", pattern=r"(a|aa)+$", timeout_seconds=0.05)
    start = time.monotonic()
    with pytest.raises(SampleError, match="longer than"):
        _reward(trait, "a" * 5000 + "b")
    assert time.monotonic() - start < 10


def test_profanity_is_counted() -> None:
    trait = _loaded("profanity", add=("blast",), allow=("hell",))
    assert _reward(trait, "What a lovely day") == 0
    assert _reward(trait, "damn, what the hell") == 1
    assert _reward(trait, "Damn this sh1t, blast it") == 3


def test_language() -> None:
    trait = _loaded("language", language="de")
    assert _reward(trait, "Guten Tag, wie geht es Ihnen heute?") > 0.9
    assert _reward(trait, "Good day, how are you doing this morning?") < 0.1
    with pytest.raises(TraitLoadError, match=r"'xx'; known: .*de"):
        _loaded("language", language="xx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "regex"}, "pattern is required"),
        ({"form": "regex", "pattern": "("}, "not a regular expression"),
        ({"form": "json", "pattern": "a"}, "pattern is required"),
        ({"form": "json", "json_schema": {"type": 3}}, "not a JSON Schema"),
    ],
)
def test_wrong_formats_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TraitConfigError, match=message):
        make_trait("verifier", {"check": "format"} | options)
