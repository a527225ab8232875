"""A small training that takes about a second."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from palmfolio_trainer.training.methods.grpo.method import train_grpo
from palmfolio_trainer.training.methods.registry import GrpoConfig, TrainingResult

TRAITS = ["letters", "others"]
PROMPTS = ["a", "bcd", "ef"]
CONFIG = GrpoConfig(
    steps=2,
    learning_rate=3e-2,
    lora_rank=4,
    prompts_per_step=2,
    completions_per_prompt=4,
    max_completion_tokens=6,
)


def share_of_letters(prompts: list[str], completions: list[str]) -> npt.NDArray[np.float64]:
    """Shares of ASCII letters, and of all else, among a completion's characters."""
    letters = [
        sum(c.isascii() and c.isalpha() for c in text) / max(len(text), 1) for text in completions
    ]
    return np.array([[share, 1 - share] for share in letters])


def train(base_path: Path, output_dir: Path, **changes: Any) -> TrainingResult:
    """Trains for letters, with the changes given."""
    arguments: dict[str, Any] = {
        "prompts": PROMPTS,
        "weights": {"letters": 1.0},
        "traits": TRAITS,
        "reward_function": share_of_letters,
        "config": CONFIG,
        "seed": 0,
    }
    return train_grpo(base_path=base_path, output_dir=output_dir, **{**arguments, **changes})
