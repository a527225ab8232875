"""The trainer's calls."""

from collections.abc import Sequence
from typing import Any

from palmfolio import types
from palmfolio._calls.call import (
    Call,
    OperationKind,
    Page,
    new_request_id,
    nothing,
    page_reader,
    reader,
    resource,
    unchanged,
)
from palmfolio._codec import decode, encode, encode_prompts
from palmfolio.v1 import trainer_pb2


def train_policy(spec: types.PolicySpec, request_id: str | None) -> Call[Any]:
    """`TrainPolicy`; answers a `google.longrunning.Operation`."""
    request = trainer_pb2.TrainPolicyRequest(request_id=request_id or new_request_id())
    encode(spec, request.spec)
    # Users may give the id only; the protocol wants the full name.
    if spec.initial_policy:
        request.spec.initial_policy = resource("policies", spec.initial_policy)
    return Call("trainer", "TrainPolicy", request, unchanged)


def get_policy(name: str) -> Call[types.Policy]:
    """`GetPolicy`."""
    request = trainer_pb2.GetPolicyRequest(name=resource("policies", name))
    return Call("trainer", "GetPolicy", request, reader(types.Policy))


def list_policies(page_token: str) -> Call[Page[types.Policy]]:
    """`ListPolicies`."""
    request = trainer_pb2.ListPoliciesRequest(page_token=page_token)
    return Call("trainer", "ListPolicies", request, page_reader(types.Policy, "policies"))


def delete_policy(name: str) -> Call[None]:
    """`DeletePolicy`."""
    request = trainer_pb2.DeletePolicyRequest(name=resource("policies", name))
    return Call("trainer", "DeletePolicy", request, nothing)


def generate(
    policies: Sequence[str],
    prompts: Sequence[str | types.Prompt],
    sampling: types.SamplingConfig | None,
) -> Call[list[types.Completion]]:
    """`Generate`; each answer is a batch of completions."""
    names = [resource("policies", name) for name in policies]
    request = trainer_pb2.GenerateRequest(policies=names)
    encode_prompts(prompts, request.prompts)
    if sampling is not None:
        encode(sampling, request.sampling)
    return Call("trainer", "Generate", request, _read_completions, limit="generate")


def _read_completions(message: Any) -> list[types.Completion]:
    return [decode(types.Completion, item) for item in message.completions]


def in_request_order(
    completions: list[types.Completion], policies: Sequence[str]
) -> list[types.Completion]:
    """Sorts completions by policy as requested, then prompt, then sample.

    The server sends each as soon as it is complete, in any order.
    """
    rank = {resource("policies", name): index for index, name in enumerate(policies)}
    return sorted(
        completions,
        key=lambda item: (rank.get(item.policy, -1), item.prompt_index, item.sample_index),
    )


def watch_training(operation: str, after: int) -> Call[types.TrainingEvent]:
    """`WatchTraining`."""
    request = trainer_pb2.WatchTrainingRequest(operation=operation, after_event=after)
    return Call("trainer", "WatchTraining", request, reader(types.TrainingEvent))


TRAINING: OperationKind[types.Policy, types.TrainingEvent] = OperationKind(
    "trainer", reader(types.Policy), trainer_pb2.Policy, watch_training
)
