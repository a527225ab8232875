"""Batched sampling of several completions per prompt.

It differs from Transformers' `generate` in three ways that matter on a CPU: a prompt is read once
for all its completions, completions that have ended leave the batch, and a token costs one uniform
number instead of one per vocabulary entry. Each completion has random numbers of its own, so it
does not depend on what else is in the batch, except for rounding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import DynamicCache

from palmfolio_trainer.sampling.backend import SamplingCancelled


@dataclass(frozen=True)
class DecodingSettings:
    """Settings of sampling one token after the other.

    Attributes:
        max_tokens: length of a completion at most, its end token included.
        temperature: above 0 and at most 10; logits are divided by it.
        top_p: only the smallest set of tokens with at least this probability is sampled from;
            1 means no limit.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        """
        Raises:
            ValueError: naming the field that is out of range.
        """
        if self.max_tokens < 1:
            raise ValueError("max_tokens: must be at least 1")
        if not 0 < self.temperature <= 10:
            raise ValueError("temperature: must be above 0 and at most 10")
        if not 0 < self.top_p <= 1:
            raise ValueError("top_p: must be above 0 and at most 1")


def uniforms(seed: Sequence[int], length: int) -> npt.NDArray[np.float32]:
    """The random numbers of one completion, in [0, 1), determined by `seed` (entries >= 0)."""
    return np.random.default_rng(list(seed)).random(length, dtype=np.float32)


def end_token_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a completion: the tokenizer's, and those that the model declares."""
    declared = model.generation_config.eos_token_id
    declared = [] if declared is None else declared if isinstance(declared, list) else [declared]
    return sorted({*declared, tokenizer.eos_token_id} - {None})


@torch.inference_mode()
def sample(
    model: Any,
    prompts: Sequence[Sequence[int]],
    uniform_numbers: npt.NDArray[np.float32],
    settings: DecodingSettings,
    *,
    end_tokens: Sequence[int],
    pad_token: int,
    cancelled: Callable[[], bool] | None = None,
) -> list[list[int]]:
    """Samples `len(uniform_numbers) / len(prompts)` completions of each prompt.

    Args:
        model: a causal language model.
        prompts: token ids, each not empty; any lengths.
        uniform_numbers: (n, max_tokens) in [0, 1), prompt by prompt.
        end_tokens: token ids after which a completion ends.
        cancelled: asked before each token.

    Returns:
        Token ids of n completions in the same order. One that ended before `max_tokens` has an
        end token as its last.

    Raises:
        SamplingCancelled: `cancelled` returned True.
    """
    device = model.device
    count = len(uniform_numbers)
    repeats = count // len(prompts)
    ids, mask = (tensor.to(device) for tensor in _padded(prompts, pad_token))
    random = torch.from_numpy(uniform_numbers).to(device)
    ends = torch.tensor(list(end_tokens), device=device)
    cache = DynamicCache(config=model.config)
    # Positions count only real tokens; those of padding are masked and may be anything.
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    completions: list[list[int]] = [[] for _ in range(count)]
    running = list(range(count))
    for step in range(settings.max_tokens):
        if cancelled is not None and cancelled():
            raise SamplingCancelled
        logits = _last_logits(model, ids, mask, positions, cache)
        positions = positions[:, -1:]
        # The prompt was read once; from here on each of its completions has its own row.
        if step == 0:
            logits, mask, positions = (
                x.repeat_interleave(repeats, 0) for x in (logits, mask, positions)
            )
            cache.batch_repeat_interleave(repeats)
        tokens = _choose(logits, random[:, step], settings)
        for row, token in zip(running, tokens.tolist(), strict=True):
            completions[row].append(token)
        keep = (~torch.isin(tokens, ends)).nonzero().flatten()
        if len(keep) == 0:
            break
        if len(keep) < len(running):
            tokens, mask, positions, random = (x[keep] for x in (tokens, mask, positions, random))
            cache.batch_select_indices(keep)
            running = [running[i] for i in keep.tolist()]
        ids = tokens[:, None]
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        positions = positions + 1
    return completions


def _padded(prompts: Sequence[Sequence[int]], pad_token: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (n, width) of prompts, and the mask of the same shape: 0 for padding."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_token)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    # Padding is on the left: the last column then holds every prompt's last token.
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids, mask


def _last_logits(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    positions: torch.Tensor,
    cache: DynamicCache,
) -> torch.Tensor:
    """The logits (n, vocabulary) of the next token; what the model read is added to the cache."""
    logits: torch.Tensor = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        # An index, not a count: the slice of a count makes the projection copy its weights.
        logits_to_keep=torch.tensor([ids.shape[1] - 1], device=ids.device),
    ).logits
    return logits[:, -1]


def _choose(logits: torch.Tensor, random: torch.Tensor, settings: DecodingSettings) -> torch.Tensor:
    """One token per row by inversion of the cumulative probabilities: (n, vocabulary) -> (n,)."""
    probabilities = torch.softmax(logits.float() / settings.temperature, dim=-1)
    order = None
    if settings.top_p < 1:
        probabilities, order = probabilities.sort(dim=-1, descending=True)
        before = probabilities.cumsum(-1) - probabilities
        # A token stays if the likelier ones have less than top_p together: the first always stays.
        probabilities = probabilities.masked_fill(before >= settings.top_p, 0.0)
    cumulative = probabilities.cumsum(-1)
    # Strictly below the total, so that a token of probability 0 is never chosen.
    target = (random[:, None] * cumulative[:, -1:]).contiguous()
    chosen = torch.searchsorted(cumulative, target, right=True).clamp(max=cumulative.shape[-1] - 1)
    return (chosen if order is None else order.gather(-1, chosen))[:, 0]
