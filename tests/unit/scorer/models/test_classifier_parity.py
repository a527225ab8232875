"""Rewards are those of Transformers' own pipeline, whatever the architecture and the text."""

import math
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from transformers import pipeline

from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample, SampleError
from palmfolio_scorer.traits.registry import make_trait
from palmfolio_scorer.traits.sequence_classifier import SequenceClassifier
from tests.support.architectures.heads import FRAMED, KINDS, head

RESPONSES = [
    "fine answer",
    "fine answer</s>",
    "<s><pad></s> [SEP] <unk>",
    "yes " * 150,
    "no",
    "",
    " ",
    "\n\n",
    "é ß 你好 🎉🎉",
    "\u2028\u0085\x00\ufeff",
    "a" * 140,
    "#### 4",
    "{response} {prompt}",
]
# Packed and padded forms are both served; windows, experts and state space layers need padding.
PACKED = {"bert", "roberta", "xlm-r", "llama", "qwen3", "gpt2"}


@cache
def _folder(kind: str) -> str:
    return str(head(kind, Path(mkdtemp()) / "model", unlimited=kind != "t5"))


@cache
def _trait(kind: str, pair: bool) -> SequenceClassifier:
    template = ["{prompt}", "{response}"] if pair else "{response}"
    options = {"model": _folder(kind), "template": template, "label": "LABEL_1"}
    trait = make_trait("sequence_classifier", options)
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, SequenceClassifier)
    return trait


@cache
def _pipeline(kind: str) -> Any:
    return pipeline("text-classification", model=_folder(kind), function_to_apply="none", top_k=99)


def _expected(kind: str, text: Any, limit: int) -> float:
    """The pipeline's score of the second label; NaN where it fails."""
    options = {"truncation": True, "max_length": limit, "split_special_tokens": True}
    try:
        (scores,) = _pipeline(kind)([text], **options)
    except (RuntimeError, ValueError, IndexError):  # no tokens at all
        return math.nan
    return float(next(each["score"] for each in scores if each["label"] == "LABEL_1"))


def _rewards(trait: SequenceClassifier, samples: list[Sample]) -> list[float]:
    """Rewards of one batch; NaN for samples that cannot be encoded."""
    encoded: dict[int, Any] = {}
    for i, sample in enumerate(samples):
        try:
            (encoded[i],) = trait.model.encode(trait.inputs(sample))
        except SampleError:
            continue
    outputs = dict(zip(encoded, trait.model.forward(list(encoded.values())), strict=True))
    return [
        trait.reward_from(sample, [outputs[i]]) if i in outputs else math.nan
        for i, sample in enumerate(samples)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_rewards_are_the_pipelines(kind: str) -> None:
    trait = _trait(kind, pair=False)
    limit = trait.model.tokeniser.max_tokens
    rewards = _rewards(trait, [Sample("", text) for text in RESPONSES])
    expected = [_expected(kind, text, min(limit, 130)) for text in RESPONSES]
    assert rewards == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert sum(map(math.isnan, rewards)) <= 1
    assert max(rewards) - min(rewards) > 0.01
    assert trait.model.pads == (kind not in PACKED)


@pytest.mark.parametrize("kind", FRAMED)
def test_rewards_of_pairs_are_the_pipelines(kind: str) -> None:
    trait = _trait(kind, pair=True)
    samples = [Sample("Is it?", text) for text in RESPONSES if text]
    pairs = [{"text": sample.prompt, "text_pair": sample.response} for sample in samples]
    expected = [_expected(kind, pair, trait.model.tokeniser.max_tokens) for pair in pairs]
    assert _rewards(trait, samples) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("kind", "limit"), [("roberta", 129), ("xlm-r", 129), ("bert", 130)])
def test_the_longest_texts_are_what_the_positions_take(kind: str, limit: int) -> None:
    """The table has 130 positions; RoBERTa's family leaves out those up to the padding token's."""
    trait = _trait(kind, pair=False)
    assert trait.model.tokeniser.max_tokens == limit
    texts = ["a" * n for n in (126, 127, 128, 129, 300)]
    samples = [Sample("", text) for text in texts]
    expected = [_expected(kind, text, limit) for text in texts]
    assert _rewards(trait, samples) == pytest.approx(expected, abs=1e-4)
    assert [trait.model.encode(trait.inputs(each))[0].cut > 0 for each in samples][-1]
