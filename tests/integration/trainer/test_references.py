"""The preset `rlvr-gsm`: prompts with their expected answers, from the spec to the reward."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from palmfolio.v1 import prompts_pb2, scorer_pb2, scorer_pb2_grpc, trainer_pb2, types_pb2
from palmfolio_runtime.prompts import ChatMessage, Prompt
from tests.support.prompts import text_messages
from tests.support.services.processes import ServiceProcess, start_service
from tests.support.services.training import Client, fields, spec, status

ASKED = (
    Prompt.of_text("What is 2 + 2?", "Two and two are four.\n#### 4"),
    Prompt(
        (ChatMessage("system", "Show your work."), ChatMessage("user", "What is 5 * 20?")),
        "Five times twenty.\n#### 100",
    ),
)


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A scorer of the preset."""
    config = {"preset": "rlvr-gsm", "threads": 1}
    process = start_service("scorer", config, tmp_path_factory.mktemp("verifier"))
    yield process
    process.stop()


@pytest.fixture(scope="module")
def strict_model(tmp_path_factory: pytest.TempPathFactory, tiny_base_model: Path) -> Path:
    """The tiny model with a chat template that knows no system message."""
    folder = tmp_path_factory.mktemp("strict") / "model"
    shutil.copytree(tiny_base_model, folder)
    template = folder / "chat_template.jinja"
    template.write_text(
        "{% if messages[0]['role'] == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}" + template.read_text()
    )
    return folder


@pytest.fixture(scope="module")
def trainer(
    tmp_path_factory: pytest.TempPathFactory,
    verifier: ServiceProcess,
    tiny_base_model: Path,
    strict_model: Path,
) -> Iterator[Client]:
    """A trainer of the base models `tiny` and `strict` that trains for the preset's traits."""
    folder = tmp_path_factory.mktemp("trainer")
    config = {
        "state_dir": str(folder / "state"),
        "scorer": {"address": verifier.address},
        "base_models": {"tiny": str(tiny_base_model), "strict": str(strict_model)},
        "threads": 1,
        "sampling_threads": 1,
        "warm_spare": False,
    }
    process = start_service("trainer", config, folder)
    yield Client(process)
    process.stop()


def gsm_spec(prompts: list[prompts_pb2.Prompt]) -> trainer_pb2.PolicySpec:
    """A short training for the preset's three traits."""
    message = spec(steps=2, prompts_per_step=2)
    message.weights.values.clear()
    message.weights.values.update({"correct": 2.0, "brief": 1.0, "clear": 1.0})
    del message.prompts[:]
    message.prompts.extend(prompts)
    return message


def base_policy(trainer: Client, model: str) -> str:
    """The policy of an unchanged base model."""
    info = trainer.stub.GetServerInfo(types_pb2.GetServerInfoRequest())
    return {base.name: base.policy for base in info.base_models}[model]


def test_right_answers_are_rewarded_and_wrong_ones_are_not(verifier: ServiceProcess) -> None:
    """Each reward of `correct` as a person would give it."""
    answers = {
        (0, "2 + 2 = 4\n#### 4"): 1,
        (0, "#### 4"): 1,
        (0, "The answer is 4."): 1,
        (0, "2 + 2 = 5\n#### 5"): 0,
        (0, "I do not know."): 0,
        (1, "#### 100"): 1,
        (1, "5 * 20 = \\boxed{100}"): 1,
        (1, "#### 4"): 0,
    }
    samples = [
        scorer_pb2.Sample(prompt=ASKED[position].to_message(), response=response)
        for position, response in answers
    ]
    stub = scorer_pb2_grpc.ScorerStub(verifier.channel)
    rewards = stub.Score(scorer_pb2.ScoreRequest(samples=samples, traits=["correct"])).rewards
    assert list(rewards.raw) == list(answers.values())
    traits = stub.ListTraits(scorer_pb2.ListTraitsRequest()).traits
    assert {trait.name: list(trait.fields) for trait in traits} == {
        "traits/correct": ["reference", "response"],
        "traits/brief": ["response"],
        "traits/clear": ["response"],
    }


def test_prompts_with_references_are_trained_on(trainer: Client) -> None:
    asked = gsm_spec([prompt.to_message() for prompt in ASKED])
    operation = trainer.done(trainer.train(asked).name)
    policy = trainer.policy_of(operation)
    assert policy.state == trainer_pb2.POLICY_STATE_READY, operation.error
    steps = [e.progress for e in trainer.watch(operation.name) if e.progress.reward_means]
    assert steps
    for progress in steps:
        assert set(progress.reward_means) == {"correct", "brief", "clear"}
    # Another reference is another training.
    asked.prompts[0].reference = "#### 5"
    other = trainer.done(trainer.train(asked).name)
    assert trainer.policy_of(other).name != policy.name


def test_a_prompt_without_a_reference_is_refused_before_the_training(trainer: Client) -> None:
    prompts = [ASKED[0].to_message(), *text_messages(["What is 3 + 3?", "What is 1 + 1?"])]
    with pytest.raises(grpc.RpcError) as caught:
        trainer.train(gsm_spec(prompts))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(caught.value) == ["spec.weights.values[correct]"]
    assert "spec.prompts[1], spec.prompts[2]" in status(caught.value).message
    # The other two traits need none.
    asked = gsm_spec(prompts)
    del asked.weights.values["correct"]
    operation = trainer.done(trainer.train(asked).name)
    assert trainer.policy_of(operation).state == trainer_pb2.POLICY_STATE_READY


def test_a_conversation_is_answered(trainer: Client) -> None:
    request = trainer_pb2.GenerateRequest(
        policies=[base_policy(trainer, "tiny")],
        prompts=[
            prompts_pb2.Prompt(text="What is 5 * 20?"),
            ASKED[1].to_message(),
            # The same prompt as the second to a policy, which never reads the reference.
            Prompt(ASKED[1].messages, "#### 7").to_message(),
        ],
        sampling=trainer_pb2.SamplingConfig(max_tokens=8, temperature=0.0),
    )
    answers = [c for batch in trainer.stub.Generate(request) for c in batch.completions]
    texts = {completion.prompt_index: completion.text for completion in answers}
    assert set(texts) == {0, 1, 2}
    assert texts[1] == texts[2]


def test_a_model_that_knows_no_system_message_says_so(trainer: Client) -> None:
    request = trainer_pb2.GenerateRequest(
        policies=[base_policy(trainer, "strict")],
        prompts=[prompt.to_message() for prompt in ASKED],
        sampling=trainer_pb2.SamplingConfig(max_tokens=2),
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(trainer.stub.Generate(request))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(caught.value) == ["prompts"]
    assert "System role not supported" in status(caught.value).message
    # A training ends with the same reason.
    asked = gsm_spec([prompt.to_message() for prompt in ASKED])
    asked.base_model = "strict"
    operation = trainer.done(trainer.train(asked).name)
    assert "System role not supported" in operation.error.message
