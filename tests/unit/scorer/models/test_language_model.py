"""Log-probabilities and verdicts equal those computed with Transformers one at a time."""

import asyncio
import math
import re
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from palmfolio_runtime.prompts import says_nothing
from palmfolio_scorer.engine import RewardTable
from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.kind import TraitConfigError
from palmfolio_scorer.traits.language_model import LanguageModelTrait
from palmfolio_scorer.traits.registry import make_trait
from tests.support.counting_model import engine_on, served
from tests.support.tiny_models import language_model

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
# Some are longer than `MAX_TOKENS`, together or even on their own.
LONG = st.builds(lambda text, times: text * times, TEXTS, st.sampled_from([1, 1, 6]))
SAMPLES = st.lists(st.builds(Sample, LONG | st.just(""), LONG), min_size=1, max_size=8)
MAX_TOKENS = 60
JUDGE = {"measure": "judge", "template": "{prompt}\n{response}\nGood?", "yes": "y", "no": "n"}
MEASURES: dict[str, dict[str, Any]] = {
    "per_token": {},
    "per_byte": {"measure": "per_byte", "template": "Q: {prompt}\nA:"},
    "judge": JUDGE,
}


@cache
def _folder() -> Path:
    return language_model(Path(mkdtemp()) / "model")


@cache
def _reference(dtype: str = "float32") -> tuple[Any, Any]:
    model = AutoModelForCausalLM.from_pretrained(_folder(), dtype=dtype).eval()
    return model, AutoTokenizer.from_pretrained(_folder())


def _trait(**options: Any) -> LanguageModelTrait:
    trait = make_trait("language_model", {"model": str(_folder())} | options)
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, LanguageModelTrait)
    return trait


def _table(trait: LanguageModelTrait, samples: list[Sample], **settings: int) -> RewardTable:
    async def score() -> RewardTable:
        engine = engine_on(trait.model, **settings)
        table = await engine.score(samples, [served(trait)])
        await engine.stop()
        return table

    return asyncio.run(score())


def _alone(sample: Sample, measure: str, chat: bool, dtype: str, overflow: str) -> float | None:
    """The reward computed with Transformers for one sample; None where there is none."""
    if measure != "judge" and says_nothing(sample.response):
        return None
    model, tokenizer = _reference(dtype)
    context = {
        "per_token": sample.prompt,
        "per_byte": f"Q: {sample.prompt}\nA:",
        "judge": f"{sample.prompt}\n{sample.response}\nGood?",
    }[measure]
    if chat:
        messages = [{"role": "user", "content": context}]
        context = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
    context_ids = tokenizer(context)["input_ids"] or [tokenizer.bos_token_id]
    completion = [] if measure == "judge" else tokenizer(sample.response)["input_ids"]
    room = MAX_TOKENS - len(completion)
    if room < 1 or (overflow == "fail" and len(context_ids) > room):
        return None
    context_ids = context_ids[-room:]
    with torch.inference_mode():
        logits = model(torch.tensor([context_ids + completion])).logits[0].float().log_softmax(-1)
    if measure == "judge":
        yes, no = (tokenizer(answer)["input_ids"][0] for answer in ("y", "n"))
        odds = math.exp(float(logits[-1, yes] - logits[-1, no]))
        return odds / (1 + odds)
    positions = range(len(context_ids) - 1, len(context_ids) + len(completion) - 1)
    total = sum(float(logits[i, token]) for i, token in zip(positions, completion, strict=True))
    return total / (len(completion) if measure == "per_token" else len(sample.response.encode()))


@cache
def _cached_trait(measure: str, chat: bool, dtype: str, overflow: str) -> LanguageModelTrait:
    return _trait(
        **MEASURES[measure],
        chat_template=chat,
        dtype=dtype,
        overflow=overflow,
        max_tokens=MAX_TOKENS,
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("overflow", ["truncate", "fail"])
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("measure", MEASURES)
@given(samples=SAMPLES, data=st.data())
@settings(max_examples=6, deadline=None)
def test_rewards_equal_transformers_one_at_a_time(
    measure: str,
    chat: bool,
    overflow: str,
    dtype: str,
    samples: list[Sample],
    data: st.DataObject,
) -> None:
    """In any batch composition and order."""
    order = data.draw(st.permutations(range(len(samples))))
    order += data.draw(st.lists(st.sampled_from(order), max_size=2))
    budget = data.draw(st.integers(1, 400))
    trait = _cached_trait(measure, chat, dtype, overflow)
    scored = _table(trait, [samples[i] for i in order], token_budget=budget).raw[:, 0]
    singly = [_alone(sample, measure, chat, dtype, overflow) for sample in samples]
    expected = np.array([np.nan if singly[i] is None else singly[i] for i in order], dtype=float)
    if dtype == "float32":
        assert scored == pytest.approx(expected, abs=1e-5, nan_ok=True)
    else:
        centre = 0.0 if measure == "judge" else np.log(len(_reference()[1]))
        squashed, wanted = (1 / (1 + np.exp(-values - centre)) for values in (scored, expected))
        assert squashed == pytest.approx(wanted, abs=1e-2, nan_ok=True)


def test_a_sample_that_cannot_be_scored_fails_no_other() -> None:
    samples = [Sample("p", ""), Sample("p", "x" * 300), Sample("", "fine"), Sample("q" * 300, "ok")]
    table = _table(_trait(), samples)
    assert sorted(table.failures) == [(0, 0), (1, 0)]
    assert "empty" in table.failures[0, 0].message
    assert "at most 130" in table.failures[1, 0].message
    assert np.isfinite(table.raw[2:]).all()
    refused = _table(_trait(overflow="fail"), samples)
    assert sorted(refused.failures) == [(0, 0), (1, 0), (3, 0)]


def test_a_chat_template_frames_the_context() -> None:
    trait = _trait(chat_template=True)
    (context,) = {parts[1] for parts in trait.inputs(Sample("Hello", "Hi"))}
    assert re.sub("\U0010fffc.*?\U0010fffd", "<control>", context) == (
        "<control><|user|>Hello<control>"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure": "judge"}, "must hold"),
        ({"template": "{prompt} {response}"}, "must hold"),
    ],
)
def test_a_wrong_template_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TraitConfigError, match=message):
        make_trait("language_model", {"model": "m"} | options)


def test_answers_that_begin_alike_are_refused() -> None:
    with pytest.raises(TraitLoadError, match="same token"):
        _trait(**JUDGE | {"yes": "yes", "no": "yes no"})
