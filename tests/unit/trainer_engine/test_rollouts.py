"""Merging adapters, sampling, and the trainer's log-probabilities."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palmfolio_runtime.prompts import ChatMessage, Prompt
from palmfolio_trainer.models.loading import load_model, load_tokenizer
from palmfolio_trainer.sampling.backend import Completion, PromptRefused, SamplingCancelled
from palmfolio_trainer.sampling.transformers.chat import prompt_ids
from palmfolio_trainer.sampling.transformers.decoding import (
    DecodingSettings,
    sample,
    uniforms,
)
from palmfolio_trainer.sampling.transformers.merging import merged_adapter
from palmfolio_trainer.sampling.transformers.sampler import Sampler
from palmfolio_trainer.training.methods.grpo.trl_trainer import CompactGRPOTrainer
from tests.support.prompts import text_prompts
from tests.support.small_training import train

PROMPTS = text_prompts("one", "a longer prompt", "two")
HELLO = Prompt.of_text("hello")


@pytest.fixture(scope="module")
def adapter(base_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("adapter")
    train(base_path, directory)
    return directory


def flat(batches: Any) -> list[Completion]:
    completions = [completion for batch in batches for completion in batch]
    return sorted(completions, key=lambda c: (c.policy, c.prompt_index, c.sample_index))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merging_leaves_no_trace(base_path: Path, adapter: Path, dtype: torch.dtype) -> None:
    model = load_model(base_path, adapter=adapter, dtype=dtype)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for _ in range(3):
        with merged_adapter(model):
            changed = model.state_dict()
            assert any(not torch.equal(changed[name], before[name]) for name in before)
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_merging_is_undone_after_an_error(base_path: Path, adapter: Path) -> None:
    model = load_model(base_path, adapter=adapter)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(RuntimeError), merged_adapter(model):
        raise RuntimeError
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.15)])
def test_merged_logits_are_the_adapters(
    base_path: Path, adapter: Path, dtype: torch.dtype, tolerance: float
) -> None:
    model = load_model(base_path, adapter=adapter, dtype=dtype)
    ids = torch.arange(2, 40).reshape(2, -1)
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        with model.disable_adapter():
            base = model(input_ids=ids).logits
        with merged_adapter(model):
            merged = model(input_ids=ids).logits
    assert torch.allclose(merged, expected, atol=tolerance)
    assert not torch.allclose(base, expected, atol=tolerance)


def test_the_same_call_gives_the_same_completions(base_path: Path, adapter: Path) -> None:
    sampler = Sampler(base_path, dtype=torch.float32)
    policies = {"base": None, "trained": adapter}
    first = flat(sampler.sample(policies, PROMPTS, samples_per_prompt=2, max_tokens=8, seed=7))
    again = flat(sampler.sample(policies, PROMPTS, samples_per_prompt=2, max_tokens=8, seed=7))
    other = flat(sampler.sample(policies, PROMPTS, samples_per_prompt=2, max_tokens=8, seed=8))
    assert first == again
    assert [c.text for c in first] != [c.text for c in other]
    assert [(c.policy, c.prompt_index, c.sample_index) for c in first] == [
        (policy, prompt, number)
        for policy in ("base", "trained")
        for prompt in range(3)
        for number in range(2)
    ]


def test_a_completion_does_not_depend_on_its_batch(base_path: Path, adapter: Path) -> None:
    sampler = Sampler(base_path, dtype=torch.float32)
    policies = {"trained": adapter}
    together = flat(sampler.sample(policies, PROMPTS, samples_per_prompt=2, max_tokens=8))
    separate = flat(
        sampler.sample(policies, PROMPTS, samples_per_prompt=2, max_tokens=8, batch_size=1)
    )
    assert together == separate


def test_the_base_is_unchanged_after_other_policies(base_path: Path, adapter: Path) -> None:
    sampler = Sampler(base_path)
    separate = flat(sampler.sample({"base": None}, PROMPTS, max_tokens=8))
    flat(sampler.sample({"trained": adapter}, PROMPTS, max_tokens=8))
    assert flat(sampler.sample({"base": None}, PROMPTS, max_tokens=8)) == separate


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("samples_per_prompt", 0),
        ("max_tokens", 0),
        ("temperature", 0.0),
        ("top_p", 1.5),
        ("seed", -1),
    ],
)
def test_arguments_out_of_range_are_named(base_path: Path, argument: str, value: float) -> None:
    arguments: dict[str, Any] = {argument: value}
    with pytest.raises(ValueError, match=f"^{argument}: "):
        flat(Sampler(base_path).sample({"base": None}, PROMPTS, **arguments))


def test_sampling_stops_when_told_to(base_path: Path) -> None:
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 3

    with pytest.raises(SamplingCancelled):
        flat(Sampler(base_path).sample({"base": None}, PROMPTS, cancelled=cancelled))
    assert len(asked) == 4


def settings_sample(
    model: Any, prompts: list[list[int]], repeats: int, settings: DecodingSettings
) -> list[list[int]]:
    numbers = np.stack([uniforms((0, i), settings.max_tokens) for i in range(repeats)])
    return sample(model, prompts, numbers, settings, end_tokens=[1], pad_token=1)


def test_a_model_reads_every_turn_and_never_the_reference(base_path: Path) -> None:
    tokenizer = load_tokenizer(base_path)
    turns = (
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "Hi"),
        ChatMessage("assistant", "Hello"),
        ChatMessage("user", "Why?"),
    )
    ids = prompt_ids(tokenizer, Prompt(turns, reference="#### 4", tags=("easy",)))
    assert tokenizer.decode(ids) == "<s>Be brief.</s><s>Hi</s><s>Hello</s><s>Why?</s><s>"
    assert ids == prompt_ids(tokenizer, Prompt(turns))


def test_a_template_that_knows_no_system_message_refuses_it_readably(base_path: Path) -> None:
    tokenizer = load_tokenizer(base_path)
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}"
    ) + tokenizer.chat_template
    assert prompt_ids(tokenizer, HELLO)
    turns = (ChatMessage("system", "Be brief."), ChatMessage("user", "Why?"))
    with pytest.raises(PromptRefused, match=r"refuses a conversation: System role not supported"):
        prompt_ids(tokenizer, Prompt(turns))


def test_first_tokens_follow_the_models_distribution(base_path: Path) -> None:
    model, tokenizer = load_model(base_path, dtype=torch.float32), load_tokenizer(base_path)
    ids = prompt_ids(tokenizer, HELLO)
    temperature, count = 0.2, 4000
    first = [
        tokens[0]
        for tokens in settings_sample(model, [ids], count, DecodingSettings(1, temperature))
    ]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1] / temperature
    expected = torch.softmax(logits, -1).numpy()
    observed = np.bincount(first, minlength=len(expected)) / count
    assert np.abs(observed - expected).max() < 0.03


def test_top_p_keeps_to_the_likeliest_tokens(base_path: Path) -> None:
    model, tokenizer = load_model(base_path, dtype=torch.float32), load_tokenizer(base_path)
    ids = prompt_ids(tokenizer, HELLO)
    with torch.no_grad():
        probabilities = torch.softmax(model(input_ids=torch.tensor([ids])).logits[0, -1], -1)
    ranked, order = probabilities.sort(descending=True)
    size = int((ranked.cumsum(0) < 0.1).sum()) + 1
    first = {
        tokens[0]
        for tokens in settings_sample(model, [ids], 500, DecodingSettings(1, 1.0, top_p=0.1))
    }
    assert first == set(order[:size].tolist())


def test_nearly_greedy_sampling_is_transformers_greedy_search(base_path: Path) -> None:
    model, tokenizer = load_model(base_path, dtype=torch.float32), load_tokenizer(base_path)
    prompts = [prompt_ids(tokenizer, text) for text in PROMPTS]
    numbers = np.full((3, 12), 0.5, dtype=np.float32)
    settings = DecodingSettings(12, temperature=1e-5)
    ours = sample(model, prompts, numbers, settings, end_tokens=[1], pad_token=1)
    for prompt, tokens in zip(prompts, ours, strict=True):
        theirs = model.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=1
        )[0, len(prompt) :]
        assert tokens == theirs.tolist()


def test_completions_end_at_an_end_token(base_path: Path) -> None:
    model, tokenizer = load_model(base_path, dtype=torch.float32), load_tokenizer(base_path)
    ids = prompt_ids(tokenizer, HELLO)
    ends = list(range(0, len(tokenizer), 4))
    numbers = np.stack([uniforms((0, i), 20) for i in range(50)])
    completions = sample(model, [ids], numbers, DecodingSettings(20), end_tokens=ends, pad_token=1)
    lengths = {len(tokens) for tokens in completions}
    assert len(lengths) > 3
    for tokens in completions:
        assert not set(tokens[:-1]) & set(ends)
        assert tokens[-1] in ends or len(tokens) == 20


def test_compact_log_probabilities_are_the_full_ones(base_path: Path) -> None:
    model = load_model(base_path, dtype=torch.float32)
    ids = torch.arange(2, 42).reshape(4, 10)
    mask = torch.ones_like(ids)
    mask[1, :3] = 0  # left padding of a prompt
    mask[2, 8:] = 0  # right padding of a completion
    trainer = CompactGRPOTrainer.__new__(CompactGRPOTrainer)
    trainer.temperature = 0.7
    with torch.no_grad():
        ours, entropies, _ = trainer._get_per_token_logps_and_entropies(
            model, ids, mask, 4, batch_size=3, compute_entropy=True
        )
        logits = model(input_ids=ids, attention_mask=mask).logits / 0.7
    full = torch.log_softmax(logits[:, -5:-1], -1)
    expected = full.gather(-1, ids[:, -4:, None])[..., 0]
    kept = mask[:, -4:].bool()
    assert torch.allclose(ours[kept], expected[kept], atol=1e-5)
    assert not ours[~kept].any()
    assert entropies is not None
    assert torch.allclose(entropies[kept], -(full.exp() * full).sum(-1)[kept], atol=1e-4)
