"""Calls to a selector that several tests make."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import duration_pb2

from palmfolio.v1 import (
    portfolios_pb2,
    prompts_pb2,
    selector_pb2,
    selector_pb2_grpc,
    trainer_pb2,
    types_pb2,
)
from palmfolio_runtime.clients.channels import status_of

BUILD_SECONDS = 240.0
TRAINING = ["Say hello.", "Name a colour.", "What is rain?", "Tell me a word."]
EVALUATION = ["What is snow?", "Name a river.", "Greet a friend."]
STEPS = trainer_pb2.GrpoConfig(
    steps=1, prompts_per_step=2, completions_per_prompt=2, max_completion_tokens=8
)


class Caller:
    """A client of one selector."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.stub = selector_pb2_grpc.SelectorStub(channel)
        self.operations = operations_pb2_grpc.OperationsStub(channel)

    def prompt_set(self, prompts: Sequence[str | prompts_pb2.Prompt]) -> str:
        """The name of a set of prompts."""
        records = [
            prompts_pb2.Prompt(text=prompt) if isinstance(prompt, str) else prompt
            for prompt in prompts
        ]
        request = selector_pb2.CreatePromptSetRequest(
            request_id=uuid.uuid4().hex, prompt_set=prompts_pb2.PromptSet(prompts=records)
        )
        return self.stub.CreatePromptSet(request, timeout=10).name

    def spec(
        self, *weights: dict[str, float], seed: int = 0, **fields: Any
    ) -> portfolios_pb2.PortfolioSpec:
        """A spec of small trainings at these weights."""
        spec = portfolios_pb2.PortfolioSpec(
            base_model="tiny",
            traits=["brevity", "warmth"],
            training_prompt_set=self.prompt_set(TRAINING),
            evaluation_prompt_set=self.prompt_set(EVALUATION),
            epsilon=0.01,
            delta=0.01,
            grpo=STEPS,
            sampling=trainer_pb2.SamplingConfig(samples_per_prompt=2, max_tokens=12),
            seed=seed,
            **fields,
        )
        for row in weights:
            spec.strategy.explicit.trainings.add(weights=types_pb2.Weights(values=row))
        return spec

    def build(
        self, portfolio_id: str, spec: portfolios_pb2.PortfolioSpec, request_id: str = ""
    ) -> operations_pb2.Operation:
        """Starts a build."""
        request = selector_pb2.BuildPortfolioRequest(
            request_id=request_id or uuid.uuid4().hex, portfolio_id=portfolio_id, spec=spec
        )
        return self.stub.BuildPortfolio(request, timeout=20)

    def wait(self, operation: str) -> operations_pb2.Operation:
        """The operation once it is done."""
        request = operations_pb2.WaitOperationRequest(
            name=operation, timeout=duration_pb2.Duration(seconds=int(BUILD_SECONDS))
        )
        done = self.operations.WaitOperation(request, timeout=BUILD_SECONDS + 5)
        assert done.done, done
        return done

    def built(
        self, portfolio_id: str, spec: portfolios_pb2.PortfolioSpec
    ) -> portfolios_pb2.Portfolio:
        """A portfolio once it is built."""
        done = self.wait(self.build(portfolio_id, spec).name)
        assert not done.HasField("error"), done.error
        portfolio = portfolios_pb2.Portfolio()
        assert done.response.Unpack(portfolio)
        return portfolio

    def portfolio(self, portfolio_id: str) -> portfolios_pb2.Portfolio:
        """A portfolio as it is."""
        request = selector_pb2.GetPortfolioRequest(name=f"portfolios/{portfolio_id}")
        return self.stub.GetPortfolio(request, timeout=10)

    def events(self, operation: str, after: int = 0) -> list[portfolios_pb2.BuildEvent]:
        """The events of a build that has ended."""
        request = selector_pb2.WatchBuildRequest(operation=operation, after_event=after)
        return list(self.stub.WatchBuild(request, timeout=BUILD_SECONDS))

    def await_event(
        self, operation: str, wanted: Callable[[portfolios_pb2.BuildEvent], bool]
    ) -> portfolios_pb2.BuildEvent:
        """The first event that is wanted, as soon as it comes."""
        request = selector_pb2.WatchBuildRequest(operation=operation)
        stream = self.stub.WatchBuild(request, timeout=BUILD_SECONDS)
        seen = []
        try:
            for event in stream:
                seen.append(event.message)
                if wanted(event):
                    return event
        finally:
            stream.cancel()
        raise AssertionError(f"the build ended without the event; its messages: {seen}")


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str, dict[str, bytes]]:
    """The code, the message and the details by type that a call is refused with."""
    try:
        call()
    except grpc.RpcError as error:
        status = status_of(error)
        details = {d.type_url.rsplit(".", 1)[-1]: d.value for d in status.details}
        return error.code(), status.message, details
    raise AssertionError("the call went through")


def comparable(portfolio: portfolios_pb2.Portfolio) -> portfolios_pb2.Portfolio:
    """What two builds of the same spec must have in common."""
    same = portfolios_pb2.Portfolio()
    same.CopyFrom(portfolio)
    for field in ("name", "operation", "create_time"):
        same.ClearField(field)
    return same
