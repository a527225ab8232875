"""Base models that end their answers at once, trained and sampled by real processes."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from palmfolio.v1 import trainer_pb2
from tests.support.services.processes import ServiceProcess, start_service
from tests.support.services.training import Client, spec

# `letters` has no reward for an empty response; `brevity` likes it best.
TRAITS = [
    {
        "name": "brevity",
        "kind": "verifier",
        "check": "length",
        "normalisation": {"kind": "minmax", "low": 40, "high": 0},
    },
    {
        "name": "letters",
        "kind": "verifier",
        "check": "format",
        "form": "regex",
        "pattern": ".*",
        "empty_response": "unscorable",
        "normalisation": {"kind": "identity"},
    },
]
STEPS = 12


def ends_with(base: Path, folder: Path, probability: float) -> Path:
    """A copy of a model whose first token ends the answer with about that probability."""
    shutil.copytree(base, folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    end = AutoTokenizer.from_pretrained(folder).eos_token_id
    others = model.config.vocab_size - 1
    odds = math.log(others * probability / (1 - probability)) / model.config.hidden_size
    with torch.no_grad():
        # Every hidden state is the same positive vector: only the output's rows differ.
        for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            weight.fill_(0.01)
            weight[end] = 0.01 + odds
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory, tiny_base_model: Path) -> Iterator[Client]:
    """A trainer of the base models `always` and `partly`, with a scorer of `TRAITS`."""
    folder = tmp_path_factory.mktemp("empty")
    scorer = start_service("scorer", {"traits": TRAITS, "threads": 1}, folder / "scorer")
    models = {
        "always": ends_with(tiny_base_model, folder / "always", 1 - 1e-9),
        "partly": ends_with(tiny_base_model, folder / "partly", 0.4),
    }
    config = {
        "state_dir": str(folder / "state"),
        "scorer": {"address": scorer.address},
        "base_models": {name: str(path) for name, path in models.items()},
        "threads": 1,
        "sampling_threads": 1,
        "warm_spare": False,
    }
    process: ServiceProcess = start_service("trainer", config, folder / "trainer")
    yield Client(process)
    process.stop()
    scorer.stop()


def last_progress(trainer: Client, base: str) -> tuple[trainer_pb2.TrainingProgress, list[str]]:
    """Trains for both traits; the last step's progress, and the events' messages."""
    asked = spec(steps=STEPS)
    asked.base_model = base
    asked.weights.values.clear()
    asked.weights.values.update({"brevity": 1.0, "letters": 1.0})
    operation = trainer.done(trainer.train(asked).name)
    policy = trainer.policy_of(operation)
    assert policy.state == trainer_pb2.POLICY_STATE_READY, operation.error
    events = list(trainer.watch(operation.name))
    steps = [event.progress for event in events if event.progress.step]
    return steps[-1], [event.message for event in events if "no reward" in event.message]


def test_a_policy_that_always_ends_at_once_finishes(trainer: Client) -> None:
    progress, messages = last_progress(trainer, "always")
    assert progress.completions > 0
    assert progress.completions == progress.unscored_completions == progress.empty_completions
    assert set(progress.reward_means) == {"brevity"}
    (message,) = messages
    assert "on letters, and are left out of the update" in message and "is empty" in message


def test_a_policy_that_partly_ends_at_once_finishes(trainer: Client) -> None:
    progress, _ = last_progress(trainer, "partly")
    assert 0 < progress.empty_completions == progress.unscored_completions < progress.completions


def test_empty_responses_are_sampled(trainer: Client) -> None:
    policies = trainer.stub.ListPolicies(trainer_pb2.ListPoliciesRequest()).policies
    always = next(p for p in policies if p.is_base_model and p.spec.base_model == "always")
    completions = trainer.generate(always.name, samples_per_prompt=2, max_tokens=8)
    assert completions
    assert {(c.text, c.tokens, c.finish_reason) for c in completions} == {
        ("", 1, trainer_pb2.FINISH_REASON_STOP)
    }
