"""Group relative policy optimisation: TRL's trainer on a LoRA adapter.

The settings follow algorithms.md section 10: rewards are summed under the policy's weights and
never rescaled, neither per trait nor per group, because either would train for other weights than
those asked for. The loss divides by a constant (Dr. GRPO), which makes the update an unbiased
gradient of the weighted reward; dividing by a completion's length would favour long failures.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset  # type: ignore[import-untyped]
from peft import LoraConfig, get_peft_model
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig as TrlConfig

from palmfolio_trainer.models.loading import load_model, load_tokenizer
from palmfolio_trainer.sampling.transformers.chat import prompt_ids
from palmfolio_trainer.sampling.transformers.decoding import (
    SamplingCancelled,
    SamplingSettings,
    end_token_ids,
    sample,
    uniforms,
)
from palmfolio_trainer.sampling.transformers.merging import merged_adapter
from palmfolio_trainer.training.methods.grpo.settings import GrpoConfig
from palmfolio_trainer.training.methods.grpo.trl_trainer import CompactGRPOTrainer
from palmfolio_trainer.training.task import (
    Progress,
    RewardFunction,
    StopCheck,
    TrainingCancelled,
    TrainingResult,
    check_rewards,
    weight_vector,
)

_TARGETS: dict[str, Any] = {
    "all": "all-linear",
    "attention": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "mlp": ["gate_proj", "up_proj", "down_proj"],
}
_REWARDS = "trait_rewards"


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
        *,
        tokenizer: Any,
        traits: Sequence[str],
        reward_function: RewardFunction,
        config: GrpoConfig,
        seed: int,
        should_stop: StopCheck | None,
        stopwatch: _Stopwatch,
    ) -> None:
        self._tokenizer = tokenizer
        self._traits = list(traits)
        self._reward_function = reward_function
        self._settings = SamplingSettings(config.max_completion_tokens, config.temperature)
        self._group = config.completions_per_prompt
        self._seed = seed
        self._should_stop = should_stop
        self._stopwatch = stopwatch
        self.rewards: npt.NDArray[np.float64] = np.zeros((0, len(self._traits)))
        self.completion_tokens = 0.0

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """TRL's `rollout_func`: prompts come in groups of equal ones."""
        distinct = [prompt_ids(self._tokenizer, prompt) for prompt in prompts[:: self._group]]
        completions = self._sample(trainer, distinct, len(prompts))
        texts = self._tokenizer.batch_decode(completions, skip_special_tokens=True)
        with self._stopwatch.stage("reward"):
            rewards = self._reward_function(list(prompts), texts)
        self.rewards = check_rewards(rewards, len(prompts), self._traits)
        self.completion_tokens = float(np.mean([len(ids) for ids in completions]))
        return {
            "prompt_ids": [ids for ids in distinct for _ in range(self._group)],
            "completion_ids": completions,
            "logprobs": None,
            _REWARDS: self.rewards.tolist(),
        }

    def _sample(
        self, trainer: Any, prompts: Sequence[Sequence[int]], count: int
    ) -> list[list[int]]:
        model = trainer.model
        step = trainer.state.global_step
        numbers = np.stack(
            [uniforms((self._seed, step, row), self._settings.max_tokens) for row in range(count)]
        )
        model.eval()
        try:
            with self._stopwatch.stage("sample"), merged_adapter(model):
                return sample(
                    model,
                    prompts,
                    numbers,
                    self._settings,
                    end_tokens=end_token_ids(model, self._tokenizer),
                    pad_token=self._tokenizer.pad_token_id,
                    cancelled=self._should_stop,
                )
        except SamplingCancelled as stopped:
            raise TrainingCancelled from stopped
        finally:
            model.train()


