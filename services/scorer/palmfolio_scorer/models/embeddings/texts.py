"""The texts of embedding models as tokens, as sentence-transformers' own `encode` makes them."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

from palmfolio_scorer.models.files import TraitLoadError
from palmfolio_scorer.models.model import Encoded, ModelOptions
from palmfolio_scorer.models.tokens.tokeniser import LimitedTokeniser
from palmfolio_scorer.samples import SampleError

Role = Literal["text", "query", "document"]
"""The function of the library that a text goes through: `encode`, `encode_query` or
`encode_document`."""

FEATURES = "features"
"""Key of `Encoded.extra`: the library's own features of one text."""
PREFIX_TOKENS = "prefix_tokens"
"""Key of `Encoded.extra`: the first tokens, which the model's pooling leaves out."""


class EmbeddingTexts(ABC):
    """Makes tokens of texts.

    Attributes:
        by_role: whether tokens or modules differ between queries and documents, in addition to the
            prefix.
    """

    by_role = False

    @abstractmethod
    def encode(self, texts: Sequence[str], prefix: str, role: Role) -> list[Encoded]:
        """Texts with a prefix before each, as tokens.

        Raises:
            SampleError: a text has no tokens, or too many.
        """


def texts_of(model: Any, options: ModelOptions) -> EmbeddingTexts:
    """The tokens of a sentence-transformers model.

    Raises:
        TraitLoadError: its first module cannot do what the options ask for.
    """
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    first = model[0]
    if "text" not in model.modalities and "message" not in model.modalities:
        raise TraitLoadError(f"the model {options.model} embeds no texts")
    if isinstance(first, StaticEmbedding):
        return _StaticTexts(first, options)
    if isinstance(first, Transformer):
        if _is_plain(first):
            return _PlainTexts(model, options)
        return _TransformerTexts(model, options)
    return _ModuleTexts(model, options)


def _is_plain(transformer: Any) -> bool:
    """Whether its tokens are those of its tokeniser for the text, for queries and documents."""
    special = (
        transformer.query_length,
        transformer.document_length,
        transformer.query_expansion,
        transformer.processing_kwargs,
    )
    return "message" not in transformer.modality_config and not any(special)


class _PlainTexts(EmbeddingTexts):
    """A Transformer that takes a text as it is."""

    def __init__(self, model: Any, options: ModelOptions) -> None:
        self._transformer = model[0]
        self._without_prefix = _leaves_prefix_out(model)
        self._tokenise = LimitedTokeniser(
            model.tokenizer,
            max_tokens=options.max_tokens,
            model_limit=model.max_seq_length,
            overflow=options.overflow,
        )

    def encode(self, texts: Sequence[str], prefix: str, role: Role) -> list[Encoded]:
        """The tokeniser's own tokens."""
        prefix = self._tokenise.written(prefix)
        encoded = self._tokenise([prefix + text for text in texts])
        if prefix and self._without_prefix:
            # One token at the end may be the tokeniser's own; it does not end the prefix.
            (own,) = self._tokenise([prefix])
            last = own.ids[-1] in self._tokenise.tokenizer.all_special_ids
            for each in encoded:
                each.extra[PREFIX_TOKENS] = len(own.ids) - last
        return encoded


