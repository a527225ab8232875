"""Settings of group relative policy optimisation. Imports no torch."""

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from palmfolio_runtime.identity import OUTSIDE
from palmfolio_runtime.settings.training import GRPO_RANGES
from palmfolio_trainer.training.methods.contract import MethodSettings

LoraTargets = Literal["all", "attention", "mlp"]


class GrpoSettings(MethodSettings):
    """Group relative policy optimisation with LoRA; one update for each batch of completions.

    The weights of the traits are not here: they belong to the policy, not to the method.
    """

    method: Literal["grpo"] = "grpo"
    steps: int = 10
    """Optimiser steps."""
    learning_rate: float = 5e-4
    """Of AdamW; falls linearly to 0 over the steps."""
    lora_rank: int = 16
    """Rank of the adapter's matrices."""
    lora_alpha: float = 32.0
    """The adapter's update is scaled by `lora_alpha / lora_rank`."""
    lora_targets: LoraTargets = "all"
    """Which linear layers of each block carry an adapter."""
    prompts_per_step: int = 4
    """Distinct prompts in a step."""
    completions_per_prompt: int = 8
    """Size of a group: advantages are relative to the group's mean reward."""
    completions_per_pass: Annotated[int, OUTSIDE] = Field(8, ge=1, le=4096)
    """Completions in one forward and backward pass: bounds memory and changes no result."""
    max_completion_tokens: int = 32
    """Length of a completion at most, its end token included."""
    temperature: float = 1.0
    """Of sampling while training."""
    kl_coefficient: float = 0.0
    """Weight of the KL divergence from the initial policy; above 0 costs a further pass."""

    @field_validator(*GRPO_RANGES)
    @classmethod
    def _in_range(cls, value: float, info: ValidationInfo) -> float:
        """The ranges are the runtime's, because the selector checks them, too."""
        allowed = GRPO_RANGES[str(info.field_name)]
        if value in allowed:
            return value
        raise PydanticCustomError(
            "out_of_range", "{value} is not {allowed}", {"value": value, "allowed": str(allowed)}
        )

    @property
    def total_steps(self) -> int:
        """Optimiser steps."""
        return self.steps
