"""Ranges of the settings of training: the selector and the trainer accept the same specs."""

from palmfolio_runtime.settings.ranges import Range, Ranges

SEEDS = Range(0)

GRPO_RANGES: Ranges = {
    "steps": Range(1, 100_000),
    "learning_rate": Range(0, 1, above_low=True),
    "lora_rank": Range(1, 256),
    "lora_alpha": Range(0, 4096, above_low=True),
    "prompts_per_step": Range(1, 4096),
    "completions_per_prompt": Range(2, 4096),
    "max_completion_tokens": Range(1, 32_768),
    "temperature": Range(0, 10, above_low=True),
    "kl_coefficient": Range(0),
}
"""By field of `GrpoConfig`; protos/palmfolio/v1/trainer.proto states them, too."""