class _TransformerTexts(EmbeddingTexts):
    """A Transformer whose tokens the library makes: with a chat template, or by the text's role."""

    by_role = True

    def __init__(self, model: Any, options: ModelOptions) -> None:
        self._transformer, self._options = model[0], options
        limits = [options.max_tokens, model.max_seq_length]
        self._limit = min((limit for limit in limits if limit is not None), default=None)
        if self._limit is not None:
            model.max_seq_length = self._limit
        tokenizer = self._transformer.tokenizer
        if tokenizer is not None:
            left = options.overflow == "truncate_left"
            tokenizer.truncation_side = "left" if left else "right"
        # A fast tokeniser keeps its truncation as state.
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], prefix: str, role: Role) -> list[Encoded]:
        """The library's tokens, one text at a time: so none is padded."""
        return [self._encode_one(text, prefix, role) for text in texts]

    def _encode_one(self, text: str, prefix: str, role: Role) -> Encoded:
        arguments: dict[str, Any] = {"prompt": prefix or None}
        if role != "text":
            arguments["task"] = role
        if self._options.overflow == "fail":
            arguments["processing_kwargs"] = {"text": {"truncation": False}}
        with self._lock:
            features = self._transformer.preprocess([text], **arguments)
        ids = features["input_ids"][0].tolist()
        if self._limit is not None and len(ids) > self._limit:
            raise SampleError(f"has {len(ids)} tokens; the model takes at most {self._limit}")
        if not ids:
            raise SampleError("is empty: it has no tokens, and the model adds none")
        plain = {"input_ids", "attention_mask", "token_type_ids", "modality", "prompt_length"}
        if set(features) - plain or not bool(features["attention_mask"].all()):
            return Encoded(ids, {FEATURES: features, "role": role})
        extra: dict[str, Any] = {}
        if "token_type_ids" in features:
            extra["types"] = features["token_type_ids"][0].tolist()
        if "prompt_length" in features:
            extra[PREFIX_TOKENS] = int(features["prompt_length"])
        return Encoded(ids, extra)


class _StaticTexts(EmbeddingTexts):
    """A table of token embeddings, whose mean is the text's."""

    def __init__(self, module: Any, options: ModelOptions) -> None:
        self._tokenizer, self._known = module.tokenizer, int(module.num_embeddings)
        self._limit, self._overflow = options.max_tokens, options.overflow
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def encode(self, texts: Sequence[str], prefix: str, role: Role) -> list[Encoded]:
        """The tokeniser's own tokens, without special ones."""
        import torch

        rows = self._tokenizer.encode_batch([prefix + t for t in texts], add_special_tokens=False)
        return [
            Encoded(
                ids,
                {FEATURES: {"input_ids": torch.tensor(ids), "offsets": torch.tensor([0])}},
            )
            for ids in (self._limited(row.ids) for row in rows)
        ]

    def _limited(self, ids: list[int]) -> list[int]:
        if not ids:
            raise SampleError("is empty: it has no tokens, and the model adds none")
        if max(ids) >= self._known:
            raise SampleError(f"has the token {max(ids)}; the model knows {self._known}")
        if self._limit is None or len(ids) <= self._limit:
            return ids
        if self._overflow == "fail":
            raise SampleError(f"has {len(ids)} tokens; the model takes at most {self._limit}")
        return ids[-self._limit :] if self._overflow == "truncate_left" else ids[: self._limit]


class _ModuleTexts(EmbeddingTexts):
    """Any other first module, a `Router` for example: the library makes features of each text."""

    by_role = True

    def __init__(self, model: Any, options: ModelOptions) -> None:
        self._model = model
        if options.overflow != "truncate":
            raise TraitLoadError(
                f"the model {options.model} begins with a {type(model[0]).__name__}, for which "
                f"`overflow: {options.overflow}` is not possible; only `truncate` is"
            )
        if options.max_tokens is not None:
            model.max_seq_length = options.max_tokens
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str], prefix: str, role: Role) -> list[Encoded]:
        """The features of each text."""
        arguments = {} if role == "text" else {"task": role}
        encoded = []
        for text in texts:
            with self._lock:
                features = self._model.preprocess([text], prompt=prefix or None, **arguments)
            ids = features["input_ids"].flatten().tolist() if "input_ids" in features else [0]
            if not ids:
                raise SampleError("is empty: it has no tokens, and the model adds none")
            encoded.append(Encoded(ids, {FEATURES: features, "role": role}))
        return encoded


def _leaves_prefix_out(model: Any) -> bool:
    return any(getattr(module, "include_prompt", True) is False for module in model)
