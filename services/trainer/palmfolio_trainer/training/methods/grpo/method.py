"""Group relative policy optimisation: TRL's trainer on a LoRA adapter.

The settings follow docs/algorithms.md, section 7: rewards are summed under the policy's weights and
never rescaled, neither per trait nor per group, because either would train for other weights than
those asked for. The loss divides by a constant (Dr. GRPO), which makes the update an unbiased
gradient of the weighted reward; dividing by a completion's length would favour long failures.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset  # type: ignore[import-untyped]
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig as TrlConfig

from palmfolio_runtime.prompts import Prompt
from palmfolio_trainer.models.loading import load_tokenizer
from palmfolio_trainer.sampling.backend import SamplingCancelled
from palmfolio_trainer.sampling.transformers.chat import prompt_ids
from palmfolio_trainer.sampling.transformers.decoding import (
    DecodingSettings,
    end_token_ids,
    sample,
    uniforms,
)
from palmfolio_trainer.sampling.transformers.merging import merged_adapter
from palmfolio_trainer.training.adapters import save_adapter, trainable_model
from palmfolio_trainer.training.methods.grpo.missing_rewards import MissingRewards, usable_rewards
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings
from palmfolio_trainer.training.methods.grpo.trl_trainer import CompactGRPOTrainer
from palmfolio_trainer.training.task import (
    Progress,
    TrainingCancelled,
    TrainingResult,
    TrainingTask,
    TrainingTools,
    check_rewards,
    check_task,
)

# The rollout's extra column, through which TRL hands the rewards on to its reward functions. Its
# name is also the parameter of `_reward_column`.
_REWARDS = "trait_rewards"
# TRL's name for a rollout's mask of the loss.
_LOSS_MASK = "env_mask"


class _Stopwatch:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time spent within."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] += time.monotonic() - start


class _Rollout:
    """Samples a step's completions with merged weights and has them scored in one call."""

    def __init__(
        self,
        task: TrainingTask[GrpoSettings],
        tools: TrainingTools,
        weights: npt.NDArray[np.float64],
        tokenizer: Any,
        stopwatch: _Stopwatch,
    ) -> None:
        settings = task.settings
        self._weights = weights
        self._tokenizer = tokenizer
        self._prompts = task.prompts
        self._traits = task.traits
        self._tools = tools
        self._decoding = DecodingSettings(settings.max_completion_tokens, settings.temperature)
        self._group = settings.completions_per_prompt
        self._seed = task.seed
        self._stopwatch = stopwatch
        self.rewards: npt.NDArray[np.float64] = np.zeros((0, len(self._traits)))
        """Of the last step, (completions, d); NaN where missing."""
        self.missing = MissingRewards(task.traits)
        self.completion_tokens = 0.0
        """Mean length in the last step."""

    def __call__(self, positions: list[str], trainer: Any) -> dict[str, Any]:
        """TRL's `rollout_func`; each position is repeated once per completion of its group."""
        prompts: list[Prompt] = [self._prompts[int(position)] for position in positions]
        distinct = [prompt_ids(self._tokenizer, prompt) for prompt in prompts[:: self._group]]
        completions = self._sample(trainer, distinct, len(prompts))
        texts = self._tokenizer.batch_decode(completions, skip_special_tokens=True)
        with self._stopwatch.stage("reward"):
            rewards = self._tools.rewards(prompts, texts)
        self.rewards = check_rewards(rewards, len(prompts), self._traits)
        self.completion_tokens = float(np.mean([len(ids) for ids in completions]))
        usable = usable_rewards(self.rewards, self._weights, self._group)
        self.missing.count(texts, self.rewards, usable.scored)
        output = {
            "prompt_ids": [ids for ids in distinct for _ in range(self._group)],
            "completion_ids": completions,
            # TRL then takes them from the update's own forward pass.
            "logprobs": None,
            _REWARDS: usable.values.tolist(),
        }
        if not usable.scored.all():
            # Which tokens count in the loss, the term of the KL divergence included.
            output[_LOSS_MASK] = [
                [int(scored)] * len(ids)
                for scored, ids in zip(usable.scored.tolist(), completions, strict=True)
            ]
        return output

    def _sample(
        self, trainer: Any, prompts: Sequence[Sequence[int]], count: int
    ) -> list[list[int]]:
        model = trainer.model
        step = trainer.state.global_step
        # Numbers of their own per step and row: a repeated training samples the same completions.
        numbers = np.stack(
            [uniforms((self._seed, step, row), self._decoding.max_tokens) for row in range(count)]
        )
        # Sampling must not be random in any other way than by its numbers.
        model.eval()
        try:
            with self._stopwatch.stage("sample"), merged_adapter(model):
                return sample(
                    model,
                    prompts,
                    numbers,
                    self._decoding,
                    end_tokens=end_token_ids(model, self._tokenizer),
                    pad_token=self._tokenizer.pad_token_id,
                    cancelled=self._tools.should_stop,
                )
        except SamplingCancelled as stopped:
            raise TrainingCancelled from stopped
        finally:
            model.train()


