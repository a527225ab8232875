"""Packed forms: a model's outputs without padding, adopted only where they are the same."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.models.model import Encoded
from palmfolio_scorer.models.packed.sequences import ATTENTION, IntArray, Pack, counted

_log = get_logger(__name__)

_PROBE_LENGTHS = (3, 17, 9)
"""Tokens of the sequences on which both forms are compared."""
Forward: TypeAlias = Callable[[Sequence[Encoded]], torch.Tensor]
"""From a batch to its outputs (B, K). Safe to call from several threads."""


def adopt(body: Any, form: Forward, padded: Forward, extra: dict[str, Any]) -> Forward | None:
    """Returns `form`, or None when it fails or differs from `padded` on a few random sequences.

    On success `body` keeps the packed attention, and `padded` must not be used any more.

    Args:
        body: the Transformers model that holds the attention.
        form: the packed form.
        padded: the padded form, the reference.
        extra: `Encoded.extra` of the model's inputs.
    """
    before = body.config._attn_implementation
    try:
        probe = _probe(body.get_input_embeddings().num_embeddings, extra)
        expected = torch.cat([padded([encoded]) for encoded in probe]).float()
        # After the padded outputs: from here on `body` runs the packed attention.
        body.set_attn_implementation(ATTENTION)
        outputs = form(probe).float()
        agrees = agree(outputs, expected, next(body.parameters()).dtype)
        reason = "packed outputs differ from padded ones"
    except Exception as error:
        agrees, reason = False, f"{type(error).__name__}: {error}"
    if agrees:
        return form
    body.set_attn_implementation(before)
    _log.info("batches are padded", model=type(body).__name__, reason=reason)
    return None


def positions_of(body: Any) -> Callable[[IntArray], IntArray]:
    """The function by which a model numbers the tokens of a sequence.

    RoBERTa's family counts from the padding token's id, and skips padding tokens.
    """
    embeddings = getattr(body, "embeddings", None)
    padding = getattr(getattr(embeddings, "position_embeddings", None), "padding_idx", None)
    if padding is None:
        return counted

    def positions(ids: IntArray) -> IntArray:
        real = ids != padding
        return np.asarray(np.cumsum(real) * real + padding, dtype=np.int64)

    return positions


def arguments_of(sequences: Pack) -> dict[str, torch.Tensor]:
    """A pack as the keyword arguments of a Transformers model."""
    arguments = {"input_ids": sequences.input_ids, "position_ids": sequences.position_ids}
    if sequences.token_types is not None:
        arguments["token_type_ids"] = sequences.token_types
    return arguments


def _probe(vocabulary: int, extra: dict[str, Any]) -> list[Encoded]:
    generator = np.random.default_rng(0)
    return [Encoded(generator.integers(0, vocabulary, n).tolist(), extra) for n in _PROBE_LENGTHS]


def agree(outputs: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether outputs differ by rounding only, relative to the spread between inputs."""
    if outputs.shape != expected.shape:
        return False
    spread = float((expected.max(0).values - expected.min(0).values).max())
    # bfloat16 and float16 keep 2 to 3 digits, so two orders of operations may differ that much.
    share, least = (1e-3, 1e-5) if dtype == torch.float32 else (0.1, 1e-2)
    return bool((outputs - expected).abs().max() <= share * spread + least)
