"""Training with GRPO."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_trainer.models.loading import load_model
from palmfolio_trainer.policies.artifacts import ArtifactStore, seal
from palmfolio_trainer.sampling.transformers.sampler import Sampler
from palmfolio_trainer.training.methods.grpo.settings import GrpoSettings
from palmfolio_trainer.training.methods.registry import METHODS
from palmfolio_trainer.training.task import (
    Progress,
    RewardError,
    TrainingCancelled,
    TrainingTools,
    check_rewards,
    weight_vector,
)
from tests.support.small_training import PROMPTS, SETTINGS, TRAITS, share_of_letters, train


def adapter(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "adapter_model.safetensors")


def mean_rewards(base_path: Path, policy: Path | None) -> list[float]:
    batches = Sampler(base_path).sample(
        {"policy": policy}, PROMPTS, samples_per_prompt=64, max_tokens=6
    )
    texts = [completion.text for batch in batches for completion in batch]
    return share_of_letters([], texts).mean(axis=0).tolist()


def test_raises_the_trained_trait(base_path: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": 25, "completions_per_prompt": 16})
    seen: list[Progress] = []
    tools = TrainingTools(share_of_letters, on_progress=seen.append)
    result = train(base_path, tmp_path, tools, settings=settings)
    assert [p.step for p in seen] == list(range(1, 26))
    assert result.history == tuple(seen)
    assert set(seen[0].rewards) == set(TRAITS)
    assert seen[0].reward == pytest.approx(seen[0].rewards["letters"])
    before, after = mean_rewards(base_path, None)[0], mean_rewards(base_path, tmp_path)[0]
    assert after > before + 0.3


def test_the_weights_say_which_trait_is_trained(base_path: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": 25, "completions_per_prompt": 16})
    train(base_path, tmp_path, settings=settings, weights={"letters": 0.0, "others": 2.0})
    before, after = mean_rewards(base_path, None), mean_rewards(base_path, tmp_path)
    assert after[0] < 0.7 * before[0]


def test_equal_arguments_give_equal_adapters(base_path: Path, tmp_path: Path) -> None:
    train(base_path, tmp_path / "a")
    train(base_path, tmp_path / "b")
    train(base_path, tmp_path / "c", seed=1)
    first, again, other = (adapter(tmp_path / name) for name in "abc")
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_equal_adapters_are_equal_files(base_path: Path, tmp_path: Path) -> None:
    train(base_path, tmp_path)
    described = json.loads((tmp_path / "adapter_config.json").read_text())
    # From a set, whose order is another in each process.
    assert len(described["target_modules"]) > 5
    assert described["target_modules"] == sorted(described["target_modules"])


def test_the_same_training_in_another_folder_is_the_same_artifact(
    base_path: Path, tmp_path: Path
) -> None:
    """Neither the adapter's folder nor the base model's is written into the artifact."""
    elsewhere = shutil.copytree(base_path, tmp_path / "models" / "elsewhere")
    store = ArtifactStore((tmp_path / "root").as_uri(), tmp_path / "cache")
    published = []
    for base, folder in ((base_path, tmp_path / "a"), (elsewhere, tmp_path / "deep" / "b")):
        train(base, folder, base_model="tiny", base_revision="r1")
        seal(folder)
        published.append(store.publish(folder, "p1"))
    assert published[0] == published[1]
    described = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert (described["base_model_name_or_path"], described["revision"]) == ("tiny", "r1")
    assert str(tmp_path) not in json.dumps(described)
    # Loading goes by the folder that it is given, not by that name.
    fetched = store.fetch(*published[0])
    assert load_model(elsewhere, adapter=fetched).active_adapters == ["default"]


def test_several_passes_give_the_update_of_one(base_path: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"steps": 1})
    train(base_path, tmp_path / "one", settings=settings)
    settings = settings.model_copy(update={"completions_per_pass": 2})
    train(base_path, tmp_path / "four", settings=settings)
    whole, split = adapter(tmp_path / "one"), adapter(tmp_path / "four")
    # Adam's first update is the gradient's sign: only entries near 0 may differ.
    differing = [(whole[key] - split[key]).abs() > 1e-4 for key in whole]
    assert torch.cat([d.flatten() for d in differing]).float().mean() < 0.01


def test_starts_from_another_policy(base_path: Path, tmp_path: Path) -> None:
    train(base_path, tmp_path / "parent")
    settings = SETTINGS.model_copy(update={"steps": 1, "learning_rate": 1e-6})
    train(base_path, tmp_path / "child", settings=settings, initial_adapter=tmp_path / "parent")
    parent, child = adapter(tmp_path / "parent"), adapter(tmp_path / "child")
    assert parent.keys() == child.keys()
    assert any(not torch.equal(parent[key], child[key]) for key in parent)
    assert all(torch.allclose(parent[key], child[key], atol=1e-5) for key in parent)


def test_keeps_near_the_initial_policy_under_a_kl_term(base_path: Path, tmp_path: Path) -> None:
    ids = torch.arange(2, 40)[None]

    def drift(kl_coefficient: float) -> float:
        """Of the probabilities, from those of the base model."""
        changes = {"steps": 12, "learning_rate": 5e-3, "kl_coefficient": kl_coefficient}
        settings = SETTINGS.model_copy(update=changes)
        directory = tmp_path / str(kl_coefficient)
        train(base_path, directory, settings=settings)
        model = load_model(base_path, adapter=directory, dtype=torch.float32)
        with torch.no_grad():
            trained = model(input_ids=ids).logits.softmax(-1)
            with model.disable_adapter():
                base = model(input_ids=ids).logits.softmax(-1)
        return float((trained - base).abs().sum())

    assert drift(10.0) < 0.7 * drift(0.0)


@pytest.mark.parametrize("after", [0, 4, 9])
def test_stops_when_told_to(base_path: Path, tmp_path: Path, after: int) -> None:
    asked: list[None] = []

    def should_stop() -> bool:
        asked.append(None)
        return len(asked) > after

    with pytest.raises(TrainingCancelled):
        train(base_path, tmp_path / "out", TrainingTools(share_of_letters, should_stop=should_stop))
    assert len(asked) == after + 1
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()


def test_an_infinite_reward_fails_by_its_trait(base_path: Path, tmp_path: Path) -> None:
    def poisoned(prompts: list[Prompt], completions: list[str]) -> np.ndarray:
        rewards = share_of_letters(prompts, completions)
        rewards[3, 1] = float("inf")
        return rewards

    with pytest.raises(RewardError, match="'others'"):
        train(base_path, tmp_path / "out", TrainingTools(poisoned))


def test_one_call_scores_a_batch(base_path: Path, tmp_path: Path) -> None:
    calls: list[tuple[list[Prompt], list[str]]] = []

    def recording(prompts: list[Prompt], completions: list[str]) -> np.ndarray:
        calls.append((prompts, completions))
        return share_of_letters(prompts, completions)

    train(base_path, tmp_path, TrainingTools(recording))
    assert [len(completions) for _, completions in calls] == [8, 8]
    for prompts, _ in calls:
        assert prompts[:4] == [prompts[0]] * 4
        assert set(prompts) <= set(PROMPTS)


def test_the_rewards_get_the_whole_record(base_path: Path, tmp_path: Path) -> None:
    turns = (ChatMessage("system", "Be brief."), ChatMessage("user", "bcd"))
    asked = (Prompt.of_text("a", "#### 4"), Prompt(turns, "#### 5"))
    seen: list[Prompt] = []

    def recording(prompts: list[Prompt], completions: list[str]) -> np.ndarray:
        seen.extend(prompts)
        return share_of_letters(prompts, completions)

    train(base_path, tmp_path, TrainingTools(recording), prompts=asked)
    assert len(seen) == 16
    assert set(seen) == set(asked)


def test_refuses_rewards_of_another_shape() -> None:
    with pytest.raises(RewardError, match=r"\(3, 1\) for 3 completions and 2 traits"):
        check_rewards(np.zeros((3, 1)), 3, TRAITS)


@pytest.mark.parametrize(
    "weights", [{}, {"letters": 0.0}, {"letters": -1.0}, {"letters": float("nan")}, {"other": 1.0}]
)
def test_refuses_weights_without_a_direction(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"^weights: "):
        weight_vector(weights, TRAITS)


@pytest.mark.parametrize(
    ("field", "value"),
    [("steps", 0), ("learning_rate", float("nan")), ("completions_per_prompt", 1), ("typo", 1)],
)
def test_settings_out_of_range_are_named(field: str, value: float) -> None:
    with pytest.raises(ValidationError, match=field):
        GrpoSettings.model_validate({field: value})


def test_the_registry_loads_its_methods() -> None:
    method = METHODS["grpo"]
    assert method.settings is GrpoSettings
    assert callable(method.load())
