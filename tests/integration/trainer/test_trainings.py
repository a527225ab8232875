"""From a spec to a policy that answers, and back: once, again, cancelled, deleted."""

from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from palmfolio.v1 import trainer_pb2
from palmfolio_trainer.policies.artifacts import verify
from tests.support.services.training import ENDLESS, Client, fields, spec


@pytest.fixture
def trained(trainer: Client) -> trainer_pb2.Policy:
    """The policy of `spec()`, trained when it is first asked for."""
    policy = trainer_pb2.Policy()
    operation = trainer.done(trainer.train(spec()).name)
    assert operation.response.Unpack(policy), operation.error
    return policy


def test_a_trained_policy_is_ready_and_complete(
    trainer: Client, trained: trainer_pb2.Policy
) -> None:
    assert trained.state == trainer_pb2.POLICY_STATE_READY
    assert trained == trainer.stub.GetPolicy(trainer_pb2.GetPolicyRequest(name=trained.name))
    folder = Path(urlsplit(trained.adapter).path)
    assert verify(folder) == trained.adapter_digest
    assert (folder / "adapter_model.safetensors").exists()
    assert not trained.spec.prompts
    assert trained.spec.grpo.lora_rank > 0
    assert set(trained.spec.trait_versions) == {"brevity"}


def test_a_trained_policy_answers_unlike_its_base(
    trainer: Client, trained: trainer_pb2.Policy
) -> None:
    base = trainer.base_policy()
    completions = trainer.generate(base, trained.name, samples_per_prompt=8, max_tokens=12)
    assert len(completions) == 2 * 2 * 8
    texts = {
        name: [c.text for c in completions if c.policy == name] for name in (base, trained.name)
    }
    assert texts[base] != texts[trained.name]
    separate = trainer.generate(base, samples_per_prompt=8, max_tokens=12)
    assert [c.text for c in separate] == texts[base]


def test_the_same_spec_is_trained_once(trainer: Client, trained: trainer_pb2.Policy) -> None:
    same = spec()
    same.weights.values["brevity"] = 7.0
    same.weights.values["warmth"] = 0.0
    operation = trainer.train(same)
    assert operation.done
    assert trainer.policy_of(operation).name == trained.name


def test_a_request_is_answered_alike_and_its_id_is_its_own(
    trainer: Client, trained: trainer_pb2.Policy
) -> None:
    first = trainer.train(spec(), request_id="the-same")
    assert trainer.train(spec(), request_id="the-same") == first
    with pytest.raises(grpc.RpcError) as caught:
        trainer.train(spec(seed=1), request_id="the-same")
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_events_count_the_steps_and_can_be_resumed(
    trainer: Client, trained: trainer_pb2.Policy
) -> None:
    operation = trainer.train(spec())
    events = list(trainer.watch(operation.name))
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    steps = [e.progress for e in events if e.progress.stage == "training"]
    assert [progress.step for progress in steps] == [1, 2, 3]
    assert all(0 <= progress.reward_means["brevity"] <= 1 for progress in steps)
    stages = [event.progress.stage for event in events]
    assert stages[0] == "starting"
    assert stages[-2:] == ["publishing", "done"]
    assert list(trainer.watch(operation.name, after=events[2].number)) == events[3:]


def test_training_goes_on_from_another_policy(trainer: Client, trained: trainer_pb2.Policy) -> None:
    later = spec(steps=1)
    later.initial_policy = trained.name
    operation = trainer.done(trainer.train(later).name)
    policy = trainer.policy_of(operation)
    assert policy.state == trainer_pb2.POLICY_STATE_READY, operation.error
    assert policy.name != trained.name
    assert policy.spec.initial_policy == trained.name


def test_a_cancelled_training_ends_and_can_be_asked_for_again(trainer: Client) -> None:
    running = trainer.train(spec(seed=2, steps=ENDLESS))
    waiting = trainer.train(spec(seed=3, steps=ENDLESS))
    trainer.until_step(running.name)
    with pytest.raises(grpc.RpcError) as caught:
        trainer.stub.DeletePolicy(
            trainer_pb2.DeletePolicyRequest(name=trainer.policy_of(running).name)
        )
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError) as caught:
        trainer.generate(trainer.policy_of(running).name)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    # The job that waits has no process to stop, the other has.
    for name in (waiting.name, running.name):
        assert trainer.cancel(name).error.code == grpc.StatusCode.CANCELLED.value[0]
    assert trainer.policy_of(running).state == trainer_pb2.POLICY_STATE_FAILED
    assert list(trainer.watch(running.name))[-1].progress.stage == "cancelled"
    again = trainer.train(spec(seed=3, steps=ENDLESS))
    assert not again.done
    assert again.name != waiting.name
    trainer.cancel(again.name)


def test_a_damaged_adapter_is_not_loaded(trainer: Client) -> None:
    policy = trainer.policy_of(trainer.done(trainer.train(spec(seed=5, steps=1)).name))
    weights = Path(urlsplit(policy.adapter).path) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(grpc.RpcError) as caught:
        trainer.generate(policy.name)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "adapter_model.safetensors" in str(caught.value.details())
    trainer.stub.DeletePolicy(trainer_pb2.DeletePolicyRequest(name=policy.name))
    assert not trainer.train(spec(seed=5, steps=1)).done


def test_a_deleted_policy_is_gone_with_its_files(trainer: Client) -> None:
    policy = trainer.policy_of(trainer.done(trainer.train(spec(seed=4, steps=1)).name))
    folder = Path(urlsplit(policy.adapter).path)
    assert folder.exists()
    trainer.stub.DeletePolicy(trainer_pb2.DeletePolicyRequest(name=policy.name))
    assert not folder.exists()
    with pytest.raises(grpc.RpcError) as caught:
        trainer.generate(policy.name)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    heir = spec(seed=4)
    heir.initial_policy = policy.name
    with pytest.raises(grpc.RpcError) as caught:
        trainer.train(heir)
    assert fields(caught.value) == ["spec.initial_policy"]
