"""Rewards equal Transformers' own, one text at a time, in whatever batch and order they come."""

import asyncio
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaModel

from palmfolio_runtime.prompts import says_nothing
from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.kind import TraitConfigError
from palmfolio_scorer.traits.registry import make_trait
from palmfolio_scorer.traits.sequence_classifier import SequenceClassifier
from tests.support.counting_model import engine_on, served
from tests.support.tiny_models import classifier, score_model

KINDS = [
    "bert",
    "roberta",
    "deberta",
    "distilbert",
    "gpt2",
    "gpt2-pad-is-eos",
    "llama",
    "qwen3",
]
FORMATS: dict[str, dict[str, Any]] = {
    "single": {"template": "{response}"},
    "text": {"template": "Q: {prompt}\nA: {response}"},
    "pair": {"template": ["\n\nHuman: {prompt} \n\nAssistant:", "{response}"]},
    "chat": {"chat_template": True},
}
OVERFLOWS = ["truncate", "truncate_left", "fail"]
MAX_TOKENS = 40
# Short ones, and some that are longer than `MAX_TOKENS`.
TEXTS = st.builds(
    lambda text, times: text * times,
    st.text(
        st.characters(exclude_categories=["Cs"]) | st.sampled_from("abc e.<>/s{}"), max_size=20
    ),
    st.sampled_from([1, 1, 10]),
)
SAMPLES = st.lists(st.builds(Sample, TEXTS, TEXTS), min_size=1, max_size=10)


@cache
def _folder(kind: str, labels: int = 1) -> Path:
    return classifier(kind, Path(mkdtemp()) / "model", labels)


@cache
def _models(dtype: str) -> ModelStore:
    return ModelStore("cpu")


@cache
def _trait(
    kind: str, style: str, dtype: str = "float32", overflow: str = "truncate"
) -> SequenceClassifier:
    options = FORMATS[style] | {"model": str(_folder(kind)), "dtype": dtype}
    trait = make_trait(
        "sequence_classifier", options | {"overflow": overflow, "max_tokens": MAX_TOKENS}
    )
    trait.load(_models(dtype))
    assert isinstance(trait, SequenceClassifier)
    return trait


@cache
def _reference(kind: str, dtype: str) -> tuple[Any, Any]:
    folder = _folder(kind)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def _alone(kind: str, style: str, sample: Sample, dtype: str, overflow: str) -> float | None:
    """The reward as a user of Transformers computes it for one sample; None where there is none."""
    if style == "single" and says_nothing(sample.response):
        return None
    model, tokenizer = _reference(kind, dtype)
    tokenizer.truncation_side = "left" if overflow == "truncate_left" else "right"
    options: dict[str, Any] = {"return_tensors": "pt"}
    if overflow != "fail":
        options |= {"truncation": True, "max_length": MAX_TOKENS}
    if style == "single":
        tokens = tokenizer(sample.response, **options)
    elif style == "text":
        tokens = tokenizer(f"Q: {sample.prompt}\nA: {sample.response}", **options)
    elif style == "pair":
        question = f"\n\nHuman: {sample.prompt} \n\nAssistant:"
        # As lists: called with two strings, Transformers takes an empty second one for none.
        tokens = tokenizer([question], [sample.response], **options)
    else:
        messages = [
            {"role": "user", "content": sample.prompt},
            {"role": "assistant", "content": sample.response},
        ]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        tokens = tokenizer(text, add_special_tokens=False, **options)
    if not 1 <= tokens["input_ids"].shape[1] <= MAX_TOKENS:
        return None
    with torch.inference_mode():
        return float(model(**tokens.to(torch.long)).logits[0, 0])


def _table(trait: SequenceClassifier, requests: list[list[Sample]], **settings: int) -> Any:
    """Rewards of concurrent requests, joined; NaN where failed."""

    async def score() -> np.ndarray:
        engine = engine_on(trait.model, **settings)
        tables = await asyncio.gather(
            *(engine.score(samples, [served(trait)]) for samples in requests)
        )
        await engine.stop()
        return np.concatenate([table.raw[:, 0] for table in tables])

    return asyncio.run(score())


def _scored(trait: SequenceClassifier, samples: list[Sample], **settings: int) -> np.ndarray:
    raw = _table(trait, [samples], **settings)
    assert np.isfinite(raw).all()
    return raw


