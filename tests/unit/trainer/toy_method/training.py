"""The toy's training: its adapter is the mean reward."""

import json

import numpy as np
from safetensors.numpy import save_file

from palmfolio_trainer.training.task import (
    Progress,
    TrainingCancelled,
    TrainingResult,
    TrainingTask,
    TrainingTools,
    check_rewards,
    check_task,
)
from tests.unit.trainer.toy_method.settings import ToySettings


def train(task: TrainingTask[ToySettings], tools: TrainingTools) -> TrainingResult:
    """Scores each prompt's echo, and writes the mean."""
    weights = check_task(task)
    history = []
    steps = task.settings.repeats
    for step in range(1, steps + 1):
        if tools.should_stop():
            raise TrainingCancelled
        prompts = list(task.prompts)
        echoes = [prompt.plain_text for prompt in prompts]
        rewards = check_rewards(tools.rewards(prompts, echoes), len(prompts), task.traits)
        means = rewards.mean(axis=0)
        by_trait = dict(zip(task.traits, means.tolist(), strict=True))
        history.append(Progress(step, steps, by_trait, float(means @ weights), 0.0, 1.0, 0.0))
        tools.on_progress(history[-1])
    task.output_dir.mkdir(parents=True, exist_ok=True)
    save_file({"means": means.astype(np.float32)}, task.output_dir / "adapter_model.safetensors")
    config = {"base_model_name_or_path": str(task.base_path)}
    (task.output_dir / "adapter_config.json").write_text(json.dumps(config))
    (task.output_dir / "README.md").write_text("a model card")
    return TrainingResult(task.output_dir, tuple(history), {})
