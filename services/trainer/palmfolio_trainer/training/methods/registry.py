"""Training methods, each a module of its own behind one signature (`base.Method`)."""

from palmfolio_trainer.training.methods.grpo.settings import GrpoConfig
from palmfolio_trainer.training.task import (
    Method,
    MethodEntry,
    Progress,
    RewardError,
    RewardFunction,
    StopCheck,
    TrainingCancelled,
    TrainingResult,
)

METHODS = {
    "grpo": MethodEntry(GrpoConfig, "palmfolio_trainer.training.methods.grpo.method", "train_grpo"),
}


def preload() -> None:
    """Imports what a training needs, so that a process started ahead of its job is ready."""
    for entry in METHODS.values():
        entry.load()


__all__ = [
    "METHODS",
    "GrpoConfig",
    "Method",
    "MethodEntry",
    "Progress",
    "RewardError",
    "RewardFunction",
    "StopCheck",
    "TrainingCancelled",
    "TrainingResult",
    "preload",
]
