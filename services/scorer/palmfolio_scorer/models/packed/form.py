"""A model's packed form: the same outputs without padding, where its architecture allows it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.models.model import Encoded
from palmfolio_scorer.models.packed.sequences import ATTENTION, IntArray, Pack, counted

_log = get_logger(__name__)

_PROBE_LENGTHS = (3, 17, 9)
Forward: TypeAlias = Callable[[Sequence[Encoded]], torch.Tensor]
"""Outputs (B, K) of a batch. Safe to call from several threads."""


def adopt(body: Any, made: Forward, padded: Forward, extra: dict[str, Any]) -> Forward | None:
    """`made`, or None when it fails or differs from `padded` on sequences made up for this.

    On success the attention of `body` is ours, and `padded` is not to be used any more.

    Args:
        body: the Transformers model that holds the attention.
        made: the packed form.
        padded: the reference.
        extra: what an input of the model carries beside its ids.
    """
    before = body.config._attn_implementation
    try:
        probe = _probe(body.get_input_embeddings().num_embeddings, extra)
        expected = torch.cat([padded([encoded]) for encoded in probe]).float()
        body.set_attn_implementation(ATTENTION)
        outputs = made(probe).float()
        agrees = _agree(outputs, expected, next(body.parameters()).dtype)
        reason = "packed outputs differ from padded ones"
    except Exception as error:
        agrees, reason = False, f"{type(error).__name__}: {error}"
    if agrees:
        return made
    body.set_attn_implementation(before)
    _log.info("batches are padded", model=type(body).__name__, reason=reason)
    return None


def positions_of(body: Any) -> Callable[[IntArray], IntArray]:
    """How a model numbers the tokens of a sequence.

    RoBERTa's kin number those that are no padding, from the padding token's id on.
    """
    embeddings = getattr(body, "embeddings", None)
    padding = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    if padding is None:
        return counted

    def positions(ids: IntArray) -> IntArray:
        real = ids != padding
        return np.asarray(np.cumsum(real) * real + padding, dtype=np.int64)

    return positions


def arguments_of(what: Pack) -> dict[str, torch.Tensor]:
    """A pack as a Transformers model takes it."""
    given = {"input_ids": what.input_ids, "position_ids": what.position_ids}
    if what.token_types is not None:
        given["token_type_ids"] = what.token_types
    return given


def _probe(vocabulary: int, extra: dict[str, Any]) -> list[Encoded]:
    generator = np.random.default_rng(0)
    return [Encoded(generator.integers(0, vocabulary, n).tolist(), extra) for n in _PROBE_LENGTHS]


def _agree(outputs: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether outputs differ by rounding alone, measured against how much the inputs' differ."""
    if outputs.shape != expected.shape:
        return False
    spread = float((expected.max(0).values - expected.min(0).values).max())
    share, least = (1e-3, 1e-5) if dtype == torch.float32 else (0.1, 1e-2)
    return bool((outputs - expected).abs().max() <= share * spread + least)
