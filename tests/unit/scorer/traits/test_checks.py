"""Checks of the verifier kind."""

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.checks.answer import numbers
from palmfolio_scorer.traits.registry import TraitConfigError, make_trait
from palmfolio_scorer.traits.verifier import Verifier

GSM8K = Path(__file__).parents[5] / "shared" / "data" / "gsm8k_test_first300.jsonl"


def _loaded(check: str, **options: object) -> Verifier:
    trait = make_trait("verifier", {"check": check} | options)
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, Verifier)
    return trait


def _reward(trait: Verifier, response: str, reference: str = "") -> float:
    return trait.reward(Sample("prompt", response, reference))


@pytest.mark.parametrize(
    ("response", "reward"),
    [
        ("She earns 9 * 2 = $18 a day.\n#### 18", 1),
        ("#### $18.00", 1),
        ("#### 18 dollars, not 19", 1),
        ("The answer is \\boxed{18}.", 1),
        ("It is 3, no, it is 18.", 1),
        ("It is 18, from 3 and 6", 0),
        ("#### -18", 0),
        ("#### 180", 0),
        ("#### none, though 18", 1),
        ("no number at all", 0),
        ("", 0),
    ],
)
def test_the_final_number_decides(response: str, reward: int) -> None:
    assert _reward(_loaded("answer"), response, "9 * 2 = 18\n#### 18") == reward


def test_numbers_are_read_as_people_write_them() -> None:
    text = "-1,234.50 then $5, 3-4, 1,2345 and .5 or +7 (2)-3 and −9 on 10."
    expected = ["-1234.50", "5", "3", "4", "1", "2345", "0.5", "7", "2", "3", "-9", "10"]
    assert numbers(text) == [Decimal(number) for number in expected]


@pytest.mark.parametrize("reference", ["", "no number", "3 and 4"])
def test_a_reference_without_an_answer_fails_its_sample(reference: str) -> None:
    with pytest.raises(SampleError, match="number"):
        _reward(_loaded("answer"), "#### 1", reference)


@pytest.mark.skipif(not GSM8K.exists(), reason="GSM8K is not at hand")
def test_every_gsm8k_solution_is_right_and_no_other_number_is() -> None:
    trait = _loaded("answer")
    for line in GSM8K.read_text(encoding="utf-8").splitlines():
        solution = json.loads(line)["answer"]
        number = solution.rsplit("####", 1)[1].strip()
        assert _reward(trait, solution, solution) == 1
        assert _reward(trait, f"So the answer is **${number}.00**.", solution) == 1
        assert _reward(trait, f"#### {number}1", solution) == 0
        assert _reward(trait, f"#### -{number}".replace("--", ""), solution) == 0


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


@pytest.mark.parametrize("formula", ["automated_readability_index", "coleman_liau_index", "lix"])
def test_readability(formula: str) -> None:
    trait = _loaded("readability", formula=formula)
    easy = "The cat sat on the mat. It was warm. The dog ran to it."
    hard = (
        "Notwithstanding considerable methodological heterogeneity, contemporary epidemiological "
        "investigations unambiguously demonstrate statistically significant associations."
    )
    assert _reward(trait, easy) < _reward(trait, hard)
    with pytest.raises(SampleError, match="no words"):
        _reward(trait, "...")


def test_flesch_needs_its_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    with pytest.raises(TraitLoadError, match="cmudict"):
        _loaded("readability", formula="flesch_reading_ease")


def test_profanity_is_counted() -> None:
    trait = _loaded("profanity", add=("blast",), allow=("hell",))
    assert _reward(trait, "What a lovely day") == 0
    assert _reward(trait, "damn, what the hell") == 1
    assert _reward(trait, "Damn this sh1t, blast it") == 3


def test_language() -> None:
    trait = _loaded("language", language="de")
    assert _reward(trait, "Guten Tag, wie geht es Ihnen heute?") > 0.9
    assert _reward(trait, "Good day, how are you doing this morning?") < 0.1
    with pytest.raises(TraitLoadError, match=r"'xx' is none of .*de"):
        _loaded("language", language="xx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "regex"}, "pattern is required"),
        ({"form": "regex", "pattern": "("}, "no regular expression"),
        ({"form": "json", "pattern": "a"}, "pattern is required"),
        ({"form": "json", "json_schema": {"type": 3}}, "no JSON Schema"),
    ],
)
def test_wrong_formats_are_refused(options: dict, message: str) -> None:
    with pytest.raises(TraitConfigError, match=message):
        make_trait("verifier", {"check": "format"} | options)
