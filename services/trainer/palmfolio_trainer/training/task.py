"""What every training method takes and gives. Imports no torch."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

RewardFunction = Callable[[list[str], list[str]], npt.NDArray[np.float64]]
"""(prompts, completions), n of each -> normalised rewards (n, d), columns in the traits' order."""

StopCheck = Callable[[], bool]
"""Whether the training is to stop; asked between decoding steps."""


@dataclass(frozen=True)
class Progress:
    """One finished step.

    Attributes:
        step: from 1 to `steps`.
        rewards: mean normalised reward of each trait over the step's completions, which were
            sampled before the step's update.
        reward: their weighted sum.
        completion_tokens: mean length of the completions.
        seconds: wall time since the training began, loading included.
    """

    step: int
    steps: int
    rewards: Mapping[str, float]
    reward: float
    loss: float
    completion_tokens: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """What a training left behind.

    Attributes:
        output_dir: holds `adapter_model.safetensors` and `adapter_config.json`.
        history: one entry per step.
        seconds: wall time by stage: `load`, `sample`, `reward`, `update`, `save`.
    """

    output_dir: Path
    history: tuple[Progress, ...]
    seconds: Mapping[str, float]


class TrainingCancelled(Exception):
    """`should_stop` said so; nothing was written."""


class RewardError(RuntimeError):
    """The reward function gave rewards that cannot be trained on."""


class Method(Protocol):
    """Trains one policy and writes its adapter."""

    def __call__(
        self,
        *,
        base_path: Path,
        output_dir: Path,
        prompts: Sequence[str],
        weights: Mapping[str, float],
        traits: Sequence[str],
        reward_function: RewardFunction,
        config: Any,
        seed: int,
        initial_adapter: Path | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: StopCheck | None = None,
    ) -> TrainingResult:
        """
        Args:
            base_path: directory of the base model (`models.resolve_base_model`).
            output_dir: made if missing; the caller renames it when it is complete.
            prompts: user messages; the base model's chat template is applied to them.
            weights: weight of each trait, >= 0; a trait left out weighs 0.
            traits: names of the reward function's columns.
            config: the method's own settings.
            initial_adapter: LoRA adapter to start from; None starts from the base model.
            on_progress: called after each step.

        Raises:
            ValueError: an argument is wrong; the message names it.
            RewardError: rewards of a wrong shape, or not finite.
            TrainingCancelled: `should_stop` returned True.
        """


@dataclass(frozen=True)
class MethodEntry:
    """Where a method lives, so that its libraries load only when it is used."""

    config_type: type[BaseModel]
    module: str
    function: str

    def load(self) -> Method:
        """Imports the method."""
        method: Method = getattr(importlib.import_module(self.module), self.function)
        return method


def weight_vector(weights: Mapping[str, float], traits: Sequence[str]) -> npt.NDArray[np.float64]:
    """Weights in the traits' order, scaled to sum to 1.

    Raises:
        ValueError: naming `weights`, for an unknown trait or a vector without a direction.
    """
    unknown = sorted(set(weights) - set(traits))
    if unknown:
        raise ValueError(f"weights: unknown trait {unknown[0]!r}; known: {', '.join(traits)}")
    vector = np.array([weights.get(trait, 0.0) for trait in traits], dtype=np.float64)
    if not np.isfinite(vector).all() or (vector < 0).any() or vector.sum() <= 0:
        raise ValueError("weights: must be finite and >= 0, with at least one above 0")
    normalised: npt.NDArray[np.float64] = vector / vector.sum()
    return normalised


def check_rewards(
    rewards: npt.ArrayLike, count: int, traits: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Rewards as (count, d) float64.

    Raises:
        RewardError: the shape is wrong, or a reward is NaN or infinite; the message names its
            trait. A missing reward must never count as 0.
    """
    array = np.asarray(rewards, dtype=np.float64)
    if array.shape != (count, len(traits)):
        raise RewardError(
            f"the reward function gave rewards of shape {array.shape} for {count} completions "
            f"and {len(traits)} traits"
        )
    bad = ~np.isfinite(array)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise RewardError(
            f"trait {traits[column]!r}: reward {array[row, column]} for completion {row} of "
            f"{count}; {int(bad[:, column].sum())} of its rewards are not finite"
        )
    return array
