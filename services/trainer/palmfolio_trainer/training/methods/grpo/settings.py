"""Settings of group relative policy optimisation. Imports no torch."""

from typing import Annotated, Literal

from pydantic import Field

from palmfolio_runtime.identity import OUTSIDE
from palmfolio_trainer.training.methods.contract import MethodSettings

LoraTargets = Literal["all", "attention", "mlp"]


class GrpoSettings(MethodSettings):
    """Group relative policy optimisation with LoRA; one update for each batch of completions.

    The weights of the traits are not here: they belong to the policy, not to the method.
    """

    method: Literal["grpo"] = "grpo"
    steps: int = Field(10, ge=1, le=100_000)
    """Optimiser steps."""
    learning_rate: float = Field(5e-4, gt=0, le=1, allow_inf_nan=False)
    """Of AdamW; falls linearly to 0 over the steps."""
    lora_rank: int = Field(16, ge=1, le=256)
    """Rank of the adapter's matrices."""
    lora_alpha: float = Field(32.0, gt=0, le=4096, allow_inf_nan=False)
    """The adapter's update is scaled by `lora_alpha / lora_rank`."""
    lora_targets: LoraTargets = "all"
    """Which linear layers of each block carry an adapter."""
    prompts_per_step: int = Field(4, ge=1, le=4096)
    """Distinct prompts in a step."""
    completions_per_prompt: int = Field(8, ge=2, le=4096)
    """Size of a group: advantages are relative to the group's mean reward."""
    completions_per_pass: Annotated[int, OUTSIDE] = Field(8, ge=1, le=4096)
    """Completions in one forward and backward pass: bounds memory and changes no result."""
    max_completion_tokens: int = Field(32, ge=1, le=32_768)
    """Length of a completion at most, its end token included."""
    temperature: float = Field(1.0, gt=0, le=10, allow_inf_nan=False)
    """Of sampling while training."""
    kl_coefficient: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Weight of the KL divergence from the initial policy; above 0 costs a further pass."""

    @property
    def total_steps(self) -> int:
        """Optimiser steps."""
        return self.steps
