"""A small training that takes about a second."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings
from palmfolio_trainer.training.run import run
from palmfolio_trainer.training.task import TrainingResult, TrainingTask, TrainingTools
from tests.support.prompts import text_prompts

TRAITS = ("letters", "others")
PROMPTS = text_prompts("a", "bcd", "ef")
SETTINGS = GrpoSettings(
    steps=2,
    learning_rate=3e-2,
    lora_rank=4,
    prompts_per_step=2,
    completions_per_prompt=4,
    max_completion_tokens=6,
)


def share_of_letters(prompts: list[Prompt], completions: list[str]) -> npt.NDArray[np.float64]:
    """Shares of ASCII letters, and of all else, among a completion's characters."""
    letters = [
        sum(c.isascii() and c.isalpha() for c in text) / max(len(text), 1) for text in completions
    ]
    return np.array([[share, 1 - share] for share in letters])


def task(base_path: Path, output_dir: Path, **changes: Any) -> TrainingTask[Any]:
    """A task that trains for letters, with the fields given changed."""
    fields: dict[str, Any] = {
        "prompts": PROMPTS,
        "weights": {"letters": 1.0},
        "traits": TRAITS,
        "settings": SETTINGS,
        "seed": 0,
    }
    return TrainingTask(base_path=base_path, output_dir=output_dir, **{**fields, **changes})


TOOLS = TrainingTools(share_of_letters)


def train(
    base_path: Path, output_dir: Path, tools: TrainingTools = TOOLS, **changes: Any
) -> TrainingResult:
    """Trains for letters, with the fields of the task given changed."""
    return run(task(base_path, output_dir, **changes), tools)
