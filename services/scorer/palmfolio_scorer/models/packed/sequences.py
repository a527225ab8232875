"""Padding-free forward passes: the sequences of a batch lie one after another in one row.

Transformers calls the attention function that a model's configuration names. The function here
knows, per thread, where the sequences of the row begin and end, and keeps them apart. Nothing else
in a Transformer mixes tokens, as long as each token comes with its position.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from palmfolio_scorer.models.device import to_device
from palmfolio_scorer.models.model import Encoded

ATTENTION = "palmfolio_packed"
"""Name under which `packed_attention` is registered with Transformers."""

IntArray: TypeAlias = npt.NDArray[np.int64]

# Options of attention that change its result, and that `packed_attention` does not implement.
_NOT_SUPPORTED = ("softcap", "sliding_window", "s_aux", "position_bias")


@dataclass(frozen=True, slots=True)
class Pack:
    """Sequences in one row of T tokens."""

    input_ids: torch.Tensor
    """(1, T), int64."""
    position_ids: torch.Tensor
    """(1, T), int64."""
    token_types: torch.Tensor | None
    """(1, T), int64; None where the tokeniser gives none."""
    bounds: tuple[int, ...]
    """(B + 1,) first tokens of the sequences: sequence i is bounds[i] … bounds[i + 1] - 1."""
    starts: torch.Tensor
    """(B + 1,) `bounds` on the device, int32."""
    read_positions: torch.Tensor
    """(R,) positions of the tokens that the model's head reads, sequence after sequence, int64."""
    first_only: torch.nn.Module | None
    """The attention layer whose output is needed only for each sequence's first token; None if all
    layers need all tokens."""

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(end - start for start, end in pairwise(self.bounds))


def counted(ids: IntArray) -> IntArray:
    """Positions from 0."""
    return np.arange(len(ids))


def pack(
    batch: Sequence[Encoded],
    read_positions: Sequence[Sequence[int]],
    device: str,
    *,
    positions: Callable[[IntArray], IntArray] = counted,
    first_only: torch.nn.Module | None = None,
) -> Pack:
    """Lays sequences one after another.

    Args:
        batch: B sequences.
        read_positions: (B,) positions of the tokens that the head reads, counted within each
            sequence.
        device: where the tensors go.
        positions: from a sequence's ids to the positions that the model is given.
        first_only: see `Pack`.
    """
    ids = [np.asarray(encoded.ids, dtype=np.int64) for encoded in batch]
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in ids])])

    def row(arrays: Sequence[IntArray]) -> torch.Tensor:
        return to_device(np.concatenate(arrays).astype(np.int64), device)[None]

    types = [np.asarray(encoded.extra.get("types", ()), dtype=np.int64) for encoded in batch]
    with_types = all("types" in encoded.extra for encoded in batch)
    return Pack(
        input_ids=row(ids),
        position_ids=row([positions(own) for own in ids]),
        token_types=row(types) if with_types else None,
        bounds=tuple(bounds.tolist()),
        starts=row([bounds])[0].to(torch.int32),
        read_positions=row(
            [first + np.asarray(own) for first, own in zip(bounds, read_positions, strict=False)]
        )[0],
        first_only=first_only,
    )


class _Current(threading.local):
    """The pack that this thread's forward pass works on."""

    pack: Pack | None = None


_current = _Current()


def current_pack() -> Pack | None:
    """The pack that this thread's forward pass works on; None outside of `packed`."""
    return _current.pack


@contextmanager
def packed(sequences: Pack) -> Iterator[None]:
    """Within the block, this thread's forward passes are over `sequences`."""
    _current.pack = sequences
    try:
        yield
    finally:
        _current.pack = None


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each sequence of the current pack, with Transformers' signature.

    Without a current pack it is Transformers' own attention.

    Args:
        module: the attention layer; its `is_causal` counts where the argument is None.
        query: (1, heads, T, head size).
        key: (1, key heads, T, head size); heads is a multiple of key heads.
        value: as `key`.
        attention_mask: unused: the bounds of the sequences are the mask.
        scaling: factor of the scores; None means 1/√head size.
        is_causal: a token sees only those before it.
        options: other options of the model.

    Returns:
        (1, T, heads, head size), and no attention weights.

    Raises:
        NotImplementedError: the model uses an option that this attention does not implement.
    """
    sequences = _current.pack
    if sequences is None:
        output, _ = sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            scaling=scaling,
            is_causal=is_causal,
            **options,
        )
        return output, None
    if wanted := [name for name in _NOT_SUPPORTED if options.get(name) is not None]:
        raise NotImplementedError(f"packed attention has no {', '.join(wanted)}")
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    if query.is_cuda:
        return _on_cuda(sequences, query, key, value, scaling, causal), None
    return _one_by_one(sequences, module, query, key, value, scaling, causal), None


def _one_by_one(
    sequences: Pack,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    causal: bool,
) -> torch.Tensor:
    """One call per sequence: on a CPU a call costs little compared to its work."""
    output = query.new_empty(query.shape).transpose(1, 2)
    grouped = query.shape[1] != key.shape[1]
    first_only = module is sequences.first_only
    for start, end in pairwise(sequences.bounds):
        # Later rows of `output` stay uninitialised in the `first_only` layer; no one reads them.
        last = start + 1 if first_only else end
        attended = functional.scaled_dot_product_attention(
            query[:, :, start:last],
            key[:, :, start:end],
            value[:, :, start:end],
            scale=scaling,
            is_causal=causal,
            enable_gqa=grouped,
        )
        output[:, start:last] = attended.transpose(1, 2)
    return output


def _on_cuda(
    sequences: Pack,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    causal: bool,
) -> torch.Tensor:
    """One kernel for all sequences: FlashAttention's, which takes half precision only."""
    from torch.nn.attention.varlen import varlen_attn

    attended = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        sequences.starts,
        sequences.starts,
        sequences.longest,
        sequences.longest,
        scale=scaling,
        window_size=(-1, 0) if causal else (-1, -1),
        enable_gqa=query.shape[1] != key.shape[1],
        num_splits=1,  # otherwise a sequence's last digits depend on its neighbours
    )
    assert isinstance(attended, torch.Tensor)
    return attended[None]


AttentionInterface.register(ATTENTION, packed_attention)
