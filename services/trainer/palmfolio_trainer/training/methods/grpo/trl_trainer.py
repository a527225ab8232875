"""TRL's GRPO trainer, scoring only the tokens that count."""

from typing import Any

import torch
from trl.trainer.grpo_trainer import GRPOTrainer


class CompactGRPOTrainer(GRPOTrainer):
    """Projects onto the vocabulary only where a sampled token is predicted.

    TRL does so only on GPUs; elsewhere it also projects prompts and padding, which takes a good
    part of the step for a small model with a large vocabulary.

    The override relies on a private method of TRL. A test names it and every other hook
    (tests/unit/trainer_engine/test_library_hooks.py): another TRL fails there, readably.
    """

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        """Log-probabilities, and entropies without gradient, of the last `logits_to_keep` tokens.

        Returns:
            Two (n, logits_to_keep) float32 tensors, 0 where a token is padding, and None (the
            balancing loss of mixture models, which are not supported here).
        """
        log_probs, entropies = [], []
        for ids, mask in zip(
            torch.split(input_ids, batch_size or len(input_ids)),
            torch.split(attention_mask, batch_size or len(input_ids)),
            strict=True,
        ):
            scored = mask[:, -logits_to_keep:].bool()
            predicting = torch.zeros_like(mask, dtype=torch.bool)
            predicting[:, -logits_to_keep - 1 : -1] = scored
            logits = model(
                input_ids=ids, attention_mask=mask, logits_to_keep=predicting, use_cache=False
            ).logits
            logits = logits.reshape(-1, logits.shape[-1]).float() / self.temperature
            chosen = torch.nn.functional.cross_entropy(
                logits, ids[:, -logits_to_keep:][scored], reduction="none"
            ).neg()
            log_probs.append(_scatter(chosen, scored))
            if compute_entropy:
                entropies.append(_scatter(_entropy(logits.detach()), scored))
        return torch.cat(log_probs), torch.cat(entropies) if compute_entropy else None, None


def _scatter(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Values back at their (row, position), 0 elsewhere."""
    return values.new_zeros(where.shape).masked_scatter(where, values)


def _entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of each row's distribution: (n, vocabulary) -> (n,)."""
    probabilities = torch.softmax(logits, dim=-1)
    return torch.logsumexp(logits, dim=-1) - (probabilities * logits).sum(dim=-1)
