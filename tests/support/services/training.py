"""A thin client of the trainer for its tests."""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

from palmfolio.v1 import trainer_pb2, trainer_pb2_grpc
from tests.support.prompts import text_messages
from tests.support.services.processes import ServiceProcess

PROMPTS = ("How are you?", "What is new?", "Tell me a story.", "Why is the sky blue?")
DONE_SECONDS = 240
# More steps than any test waits for.
ENDLESS = 100_000


def spec(seed: int = 0, **grpo: float) -> trainer_pb2.PolicySpec:
    """A short training of the tiny model for brevity."""
    settings: dict[str, float] = {
        "steps": 3,
        "learning_rate": 0.01,
        "completions_per_prompt": 4,
        "max_completion_tokens": 8,
    }
    return trainer_pb2.PolicySpec(
        base_model="tiny",
        weights={"values": {"brevity": 1.0}},  # type: ignore[arg-type]
        prompts=text_messages(PROMPTS),
        seed=seed,
        grpo=trainer_pb2.GrpoConfig(**{**settings, **grpo}),  # type: ignore[arg-type]
    )


class Client:
    """Calls of a trainer process, over its present channel."""

    def __init__(self, process: ServiceProcess) -> None:
        self.process = process

    @property
    def stub(self) -> trainer_pb2_grpc.TrainerStub:
        """The trainer's calls."""
        return trainer_pb2_grpc.TrainerStub(self.process.channel)

    @property
    def operations(self) -> operations_pb2_grpc.OperationsStub:
        """The operations' calls."""
        return operations_pb2_grpc.OperationsStub(self.process.channel)

    def train(
        self, message: trainer_pb2.PolicySpec, request_id: str = ""
    ) -> operations_pb2.Operation:
        """Asks for a training."""
        return self.stub.TrainPolicy(
            trainer_pb2.TrainPolicyRequest(request_id=request_id or uuid.uuid4().hex, spec=message)
        )

    def watch(self, name: str, after: int = 0) -> Iterator[trainer_pb2.TrainingEvent]:
        """The events of an operation."""
        return iter(
            self.stub.WatchTraining(
                trainer_pb2.WatchTrainingRequest(operation=name, after_event=after),
                timeout=DONE_SECONDS,
            )
        )

    def until_step(self, name: str, after: int = 0) -> trainer_pb2.TrainingEvent:
        """The first event of a finished step after the event of that number."""
        for event in self.watch(name, after):
            if event.progress.stage == "training" and event.progress.step and not event.message:
                return event
        raise AssertionError(f"{name} ended: {self.done(name)}")

    def done(self, name: str) -> operations_pb2.Operation:
        """Waits until an operation is done."""
        operation = self.operations.WaitOperation(
            operations_pb2.WaitOperationRequest(
                name=name, timeout=duration_pb2.Duration(seconds=DONE_SECONDS)
            )
        )
        assert operation.done, f"{name} is not done after {DONE_SECONDS} s: {operation}"
        return operation

    def cancel(self, name: str) -> operations_pb2.Operation:
        """Cancels an operation and waits for its end."""
        self.operations.CancelOperation(operations_pb2.CancelOperationRequest(name=name))
        return self.done(name)

    def policy_of(self, operation: operations_pb2.Operation) -> trainer_pb2.Policy:
        """The policy that an operation makes, as it is now."""
        metadata = trainer_pb2.TrainPolicyMetadata()
        assert operation.metadata.Unpack(metadata)
        return self.stub.GetPolicy(trainer_pb2.GetPolicyRequest(name=metadata.policy))

    def generate(self, *policies: str, **sampling: float) -> list[trainer_pb2.Completion]:
        """Completions of two prompts, in the order of policy, prompt and sample."""
        answers = self.stub.Generate(
            trainer_pb2.GenerateRequest(
                policies=policies,
                prompts=text_messages(PROMPTS[:2]),
                sampling=trainer_pb2.SamplingConfig(**sampling),  # type: ignore[arg-type]
            ),
            timeout=DONE_SECONDS,
        )
        completions = [completion for answer in answers for completion in answer.completions]
        return sorted(completions, key=lambda c: (c.policy, c.prompt_index, c.sample_index))

    def base_policy(self) -> str:
        """The name of the base model's own policy."""
        page = self.stub.ListPolicies(trainer_pb2.ListPoliciesRequest(page_size=1000))
        (name,) = [policy.name for policy in page.policies if policy.is_base_model]
        return name

    def job_process(self, name: str) -> int:
        """The id of the process that runs an operation's job."""
        log = f"/jobs/{name.removeprefix('operations/')}/job.log"
        give_up = time.monotonic() + DONE_SECONDS
        while time.monotonic() < give_up:
            for process in _children(self.process.pid):
                if _standard_error(process).endswith(log):
                    return process
            time.sleep(0.05)
        raise AssertionError(f"{name} has no process")


def _children(process: int) -> list[int]:
    processes = []
    for task in Path(f"/proc/{process}/task").iterdir():
        processes += [int(child) for child in (task / "children").read_text().split()]
    return processes


def _standard_error(process: int) -> str:
    try:
        return str(Path(f"/proc/{process}/fd/2").readlink())
    except OSError:
        return ""


def alive(process: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def status(error: grpc.RpcError | grpc.Call) -> status_pb2.Status:
    """The rich status of a failed call."""
    assert isinstance(error, grpc.Call)
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            assert isinstance(value, bytes)
            return status_pb2.Status.FromString(value)
    raise AssertionError(f"{error} has no details")


def fields(error: grpc.RpcError) -> list[str]:
    """The fields that an INVALID_ARGUMENT names."""
    request = error_details_pb2.BadRequest()
    for detail in status(error).details:
        if detail.Unpack(request):
            return [violation.field for violation in request.field_violations]
    raise AssertionError(f"{error} names no fields")