class _Watch(TrainerCallback):
    """Turns TRL's log of a step into a `Progress`."""

    def __init__(
        self,
        rollout: _Rollout,
        traits: Sequence[str],
        weights: npt.NDArray[np.float64],
        stopwatch: _Stopwatch,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._rollout = rollout
        self._traits = list(traits)
        self._weights = weights
        self._stopwatch = stopwatch
        self._on_progress = on_progress
        self.history: list[Progress] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Called after each step, and once at the end without a loss."""
        if "loss" not in logs:
            return
        means = self._rollout.rewards.mean(axis=0)
        progress = Progress(
            step=state.global_step,
            steps=args.max_steps,
            rewards=dict(zip(self._traits, means.tolist(), strict=True)),
            reward=float(means @ self._weights),
            loss=float(logs["loss"]),
            completion_tokens=self._rollout.completion_tokens,
            seconds=time.monotonic() - self._stopwatch.began,
        )
        self.history.append(progress)
        if self._on_progress is not None:
            self._on_progress(progress)


def train_grpo(
    *,
    base_path: Path,
    output_dir: Path,
    prompts: Sequence[str],
    weights: Mapping[str, float],
    traits: Sequence[str],
    reward_function: RewardFunction,
    config: GrpoConfig,
    seed: int,
    initial_adapter: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    should_stop: StopCheck | None = None,
) -> TrainingResult:
    """Trains one policy; see `base.Method` for arguments and errors.

    Equal arguments give equal adapters on the same machine with the same libraries, as far as the
    device's arithmetic is deterministic. With `initial_adapter` the adapter keeps its own rank and
    targets; those of `config` are not used.
    """
    vector = weight_vector(weights, traits)
    if not prompts or not all(prompts):
        raise ValueError("prompts: at least one, none of them empty")
    if seed < 0:
        raise ValueError("seed: must be at least 0")
    stopwatch = _Stopwatch()
    with stopwatch.stage("load"):
        tokenizer = load_tokenizer(base_path)
        torch.manual_seed(seed)
        model = _policy_model(base_path, initial_adapter, config)
        rollout = _Rollout(
            tokenizer=tokenizer,
            traits=traits,
            reward_function=reward_function,
            config=config,
            seed=seed,
            should_stop=should_stop,
            stopwatch=stopwatch,
        )
        watch = _Watch(rollout, traits, vector, stopwatch, on_progress)
        trainer = CompactGRPOTrainer(
            model=model,
            reward_funcs=[_reward_column(index, trait) for index, trait in enumerate(traits)],
            args=_trl_config(config, vector, seed, output_dir),
            train_dataset=Dataset.from_dict({"prompt": _enough(prompts, config.prompts_per_step)}),
            processing_class=tokenizer,
            rollout_func=rollout,
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
    before = dict(stopwatch.seconds)
    with stopwatch.stage("update"):
        trainer.train()
    for stage in ("sample", "reward"):  # these happened within the stage before
        stopwatch.seconds["update"] -= stopwatch.seconds[stage] - before.get(stage, 0.0)
    with stopwatch.stage("save"):
        _save(model, output_dir)
    return TrainingResult(output_dir, tuple(watch.history), dict(stopwatch.seconds))


def _policy_model(base_path: Path, initial_adapter: Path | None, config: GrpoConfig) -> Any:
    """The base model with a trainable adapter, new or loaded; adapters are float32."""
    if initial_adapter is not None:
        return _for_training(load_model(base_path, adapter=initial_adapter, trainable=True))
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,  # type: ignore[arg-type]  # fractions work
        lora_dropout=0.0,
        target_modules=_TARGETS[config.lora_targets],
        task_type="CAUSAL_LM",
    )
    return _for_training(get_peft_model(load_model(base_path), lora))


def _save(model: Any, output_dir: Path) -> None:
    """Equal adapters as equal files: PEFT would list its sets in the order of their hashes."""
    config = model.peft_config["default"]
    for name, value in list(vars(config).items()):
        if isinstance(value, set):
            setattr(config, name, sorted(value))
    model.save_pretrained(str(output_dir), selected_adapters=["default"])


def _for_training(model: Any) -> Any:
    """On a CPU the backward pass of fused attention is the slower one for short sequences."""
    if model.device.type == "cpu":
        model.set_attn_implementation("eager")
    return model


def _trl_config(
    config: GrpoConfig, weights: npt.NDArray[np.float64], seed: int, output_dir: Path
) -> TrlConfig:
    """TRL's settings: one generation batch per optimiser step, nothing written, nothing printed."""
    batch = config.prompts_per_step * config.completions_per_prompt
    passes = _passes(batch, config.completions_per_pass)
    return TrlConfig(
        output_dir=str(output_dir),
        max_steps=config.steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type="linear",
        per_device_train_batch_size=batch // passes,
        gradient_accumulation_steps=passes,
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
        remove_unused_columns=False,
        seed=seed,
        save_strategy="no",
        eval_strategy="no",
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
    )


def _passes(batch: int, largest: int) -> int:
    """The fewest equal passes over a batch of which none exceeds `largest`."""
    return next(n for n in range(1, batch + 1) if batch % n == 0 and batch // n <= largest)


def _enough(prompts: Sequence[str], at_least: int) -> list[str]:
    """The prompts, repeated until a step can be filled."""
    repeats = -(-at_least // len(prompts))
    return list(prompts) * repeats


def _reward_column(index: int, trait: str) -> Any:
    """TRL wants one function per reward; the rollout has them all already."""

    def column(*, trait_rewards: list[list[float]], **_: Any) -> list[float]:
        return [row[index] for row in trait_rewards]

    column.__name__ = trait
    return column
