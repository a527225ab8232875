"""Runs one training with the method that its settings name."""

import json

from palmfolio_trainer.training.methods.contract import MethodSettings
from palmfolio_trainer.training.methods.registry import METHODS
from palmfolio_trainer.training.task import TrainingResult, TrainingTask, TrainingTools

_CONFIG = "adapter_config.json"
_MODEL_CARD = "README.md"


def run(task: TrainingTask[MethodSettings], tools: TrainingTools) -> TrainingResult:
    """Trains a policy and leaves in `task.output_dir` only what belongs to its adapter.

    Raises:
        ValueError, RewardError, TrainingCancelled: see `contract.TrainFunction`.
    """
    result = METHODS[task.settings.method].load()(task, tools)
    # PEFT adds a model card for its hub; it is not part of the adapter.
    (task.output_dir / _MODEL_CARD).unlink(missing_ok=True)
    _name_base_model(task)
    return result


def _name_base_model(task: TrainingTask[MethodSettings]) -> None:
    """Writes the base model's name and revision in place of its folder.

    PEFT writes the folder that the base model was loaded from. With it, the same training would
    give another artifact digest on another machine. Loading never reads the entry: the trainer
    gives PEFT the base model that the policy's spec names.
    """
    path = task.output_dir / _CONFIG
    if not path.exists():  # a method may write something else than a PEFT adapter
        return
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = task.base_model
    config["revision"] = task.base_revision or None
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
