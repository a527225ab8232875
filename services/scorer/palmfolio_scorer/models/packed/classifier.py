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
    """A model's packed form; None where it has none, or its outputs differ from the padded form's.

    Args:
        model: a Transformers classifier, or a score model of `classifiers/score_head.py`.
        padded: the padded form, the reference; do not use it after success.
        pad_id: a decoder's head skips this token at the end of a sequence; None: it skips nothing.
        device: where the model is.
    """
    body = getattr(model, "backbone", None) or getattr(model, "base_model", None)
    if body is None or not hasattr(body, "set_attn_implementation"):
        return None
    form = _first_token(model, body, device) or _last_token(model, body, pad_id, device)
    return None if form is None else adopt(body, form, padded, {})


def _first_token(model: Any, body: Any, device: str) -> Forward | None:
    """BERT's family: heads read the first token, so the last layer is computed for it only."""
    layers = getattr(getattr(body, "encoder", None), "layer", None)
    attention: Any = getattr(layers[-1], "attention", None) if layers else None
    if not (hasattr(attention, "self") and hasattr(attention, "output")):
        return None
    positions = positions_of(body)

    def keep_rows(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        """(1, T, H) to (B, 1, H): from here on every sequence is its first token."""
        sequences = current_pack()
        if sequences is None:
            return None
        return tuple(tensor[0, sequences.read_positions][:, None] for tensor in arguments)

    attention.output.register_forward_pre_hook(keep_rows)

    def logits(batch: Sequence[Encoded]) -> torch.Tensor:
        sequences = pack(
            batch,
            [[0]] * len(batch),
            device,
            positions=positions,
            first_only=attention.self,
        )
        with packed(sequences):
            result: torch.Tensor = model(**arguments_of(sequences)).logits
        return result

    return logits


def _last_token(model: Any, body: Any, pad_id: int | None, device: str) -> Forward | None:
    """Decoders: a linear head reads the last token."""
    head = getattr(model, "score", None) or getattr(model, "score_head", None)
    if not isinstance(head, torch.nn.Linear | OneDnnLinear):
        return None

    def logits(batch: Sequence[Encoded]) -> torch.Tensor:
        sequences = pack(
            batch, [[_last_token_read(encoded.ids, pad_id)] for encoded in batch], device
        )
        with packed(sequences):
            arguments = arguments_of(sequences)
            arguments.pop("token_type_ids", None)
            hidden = body(**arguments, use_cache=False).last_hidden_state
            result: torch.Tensor = head(hidden[0, sequences.read_positions])
        return result

    return logits


def _last_token_read(ids: Sequence[int], pad_id: int | None) -> int:
    """The position where Transformers reads a decoder's answer: the last that is not padding."""
    for position in range(len(ids) - 1, -1, -1):
        if ids[position] != pad_id:
            return position
    return 0
