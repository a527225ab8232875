"""Log-probabilities equal those of Transformers' own calls, for each architecture."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.language_model import LanguageModelTrait
from palmfolio_scorer.traits.registry import make_trait
from tests.support.architectures.bodies import DECODERS, body
from tests.support.counting_model import engine_on, served

SAMPLES = [
    Sample("How do I bake bread?", "Knead flour, water and yeast."),
    Sample("", "In a hot oven."),
    Sample(" É 😀\n中文", " the "),
    Sample("bread and " * 9, "yes"),
]


def _trait(folder: Path, **options: Any) -> LanguageModelTrait:
    trait = make_trait("language_model", {"model": str(folder)} | options)
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, LanguageModelTrait)
    return trait


def _scored(trait: LanguageModelTrait) -> list[float]:
    async def score() -> list[float]:
        engine = engine_on(trait.model, token_budget=90)
        table = await engine.score(SAMPLES, [served(trait)])
        await engine.stop()
        assert table.failures == {}
        return [float(value) for value in table.raw[:, 0]]

    return asyncio.run(score())


def _context(tokenizer: Any, sample: Sample, chat: bool) -> list[int]:
    """The context by the tokeniser's own call."""
    if chat:
        messages = [{"role": "user", "content": sample.prompt}]
        encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
        return list(encoded["input_ids"])
    return list(tokenizer(sample.prompt)["input_ids"]) or [tokenizer.bos_token_id]


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize("kind", DECODERS)
def test_log_probabilities_equal_those_of_transformers(
    tmp_path: Path, kind: str, begins: bool, chat: bool
) -> None:
    """A tokeniser that begins texts with a token does so here, but not twice in a chat."""
    folder = body(kind, tmp_path, begins=begins, chat=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    expected = []
    for sample in SAMPLES:
        context = _context(tokenizer, sample, chat)
        assert context.count(tokenizer.bos_token_id) == (begins or chat or not sample.prompt)
        completion = tokenizer(sample.response, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([context + completion])).logits[0].float().log_softmax(-1)
        at = range(len(context) - 1, len(context) + len(completion) - 1)
        total = sum(float(logits[i, token]) for i, token in zip(at, completion, strict=True))
        expected.append(total / len(completion))
    assert _scored(_trait(folder, chat_template=chat)) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("kind", DECODERS)
def test_verdicts_equal_those_of_transformers(tmp_path: Path, kind: str) -> None:
    folder = body(kind, tmp_path, begins=True)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    yes, no = (tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in ("y", "n"))
    expected = []
    for sample in SAMPLES:
        ids = tokenizer(f"{sample.prompt}\n{sample.response}\nGood?")["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0, -1]
        expected.append(float(logits[[yes, no]].softmax(-1)[0]))
    judge = {"measure": "judge", "template": "{prompt}\n{response}\nGood?", "yes": "y", "no": "n"}
    assert _scored(_trait(folder, **judge)) == pytest.approx(expected, abs=1e-5)


def test_a_context_that_is_cut_keeps_its_beginning(tmp_path: Path) -> None:
    trait = _trait(body("llama", tmp_path, begins=True), max_tokens=12)
    inputs = [trait.inputs(sample)[0] for sample in (SAMPLES[0], SAMPLES[3])]
    encoded = trait.model.encode(inputs)
    for each in encoded:
        assert len(each.ids) == 12
        assert each.ids[0] == 1
        assert 1 not in list(each.ids)[1:]