def _compared(
    kind: str, style: str, dtype: str, overflow: str, samples: list[Sample], data: st.DataObject
) -> tuple[np.ndarray, np.ndarray]:
    """Rewards in a batch composition, an order and a budget that are drawn, and one at a time."""
    order = data.draw(st.permutations(range(len(samples))))
    # Some twice: an equal input is computed once.
    order += data.draw(st.lists(st.sampled_from(order), max_size=3))
    cut = data.draw(st.integers(0, len(order)))
    budget = data.draw(st.integers(1, 600))
    requests = [[samples[i] for i in part] for part in (order[:cut], order[cut:]) if part]
    scored = _table(_trait(kind, style, dtype, overflow), requests, token_budget=budget)
    singly = [_alone(kind, style, sample, dtype, overflow) for sample in samples]
    expected = np.array([np.nan if singly[i] is None else singly[i] for i in order], dtype=float)
    return scored, expected


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
@given(samples=SAMPLES, data=st.data())
@settings(max_examples=4, deadline=None)
def test_float32_equals_transformers_one_at_a_time(
    kind: str, style: str, overflow: str, samples: list[Sample], data: st.DataObject
) -> None:
    scored, singly = _compared(kind, style, "float32", overflow, samples, data)
    assert scored == pytest.approx(singly, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize("kind", KINDS)
@given(samples=SAMPLES, overflow=st.sampled_from(OVERFLOWS), data=st.data())
@settings(max_examples=4, deadline=None)
def test_bfloat16_stays_within_a_hundredth(
    kind: str, style: str, overflow: str, samples: list[Sample], data: st.DataObject
) -> None:
    scored, singly = _compared(kind, style, "bfloat16", overflow, samples, data)
    squashed, expected = (1 / (1 + np.exp(-values)) for values in (scored, singly))
    assert squashed == pytest.approx(expected, abs=1e-2, nan_ok=True)


def test_the_property_sees_one_token_more_or_less() -> None:
    """The models' answers tell texts apart that differ in one token, at either end."""
    for kind in KINDS:
        samples = [Sample("", text) for text in ("a yes b", "a yes c", "c yes b", "a yes b.")]
        raw = _scored(_trait(kind, "single"), samples)
        assert np.abs(np.subtract.outer(raw, raw))[np.triu_indices(4, 1)].min() > 1e-4, kind


@pytest.mark.parametrize("bias", [False, True])
def test_a_score_model_is_read_at_its_last_token(tmp_path: Path, bias: bool) -> None:
    folder = score_model(tmp_path, bias=bias)
    template = "BEGINNING OF CONVERSATION: USER: {prompt} ASSISTANT:{response}</s>"
    trait = make_trait(
        "sequence_classifier", {"model": str(folder), "template": template, "negate": True}
    )
    trait.load(ModelStore("cpu"))
    samples = [Sample("Hello", "Good day " * i) for i in range(5)]
    backbone = LlamaModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    head = trait.model._model.score_head  # type: ignore[attr-defined]
    assert (head.bias is not None) == bias
    expected = []
    for sample in samples:
        text = f"BEGINNING OF CONVERSATION: USER: {sample.prompt} ASSISTANT:{sample.response}</s>"
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            expected.append(-float(head(backbone(ids).last_hidden_state[0, -1])))
    assert _scored(trait, samples) == pytest.approx(expected, abs=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
def test_labels_and_activations(activation: str) -> None:
    folder = _folder("bert", 3)
    options = {"model": str(folder), "template": "{response}", "activation": activation}
    values = []
    for label in (0, "LABEL_1", 2):
        trait = make_trait("sequence_classifier", options | {"label": label})
        trait.load(ModelStore("cpu"))
        values.append(_scored(trait, [Sample("", "text")])[0])  # type: ignore[arg-type]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = model(**tokenizer("text", return_tensors="pt")).logits[0]
    expected = {
        "none": logits,
        "sigmoid": logits.sigmoid(),
        "softmax": logits.softmax(0),
    }[activation]
    assert values == pytest.approx(expected.tolist(), abs=1e-5)


def test_braces_in_a_response_are_text() -> None:
    trait = _trait("bert", "text")
    sample = Sample("{response}", "{prompt} {0} {} {reference}")
    assert trait.inputs(sample) == [("Q: {response}\nA: {prompt} {0} {} {reference}",)]


@pytest.mark.parametrize("overflow", ["truncate", "truncate_left", "fail"])
def test_what_happens_past_the_maximum_length(overflow: str) -> None:
    options = {"model": str(_folder("bert")), "template": "{response}", "max_tokens": 10}
    trait = make_trait("sequence_classifier", options | {"overflow": overflow})
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, SequenceClassifier)
    samples = [Sample("", "x" * 50 + "a"), Sample("", "x" * 50 + "b"), Sample("", "y")]

    async def score() -> Any:
        engine = engine_on(trait.model)
        table = await engine.score(samples, [served(trait)])
        await engine.stop()
        return table

    table = asyncio.run(score())
    if overflow == "fail":
        assert sorted(table.failures) == [(0, 0), (1, 0)]
        assert "at most 10" in table.failures[0, 0].message
    else:
        same_end = table.raw[0, 0] == pytest.approx(table.raw[1, 0], abs=1e-6)
        assert same_end == (overflow == "truncate")
    assert np.isfinite(table.raw[2, 0])


def test_a_model_that_was_never_trained_to_score_is_refused(tmp_path: Path) -> None:
    from tests.support.tiny_models import language_model

    options = {"model": str(language_model(tmp_path)), "template": "{response}"}
    with pytest.raises(TraitLoadError, match=r"no score\.weight.*random"):
        make_trait("sequence_classifier", options).load(ModelStore("cpu"))


@pytest.mark.parametrize(
    ("label", "message"), [(None, "required"), (3, "0..2"), ("FUNNY", "LABEL_0")]
)
def test_a_wrong_label_names_the_right_ones(label: object, message: str) -> None:
    options = {"model": str(_folder("bert", 3)), "template": "{response}", "label": label}
    with pytest.raises(TraitLoadError, match=message):
        make_trait("sequence_classifier", options).load(ModelStore("cpu"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either template or chat_template"),
        ({"template": "{response}", "chat_template": True}, "either"),
        ({"template": "{prompt}"}, "must hold"),
    ],
)
def test_a_wrong_format_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TraitConfigError, match=message):
        make_trait("sequence_classifier", {"model": "m"} | options)


def test_traits_that_differ_in_their_label_share_one_model() -> None:
    models = ModelStore("cpu")
    for label in range(3):
        options = {"model": str(_folder("bert", 3)), "template": "{response}", "label": label}
        make_trait("sequence_classifier", options).load(models)
    assert len(list(models)) == 1
