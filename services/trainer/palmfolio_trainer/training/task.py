"""What a training is given and what it leaves behind: the contract of every method.

Imports no torch: the service validates requests with this room before torch is loaded.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from palmfolio_runtime.prompts import Prompt

RewardFunction = Callable[[list[Prompt], list[str]], npt.NDArray[np.float64]]
"""(prompts, completions), n of each -> normalised rewards (n, d), columns in the traits' order.

NaN where a trait has no reward for a completion (docs/missing-rewards.md)."""

StopCheck = Callable[[], bool]
"""Whether the training should stop; asked between decoding steps."""

Settings = TypeVar("Settings", covariant=True)


@dataclass(frozen=True)
class TrainingTask(Generic[Settings]):
    """Everything that determines a trained policy. Equal tasks give equal adapters.

    Attributes:
        base_path: folder of the base model.
        output_dir: where the adapter is written; made if missing. It does not influence the result.
        prompts: the base model's chat template is applied to their messages. Their references are
            for the rewards; the policy never reads them.
        weights: weight of each trait, >= 0; a trait that is left out weighs 0.
        traits: names of the reward function's columns.
        settings: the method's own settings.
        seed: >= 0; seeds initialisation and sampling.
        base_model: the base model's name, written into the adapter in place of its folder.
        base_revision: the base model's revision, written next to its name.
        initial_adapter: LoRA adapter to start from; None starts from the base model.
    """

    base_path: Path
    output_dir: Path
    prompts: tuple[Prompt, ...]
    weights: Mapping[str, float]
    traits: tuple[str, ...]
    settings: Settings
    seed: int
    base_model: str = "base"
    base_revision: str = ""
    initial_adapter: Path | None = None


@dataclass(frozen=True)
class Progress:
    """One finished step.

    Attributes:
        step: from 1 to `steps`.
        steps: steps of the whole training.
        rewards: mean normalised reward of each trait over the step's completions that have one,
            which were sampled before the step's update. A trait without any is left out.
        reward: mean weighted reward of the completions that have every reward; NaN without any.
        loss: the step's loss, as the method defines it.
        completion_tokens: mean length of the completions, in tokens.
        seconds: wall time since the training began, loading included.
        completions: sampled since the training began.
        unscored: of these, without a reward on a trait that weighs: no update used them.
        empty: of these, nothing but white space and invisible characters.
    """

    step: int
    steps: int
    rewards: Mapping[str, float]
    reward: float
    loss: float
    completion_tokens: float
    seconds: float
    completions: int = 0
    unscored: int = 0
    empty: int = 0


def _ignore(_progress: Progress) -> None:
    """Receives progress that nobody follows."""


def _never() -> bool:
    """The stop check of a training that nobody stops."""
    return False


@dataclass(frozen=True)
class TrainingTools:
    """What a method may call while it trains. None of it changes what equal tasks give.

    Attributes:
        rewards: scores completions; raises `RewardError` when it cannot.
        on_progress: called after each step.
        should_stop: asked between decoding steps.
    """

    rewards: RewardFunction
    on_progress: Callable[[Progress], None] = _ignore
    should_stop: StopCheck = _never


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
    """`should_stop` returned True; no adapter was written."""


class RewardError(RuntimeError):
    """The reward function gave rewards that cannot be trained on."""


def check_task(task: TrainingTask[object]) -> npt.NDArray[np.float64]:
    """The task's weight vector, after a check of what every method needs.

    Returns:
        Weights in the traits' order, (d,), scaled to sum to 1.

    Raises:
        ValueError: prompts, seed or weights are wrong; the message names the field.
    """
    if not task.prompts or not all(
        prompt.messages and all(turn.content for turn in prompt.messages) for prompt in task.prompts
    ):
        raise ValueError("prompts: at least one, none of them empty")
    if task.seed < 0:
        raise ValueError("seed: must be at least 0")
    return weight_vector(task.weights, task.traits)


def weight_vector(weights: Mapping[str, float], traits: Sequence[str]) -> npt.NDArray[np.float64]:
    """Weights in the traits' order, (d,), scaled to sum to 1.

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
        RewardError: the shape is wrong, or a reward is infinite; the message names its trait. NaN
            stands for a missing reward, which must never count as 0.
    """
    array = np.asarray(rewards, dtype=np.float64)
    if array.shape != (count, len(traits)):
        raise RewardError(
            f"the reward function gave rewards of shape {array.shape} for {count} completions "
            f"and {len(traits)} traits"
        )
    bad = np.isinf(array)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise RewardError(
            f"trait {traits[column]!r}: reward {array[row, column]} for completion {row} of "
            f"{count}; {int(bad[:, column].sum())} of its rewards are infinite"
        )
    return array