class _ProgressLog(TrainerCallback):
    """Turns TRL's log of a step into a `Progress`."""

    def __init__(
        self,
        task: TrainingTask[GrpoSettings],
        tools: TrainingTools,
        weights: npt.NDArray[np.float64],
        rollout: _Rollout,
        stopwatch: _Stopwatch,
    ) -> None:
        self._traits = task.traits
        self._tools = tools
        self._weights = weights
        self._rollout = rollout
        self._stopwatch = stopwatch
        self.history: list[Progress] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Called after each step, and once at the end without a loss."""
        if "loss" not in logs:
            return
        rewards, missing = self._rollout.rewards, self._rollout.missing
        # Not `nanmean`, which warns where a trait has no reward at all.
        known = {
            trait: float(column[np.isfinite(column)].mean())
            for trait, column in zip(self._traits, rewards.T, strict=True)
            if np.isfinite(column).any()
        }
        weighted = rewards[:, self._weights > 0] @ self._weights[self._weights > 0]
        weighted = weighted[np.isfinite(weighted)]
        progress = Progress(
            step=state.global_step,
            steps=args.max_steps,
            rewards=known,
            reward=float(weighted.mean()) if len(weighted) else math.nan,
            loss=float(logs["loss"]),
            completion_tokens=self._rollout.completion_tokens,
            seconds=time.monotonic() - self._stopwatch.began,
            completions=missing.completions,
            unscored=missing.unscored,
            empty=missing.empty,
        )
        self.history.append(progress)
        self._tools.on_progress(progress)


def train(task: TrainingTask[GrpoSettings], tools: TrainingTools) -> TrainingResult:
    """Trains one policy; see `contract.TrainFunction` for arguments and errors.

    Equal tasks give equal adapters on the same machine with the same libraries, as far as the
    device's arithmetic is deterministic. With `initial_adapter` the adapter keeps its own rank and
    targets; those of the settings are not used.
    """
    weights = check_task(task)
    settings = task.settings
    stopwatch = _Stopwatch()
    with stopwatch.stage("load"):
        tokenizer = load_tokenizer(task.base_path)
        # Before the adapter is made, whose first matrices are random.
        torch.manual_seed(task.seed)
        model = trainable_model(
            task.base_path,
            task.initial_adapter,
            rank=settings.lora_rank,
            alpha=settings.lora_alpha,
            targets=settings.lora_targets,
        )
        rollout = _Rollout(task, tools, weights, tokenizer, stopwatch)
        log = _ProgressLog(task, tools, weights, rollout, stopwatch)
        # Positions, because TRL carries texts: the rollout looks up the prompts' records.
        positions = _enough(range(len(task.prompts)), settings.prompts_per_step)
        trainer = CompactGRPOTrainer(
            model=model,
            reward_funcs=[_reward_column(index, trait) for index, trait in enumerate(task.traits)],
            args=_trl_config(task, weights),
            train_dataset=Dataset.from_dict({"prompt": positions}),
            processing_class=tokenizer,
            rollout_func=rollout,
            callbacks=[log],
        )
        # It would print every step to the job's log, which is for warnings and errors.
        trainer.remove_callback(PrinterCallback)
    before = dict(stopwatch.seconds)
    with stopwatch.stage("update"):
        trainer.train()
    for stage in ("sample", "reward"):  # TRL samples and scores within its own `train`
        stopwatch.seconds["update"] -= stopwatch.seconds[stage] - before.get(stage, 0.0)
    with stopwatch.stage("save"):
        save_adapter(model, task.output_dir)
    return TrainingResult(task.output_dir, tuple(log.history), dict(stopwatch.seconds))


def _trl_config(task: TrainingTask[GrpoSettings], weights: npt.NDArray[np.float64]) -> TrlConfig:
    """TRL's settings: one generation batch per optimiser step, nothing written, nothing printed."""
    config = task.settings
    batch = config.prompts_per_step * config.completions_per_prompt
    passes = _passes(batch, config.completions_per_pass)
    return TrlConfig(
        output_dir=str(task.output_dir),
        max_steps=config.steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        per_device_train_batch_size=batch // passes,
        gradient_accumulation_steps=passes,
        # Each update sees only completions that the policy itself has just sampled.
        steps_per_generation=passes,
        num_generations=config.completions_per_prompt,
        max_completion_length=config.max_completion_tokens,
        temperature=config.temperature,
        beta=config.kl_coefficient,
        loss_type="dr_grpo",
        scale_rewards="none",
        multi_objective_aggregation="sum_then_normalize",
        reward_weights=weights.tolist(),
        # The model's own number format is used as it is: adapters in float32, the base as loaded.
        bf16=False,
        fp16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        # The prompts must reach the rollout, although the model does not take them.
        remove_unused_columns=False,
        seed=task.seed,
        save_strategy="no",
        eval_strategy="no",
        # Progress is read from the log, so every step is logged.
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
    )


def _passes(batch: int, largest: int) -> int:
    """The smallest number of equal passes over a batch, each of at most `largest` completions."""
    return next(n for n in range(1, batch + 1) if batch % n == 0 and batch // n <= largest)


def _enough(positions: Sequence[int], at_least: int) -> list[str]:
    """The positions as texts, repeated until a step can be filled."""
    repeats = -(-at_least // len(positions))
    return [str(position) for position in positions] * repeats


def _reward_column(index: int, trait: str) -> Any:
    """A reward function for TRL that reads one trait's column of the rollout's rewards.

    TRL wants one function per reward, but the rollout has scored all traits in one call already.
    """

    def column(*, trait_rewards: list[list[float]], **_: Any) -> list[float]:
        return [row[index] for row in trait_rewards]

    column.__name__ = trait
    return column
