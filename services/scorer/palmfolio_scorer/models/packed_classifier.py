"""Classifiers and reward models over packed sequences, where their architecture allows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from palmfolio_runtime.logs import get_logger
from palmfolio_scorer.models.base import Encoded
from palmfolio_scorer.models.packing import (
    ATTENTION,
    IntArray,
    counted,
    current_pack,
    pack,
    packed,
)

_log = get_logger(__name__)

_PROBE_LENGTHS = (3, 17, 9)
Padded = Callable[[Sequence[Encoded]], torch.Tensor]
"""Logits (B, K) of a padded batch: what packed ones must agree with."""


@dataclass(frozen=True)
class PackedClassifier:
    """Computes a classifier's logits without padding. Safe to call from several threads."""

    device: str
    rows: Callable[[Sequence[Encoded]], list[int]]
    """The token of each sequence that the head reads."""
    run: Callable[..., torch.Tensor]
    positions: Callable[[IntArray], IntArray] = counted
    rows_alone: torch.nn.Module | None = None

    def __call__(self, batch: Sequence[Encoded]) -> torch.Tensor:
        """Logits (B, K)."""
        what = pack(
            batch,
            self.rows(batch),
            self.device,
            positions=self.positions,
            rows_alone=self.rows_alone,
        )
        given = {"input_ids": what.input_ids, "position_ids": what.position_ids}
        if what.token_types is not None:
            given["token_type_ids"] = what.token_types
        with packed(what):
            return self.run(**given)


def packed_classifier(
    model: Any, padded: Padded, pad_id: int | None, device: str
) -> PackedClassifier | None:
    """A model's packed form, or None where it has none or would not agree with the padded one.

    On success the model's attention is ours, so `padded` is not to be used any more.

    Args:
        model: a Transformers classifier, or a score model of `score_head.py`.
        padded: the reference.
        pad_id: a decoder's head skips this token at the end of a sequence; None for nothing.
        device: where the model is.
    """
    body = getattr(model, "backbone", None) or getattr(model, "base_model", None)
    if body is None or not hasattr(body, "set_attn_implementation"):
        return None
    before = body.config._attn_implementation
    made = _first_token(model, body, device) or _last_token(model, body, pad_id, device)
    if made is None:
        return None
    probe = _probe(body)
    expected = torch.cat([padded([encoded]) for encoded in probe]).float()
    target = model if hasattr(model, "set_attn_implementation") else body
    try:
        target.set_attn_implementation(ATTENTION)
        logits = made(probe).float()
        agrees = _agree(logits, expected, next(body.parameters()).dtype)
        reason = "its packed rewards differ from its padded ones"
    except Exception as error:
        agrees, reason = False, f"{type(error).__name__}: {error}"
    if agrees:
        return made
    target.set_attn_implementation(before)
    _log.info("batches are padded", model=type(model).__name__, reason=reason)
    return None


def _first_token(model: Any, body: Any, device: str) -> PackedClassifier | None:
    """BERT's family: heads read the first token, so the last layer is computed for it alone."""
    layers = getattr(getattr(body, "encoder", None), "layer", None)
    attention: Any = getattr(layers[-1], "attention", None) if layers else None
    positions = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    if positions is None or not (hasattr(attention, "self") and hasattr(attention, "output")):
        return None

    def keep_rows(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        """(1, T, H) to (B, 1, H): from here on every sequence is its first token."""
        what = current_pack()
        if what is None:
            return None
        return tuple(tensor[0, what.rows][:, None] for tensor in arguments)

    attention.output.register_forward_pre_hook(keep_rows)
    return PackedClassifier(
        device=device,
        positions=_positions_around(positions.padding_idx),
        rows=lambda batch: [0] * len(batch),
        run=lambda **given: model(**given).logits,
        rows_alone=attention.self,
    )


def _positions_around(padding: int | None) -> Callable[[IntArray], IntArray]:
    """RoBERTa counts the tokens that are no padding, from the padding token's id on."""
    if padding is None:
        return counted

    def positions(ids: IntArray) -> IntArray:
        real = ids != padding
        return np.asarray(np.cumsum(real) * real + padding, dtype=np.int64)

    return positions


def _last_token(model: Any, body: Any, pad_id: int | None, device: str) -> PackedClassifier | None:
    """Decoders: a linear head reads the last token."""
    head = getattr(model, "score", None) or getattr(model, "score_head", None)
    if not isinstance(head, torch.nn.Linear):
        return None

    def rows(batch: Sequence[Encoded]) -> list[int]:
        return [_last_row(encoded.ids, pad_id) for encoded in batch]

    def run(**given: torch.Tensor) -> torch.Tensor:
        what = current_pack()
        assert what is not None
        given.pop("token_type_ids", None)
        hidden = body(**given, use_cache=False).last_hidden_state
        logits: torch.Tensor = head(hidden[0, what.rows])
        return logits

    return PackedClassifier(device=device, rows=rows, run=run)


def _last_row(ids: Sequence[int], pad_id: int | None) -> int:
    """Where Transformers reads a decoder's answer: the last token that is not padding."""
    for row in range(len(ids) - 1, -1, -1):
        if ids[row] != pad_id:
            return row
    return 0


def _probe(body: Any) -> list[Encoded]:
    vocabulary = body.get_input_embeddings().num_embeddings
    generator = np.random.default_rng(0)
    return [Encoded(generator.integers(0, vocabulary, n).tolist()) for n in _PROBE_LENGTHS]


def _agree(logits: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether logits differ by rounding alone, measured against how much the inputs' differ."""
    if logits.shape != expected.shape:
        return False
    spread = float((expected.max(0).values - expected.min(0).values).max())
    share, least = (1e-3, 1e-5) if dtype == torch.float32 else (0.1, 1e-2)
    return bool((logits - expected).abs().max() <= share * spread + least)
