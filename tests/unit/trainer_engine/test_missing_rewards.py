"""Completions without rewards: no part in an update, counted, and never a failed training."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from palmfolio_runtime.prompts import Prompt, says_nothing
from palmfolio_trainer.sampling.transformers.sampler import Sampler
from palmfolio_trainer.training.methods.grpo.missing_rewards import (
    MAX_STEPS_WITHOUT_REWARDS,
    MissingRewards,
    usable_rewards,
)
from palmfolio_trainer.training.task import Progress, RewardError, TrainingTools
from tests.support.prompts import text_prompts
from tests.support.small_training import SETTINGS, share_of_letters, train

Rewards = Callable[[list[Prompt], list[str]], np.ndarray]
NAN = math.nan


@given(st.data())
def test_baselines_are_those_of_the_scored_completions(data: st.DataObject) -> None:
    group, groups, d = data.draw(st.tuples(st.integers(2, 5), st.integers(1, 3), st.integers(1, 3)))
    n = group * groups
    reward = st.floats(0, 1) | st.just(NAN)
    rewards = np.array(data.draw(st.lists(reward, min_size=n * d, max_size=n * d))).reshape(n, d)
    weights = np.array(
        data.draw(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=d, max_size=d))
    )
    usable = usable_rewards(rewards, weights, group)
    assert np.isfinite(usable.values).all()
    needed = rewards[:, weights > 0]
    assert usable.scored.tolist() == (~np.isnan(needed).any(axis=1)).tolist()
    utility = usable.values @ weights
    for start in range(0, n, group):
        own = slice(start, start + group)
        scored = usable.scored[own]
        if scored.any():
            exact = np.nansum(rewards[own][scored] * weights, axis=1)
            assert utility[own][scored] == pytest.approx(exact)
            assert utility[own].mean() == pytest.approx(exact.mean())
            advantages = utility[own] - utility[own].mean()
            assert advantages[~scored] == pytest.approx(0, abs=1e-12)
        else:
            assert not utility[own].any()


def missing_for(rewards: Rewards, missing: Callable[[int, str], bool]) -> Rewards:
    """The rewards, missing on every trait where the function says so."""

    def partly(prompts: list[Prompt], completions: list[str]) -> np.ndarray:
        values = rewards(prompts, completions)
        for i, text in enumerate(completions):
            if missing(i, text):
                values[i] = NAN
        return values

    return partly


def adapter(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "adapter_model.safetensors")


def test_a_completion_without_rewards_changes_no_update(base_path: Path, tmp_path: Path) -> None:
    """The same adapter as with a reward equal to its group's mean and no part in the loss.

    Without a KL term a completion at its group's mean has no gradient.
    """

    def at_mean(prompts: list[Prompt], completions: list[str]) -> np.ndarray:
        values = share_of_letters(prompts, completions)
        values[1] = values[[0, 2, 3]].mean(axis=0)
        return values

    train(base_path, tmp_path / "mean", TrainingTools(at_mean))
    missing = missing_for(share_of_letters, lambda i, _: i == 1)
    result = train(base_path, tmp_path / "missing", TrainingTools(missing))
    mean, other = adapter(tmp_path / "mean"), adapter(tmp_path / "missing")
    assert all(torch.allclose(mean[name], other[name], atol=1e-6) for name in mean)
    train(base_path, tmp_path / "all")
    assert any(not torch.allclose(adapter(tmp_path / "all")[n], other[n], atol=1e-4) for n in other)
    last = result.history[-1]
    assert (last.completions, last.unscored) == (16, 2)


def test_what_a_completion_without_rewards_says_does_not_matter(
    base_path: Path, tmp_path: Path
) -> None:
    """Also under a KL term, which would count every token that is not masked."""
    settings = SETTINGS.model_copy(update={"kl_coefficient": 0.5, "steps": 3})
    everything = missing_for(share_of_letters, lambda *_: True)
    # Nothing has a reward, but not ten steps in a row: the adapter stays where it was.
    train(base_path, tmp_path / "none", TrainingTools(everything), settings=settings)
    assert not any(
        tensor.any() for name, tensor in adapter(tmp_path / "none").items() if "lora_B" in name
    )


@pytest.mark.parametrize("passes", [1, 2, 8])
def test_several_passes_give_the_same_update(base_path: Path, tmp_path: Path, passes: int) -> None:
    missing = missing_for(share_of_letters, lambda i, _: i in {0, 1, 2, 3, 6})
    settings = SETTINGS.model_copy(update={"completions_per_pass": 8 // passes})
    train(base_path, tmp_path / "passes", TrainingTools(missing), settings=settings)
    train(base_path, tmp_path / "one", TrainingTools(missing))
    first, second = adapter(tmp_path / "one"), adapter(tmp_path / "passes")
    assert all(torch.allclose(first[name], second[name], atol=1e-5) for name in first)


def test_means_leave_missing_rewards_out(base_path: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []

    def partly(prompts: list[Prompt], completions: list[str]) -> np.ndarray:
        values = np.full((len(completions), 2), 0.5)
        values[0] = NAN
        values[1, 1] = NAN  # on a trait that weighs nothing: not needed
        return values

    train(base_path, tmp_path, TrainingTools(partly, on_progress=seen.append))
    assert [step.rewards for step in seen] == [{"letters": 0.5, "others": 0.5}] * 2
    assert [step.reward for step in seen] == [0.5] * 2
    assert [(step.completions, step.unscored) for step in seen] == [(8, 1), (16, 2)]


def test_a_trait_that_scores_nothing_is_left_out_of_the_means(
    base_path: Path, tmp_path: Path
) -> None:
    def letters_only(prompts: list[Prompt], completions: list[str]) -> np.ndarray:
        values = share_of_letters(prompts, completions)
        values[:, 1] = NAN
        return values

    result = train(base_path, tmp_path, TrainingTools(letters_only))
    assert [set(step.rewards) for step in result.history] == [{"letters"}] * 2
    assert result.history[-1].unscored == 0


def only_empty_is_missing(_: int, text: str) -> bool:
    return says_nothing(text)


def test_a_policy_that_always_ends_at_once_finishes(base_path: Path, tmp_path: Path) -> None:
    base = ends_at_once(base_path, tmp_path / "base")
    settings = SETTINGS.model_copy(update={"steps": MAX_STEPS_WITHOUT_REWARDS + 2})
    missing = missing_for(share_of_letters, only_empty_is_missing)
    result = train(base, tmp_path / "out", TrainingTools(missing), settings=settings)
    last = result.history[-1]
    assert last.step == settings.steps
    assert last.completions == last.unscored == last.empty == 8 * settings.steps
    assert last.rewards == {} and math.isnan(last.reward)
    assert all(step.completion_tokens == 1 for step in result.history)
    assert (tmp_path / "out" / "adapter_model.safetensors").exists()


def test_sampling_that_ends_at_once_gives_empty_responses(base_path: Path, tmp_path: Path) -> None:
    sampler = Sampler(ends_at_once(base_path, tmp_path / "base"))
    batches = list(sampler.sample({"base": None}, text_prompts("a", "bc"), samples_per_prompt=3))
    completions = [completion for batch in batches for completion in batch]
    assert len(completions) == 6
    assert {(c.text, c.tokens, c.finish_reason) for c in completions} == {("", 1, "stop")}


def test_rewards_for_empty_completions_are_trained_on(base_path: Path, tmp_path: Path) -> None:
    """Where empty completions have a stated reward, they take part like any other."""
    result = train(ends_at_once(base_path, tmp_path / "base"), tmp_path / "out")
    last = result.history[-1]
    assert (last.empty, last.unscored) == (16, 0)
    assert last.rewards == {"letters": 0.0, "others": 1.0}


def ends_at_once(base_path: Path, folder: Path) -> Path:
    """A copy of the base model that gives the end token all probability."""
    shutil.copytree(base_path, folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    # The embedding is also the output. An answer begins after the token 0, whose row points the way
    # of the end token's.
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(1e-3)
        model.model.embed_tokens.weight[0] = 1.0
        model.model.embed_tokens.weight[1] = 50.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model.save_pretrained(folder)
    return folder


def test_steps_without_any_reward_are_bounded() -> None:
    counted = MissingRewards(("letters", "others"))
    nothing = np.full((2, 2), NAN)
    nothing[:, 0] = 0.5
    without = np.zeros(2, dtype=bool)
    for _ in range(MAX_STEPS_WITHOUT_REWARDS - 1):
        counted.count(["some text", ""], nothing, without)
    # One step with a reward, or one that is empty throughout, starts the count again.
    counted.count(["", " "], nothing, without)
    for _ in range(MAX_STEPS_WITHOUT_REWARDS - 1):
        counted.count(["some text", ""], nothing, without)
    counted.count(["some text", ""], nothing, np.array([True, False]))
    for _ in range(MAX_STEPS_WITHOUT_REWARDS - 1):
        counted.count(["some text", ""], nothing, without)
    with pytest.raises(RewardError, match=r"10 steps in a row.*others had none for 2 of 2"):
        counted.count(["some text", ""], nothing, without)
