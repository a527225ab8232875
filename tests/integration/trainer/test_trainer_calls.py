"""The trainer's answers to bad calls, and to calls that need no training."""

import grpc
import pytest
from google.longrunning import operations_pb2
from google.rpc import error_details_pb2

from palmfolio.v1 import trainer_pb2, types_pb2
from tests.support.prompts import text_messages
from tests.support.services.training import PROMPTS, Client, fields, spec, status


def changed(**changes: object) -> trainer_pb2.PolicySpec:
    """A good spec with some fields replaced."""
    made = spec()
    for name, value in changes.items():
        made.ClearField(name)  # type: ignore[arg-type]
        made.MergeFrom(trainer_pb2.PolicySpec(**{name: value}))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base_model": "huge"}, "spec.base_model"),
        ({"weights": {"values": {"wit": 1.0}}}, "spec.weights.values[wit]"),
        ({"weights": {"values": {"brevity": -1.0}}}, "spec.weights.values[brevity]"),
        ({"weights": {"values": {"brevity": float("nan")}}}, "spec.weights.values[brevity]"),
        ({"weights": {"values": {"brevity": 0.0}}}, "spec.weights.values"),
        ({"prompts": []}, "spec.prompts"),
        ({"prompts": text_messages(["Why?", ""])}, "spec.prompts[1]"),
        ({"grpo": trainer_pb2.GrpoConfig(steps=0)}, "spec.grpo.steps"),
        ({"initial_policy": "policies/unknown"}, "spec.initial_policy"),
        ({"trait_versions": {"brevity": "0"}}, "spec.trait_versions[brevity]"),
    ],
)
def test_a_bad_spec_names_its_field(
    trainer: Client, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        trainer.train(changed(**changes))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(caught.value) == [field]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"policies": []}, "policies"),
        ({"policies": ["portfolios/x"]}, "policies[0]"),
        ({"prompts": []}, "prompts"),
        ({"prompts": text_messages([" "])}, "prompts[0]"),
        ({"sampling": {"samples_per_prompt": 0}}, "sampling.samples_per_prompt"),
        ({"sampling": {"max_tokens": 4097}}, "sampling.max_tokens"),
        ({"sampling": {"temperature": float("nan")}}, "sampling.temperature"),
        ({"sampling": {"top_p": 0.0}}, "sampling.top_p"),
        ({"sampling": {"seed": -1}}, "sampling.seed"),
    ],
)
def test_a_bad_generate_names_its_field(
    trainer: Client, changes: dict[str, object], field: str
) -> None:
    good = {"policies": [trainer.base_policy()], "prompts": text_messages(PROMPTS)}
    request = trainer_pb2.GenerateRequest(**{**good, **changes})  # type: ignore[arg-type]
    with pytest.raises(grpc.RpcError) as caught:
        list(trainer.stub.Generate(request))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(caught.value) == [field]


def test_a_request_needs_an_id(trainer: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        trainer.stub.TrainPolicy(trainer_pb2.TrainPolicyRequest(spec=spec()))
    assert fields(caught.value) == ["request_id"]


def test_what_does_not_exist_is_not_found(trainer: Client) -> None:
    calls = (
        lambda: trainer.stub.GetPolicy(trainer_pb2.GetPolicyRequest(name="policies/none")),
        lambda: trainer.stub.DeletePolicy(trainer_pb2.DeletePolicyRequest(name="policies/none")),
        lambda: trainer.generate("policies/none"),
        lambda: list(trainer.watch("operations/none")),
        lambda: trainer.operations.GetOperation(
            operations_pb2.GetOperationRequest(name="operations/none")
        ),
    )
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        resource = error_details_pb2.ResourceInfo()
        assert any(detail.Unpack(resource) for detail in status(caught.value).details)
        assert resource.resource_name in ("policies/none", "operations/none")


def test_the_server_says_what_it_is(trainer: Client) -> None:
    info = trainer.stub.GetServerInfo(types_pb2.GetServerInfoRequest())
    assert info.service == "trainer"
    assert info.readiness.ready
    assert info.limits["max_prompts"] > 0
    (base,) = info.base_models
    assert base.name == "tiny"
    assert len(base.revision) == 64
    policy = trainer.stub.GetPolicy(trainer_pb2.GetPolicyRequest(name=base.policy))
    assert policy.is_base_model
    assert policy.state == trainer_pb2.POLICY_STATE_READY


def test_a_base_model_cannot_be_deleted(trainer: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        trainer.stub.DeletePolicy(trainer_pb2.DeletePolicyRequest(name=trainer.base_policy()))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_completions_arrive_once_each_and_the_seed_determines_them(trainer: Client) -> None:
    base = trainer.base_policy()
    completions = trainer.generate(base, samples_per_prompt=3, max_tokens=6, seed=1)
    assert [(c.policy, c.prompt_index, c.sample_index) for c in completions] == [
        (base, prompt, sample) for prompt in range(2) for sample in range(3)
    ]
    assert all(1 <= c.tokens <= 6 for c in completions)
    assert trainer.generate(base, samples_per_prompt=3, max_tokens=6, seed=1) == completions
    other = trainer.generate(base, samples_per_prompt=3, max_tokens=6, seed=2)
    assert [c.text for c in other] != [c.text for c in completions]


def test_greedy_decoding_has_one_answer(trainer: Client) -> None:
    base = trainer.base_policy()
    completions = trainer.generate(base, samples_per_prompt=2, max_tokens=8, temperature=0.0)
    texts = {(c.prompt_index, c.text) for c in completions}
    assert len(texts) == 2
    again = trainer.generate(base, samples_per_prompt=2, max_tokens=8, temperature=0.0, seed=9)
    assert {(c.prompt_index, c.text) for c in again} == texts


class Endless:
    """A call to `Generate` that would take hours."""

    def __init__(self, trainer: Client, timeout: float | None = None) -> None:
        request = trainer_pb2.GenerateRequest(
            policies=[trainer.base_policy()],
            prompts=text_messages(f"Tell me story {i}." for i in range(2000)),
            sampling=trainer_pb2.SamplingConfig(samples_per_prompt=1024, max_tokens=4096),
        )
        self.call = trainer.stub.Generate(request, timeout=timeout)


def test_a_cancelled_call_makes_room_for_the_next(trainer: Client) -> None:
    endless = Endless(trainer)
    endless.call.cancel()
    assert len(trainer.generate(trainer.base_policy(), max_tokens=2)) == 2


def test_a_call_past_its_deadline_makes_room_for_the_next(trainer: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(Endless(trainer, timeout=1.0).call)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(trainer.generate(trainer.base_policy(), max_tokens=2)) == 2


def test_health_answers_while_sampling(trainer: Client) -> None:
    endless = Endless(trainer)
    for _ in range(20):
        trainer.stub.GetServerInfo(types_pb2.GetServerInfoRequest(), timeout=30)
    assert endless.call.is_active()
    endless.call.cancel()


def test_a_full_queue_says_when_to_try_again(trainer: Client) -> None:
    info = trainer.stub.GetServerInfo(types_pb2.GetServerInfoRequest())
    calls = [Endless(trainer).call for _ in range(info.limits["max_queued_generations"] + 1)]
    refused = None
    while refused is None:
        refused = next((call for call in calls if not call.is_active()), None)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status(refused).details)
    assert retry.retry_delay.ToMilliseconds() > 0
    for call in calls:
        call.cancel()
    while True:
        try:
            assert len(trainer.generate(trainer.base_policy(), max_tokens=2)) == 2
            return
        except grpc.RpcError as error:
            # The calls that were cancelled are being dropped.
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
