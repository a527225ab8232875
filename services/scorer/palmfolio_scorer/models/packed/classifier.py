"""Classifiers and reward models over packed sequences, where their architecture allows it."""

from collections.abc import Sequence
from typing import Any

import torch

from palmfolio_scorer.models.model import Encoded
from palmfolio_scorer.models.onednn import OneDnnLinear
from palmfolio_scorer.models.packed.form import Forward, adopt, arguments_of, positions_of
from palmfolio_scorer.models.packed.sequences import current_pack, pack, packed


def packed_classifier(
    model: Any, padded: Forward, pad_id: int | None, device: str
) -> Forward | None:
    """A model's packed form, or None where it has none or would not agree with the padded one.

    Args:
        model: a Transformers classifier, or a score model of `score_head.py`.
        padded: the reference; not to be used any more on success.
        pad_id: a decoder's head skips this token at the end of a sequence; None for nothing.
        device: where the model is.
    """
    body = getattr(model, "backbone", None) or getattr(model, "base_model", None)
    if body is None or not hasattr(body, "set_attn_implementation"):
        return None
    made = _first_token(model, body, device) or _last_token(model, body, pad_id, device)
    return None if made is None else adopt(body, made, padded, {})


def _first_token(model: Any, body: Any, device: str) -> Forward | None:
    """BERT's family: heads read the first token, so the last layer is computed for it alone."""
    layers = getattr(getattr(body, "encoder", None), "layer", None)
    attention: Any = getattr(layers[-1], "attention", None) if layers else None
    if not (hasattr(attention, "self") and hasattr(attention, "output")):
        return None
    positions = positions_of(body)

    def keep_rows(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        """(1, T, H) to (B, 1, H): from here on every sequence is its first token."""
        what = current_pack()
        if what is None:
            return None
        return tuple(tensor[0, what.rows][:, None] for tensor in arguments)

    attention.output.register_forward_pre_hook(keep_rows)

    def logits(batch: Sequence[Encoded]) -> torch.Tensor:
        what = pack(
            batch,
            [[0]] * len(batch),
            device,
            positions=positions,
            rows_alone=attention.self,
        )
        with packed(what):
            result: torch.Tensor = model(**arguments_of(what)).logits
        return result

    return logits


def _last_token(model: Any, body: Any, pad_id: int | None, device: str) -> Forward | None:
    """Decoders: a linear head reads the last token."""
    head = getattr(model, "score", None) or getattr(model, "score_head", None)
    if not isinstance(head, torch.nn.Linear | OneDnnLinear):
        return None

    def logits(batch: Sequence[Encoded]) -> torch.Tensor:
        what = pack(batch, [[_last_row(encoded.ids, pad_id)] for encoded in batch], device)
        with packed(what):
            given = arguments_of(what)
            given.pop("token_type_ids", None)
            hidden = body(**given, use_cache=False).last_hidden_state
            result: torch.Tensor = head(hidden[0, what.rows])
        return result

    return logits


def _last_row(ids: Sequence[int], pad_id: int | None) -> int:
    """Where Transformers reads a decoder's answer: the last token that is not padding."""
    for row in range(len(ids) - 1, -1, -1):
        if ids[row] != pad_id:
            return row
    return 0
