"""Every call of the protocol as data: what is sent, where, and how the answer is read.

The sync and the asyncio client hand these to their transports and add nothing, which is what keeps
the two in step.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.message import Message

from palmfolio import types
from palmfolio._codec import decode, encode
from palmfolio._connection import ServiceName
from palmfolio.v1 import (
    scorer_pb2,
    scorer_pb2_grpc,
    selector_pb2,
    selector_pb2_grpc,
    trainer_pb2,
    trainer_pb2_grpc,
    types_pb2,
)

Answer = TypeVar("Answer")
Result = TypeVar("Result")


class Numbered(Protocol):
    """An event that a watch can be taken up after."""

    @property
    def number(self) -> int:
        """1, 2, 3 … within the operation."""


Event = TypeVar("Event", bound=Numbered)

Page = tuple[list[Answer], str]
"""Items, and the token of the next page; empty on the last."""

STUBS: dict[ServiceName, Any] = {
    "scorer": scorer_pb2_grpc.ScorerStub,
    "trainer": trainer_pb2_grpc.TrainerStub,
    "selector": selector_pb2_grpc.SelectorStub,
}
OPERATIONS_STUB: Any = operations_pb2_grpc.OperationsStub

# The server stores each message of an import in one transaction.
_ROWS_PER_MESSAGE = 1000
_BYTES_PER_MESSAGE = 2**20
_EVALUATIONS_PER_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One call.

    Attributes:
        service: which service answers.
        method: the method's name.
        request: what is sent: a message, or an iterator of messages for a client stream.
        read: turns an answer (for a stream, each answer) into a value.
        limit: which of the client's timeouts applies.
        of_operations: the method is one of `google.longrunning.Operations`.
    """

    service: ServiceName
    method: str
    request: Any
    read: Callable[[Any], Answer]
    limit: Literal["call", "score", "generate"] = "call"
    of_operations: bool = False

    @property
    def request_id(self) -> str:
        """The id that makes the call traceable and, where it changes something, safe to repeat."""
        return getattr(self.request, "request_id", "") or new_request_id()


@dataclass(frozen=True, slots=True)
class OperationKind(Generic[Result, Event]):
    """What tells one kind of long-running operation from another.

    Attributes:
        service: the service that owns the operation.
        read: turns the response into a value.
        response: the response's message class.
        watch: the call that streams events after a given number.
    """

    service: ServiceName
    read: Callable[[Any], Result]
    response: type[Message]
    watch: Callable[[str, int], Call[Event]]


def new_request_id() -> str:
    """A fresh id."""
    return str(uuid.uuid4())


def resource(collection: str, name: str) -> str:
    """A resource name such as `policies/abc`, from itself or from its last part."""
    return name if name.startswith(f"{collection}/") else f"{collection}/{name}"


def _identity(message: Any) -> Any:
    return message


def _reader(cls: type[Answer]) -> Callable[[Any], Answer]:
    return lambda message: decode(cls, message)


def _page_reader(cls: type[Answer], items: str) -> Callable[[Any], Page[Answer]]:
    def read(message: Any) -> Page[Answer]:
        return [decode(cls, item) for item in getattr(message, items)], message.next_page_token

    return read


def server_info(service: ServiceName) -> Call[types.ServerInfo]:
    """`GetServerInfo` of any service."""
    request = types_pb2.GetServerInfoRequest()
    return Call(service, "GetServerInfo", request, _reader(types.ServerInfo))


# Scorer


def list_traits(page_token: str) -> Call[Page[types.Trait]]:
    """`ListTraits`."""
    request = scorer_pb2.ListTraitsRequest(page_token=page_token)
    return Call("scorer", "ListTraits", request, _page_reader(types.Trait, "traits"))


def score(samples: Iterable[types.Sample], traits: Sequence[str]) -> Call[types.Rewards]:
    """`Score`."""
    request = scorer_pb2.ScoreRequest(traits=list(traits))
    for sample in samples:
        encode(sample, request.samples.add())
    return Call("scorer", "Score", request, _read_rewards, limit="score")


def score_stream() -> Call[Any]:
    """`ScoreStream`; requests and answers are left to `_scoring`."""
    return Call("scorer", "ScoreStream", None, _identity, limit="score")


def calibrate(
    trait: str,
    samples: Iterable[types.Sample],
    method: types.CalibrationMethod,
    tail: float,
    validate_only: bool,
    request_id: str | None,
) -> Call[types.Calibration]:
    """`Calibrate`."""
    request = scorer_pb2.CalibrateRequest(
        trait=resource("traits", trait),
        method=scorer_pb2.CalibrationMethod.Value(f"CALIBRATION_METHOD_{method.name}"),
        tail=tail,
        validate_only=validate_only,
        request_id=request_id or new_request_id(),
    )
    for sample in samples:
        encode(sample, request.samples.add())
    return Call("scorer", "Calibrate", request, _reader(types.Calibration), limit="score")


def _read_rewards(message: Any) -> types.Rewards:
    return decode(types.Rewards, message.rewards)


# Trainer


def train_policy(spec: types.PolicySpec, request_id: str | None) -> Call[Any]:
    """`TrainPolicy`; answers a `google.longrunning.Operation`."""
    request = trainer_pb2.TrainPolicyRequest(request_id=request_id or new_request_id())
    encode(spec, request.spec)
    return Call("trainer", "TrainPolicy", request, _identity)


def get_policy(name: str) -> Call[types.Policy]:
    """`GetPolicy`."""
    request = trainer_pb2.GetPolicyRequest(name=resource("policies", name))
    return Call("trainer", "GetPolicy", request, _reader(types.Policy))


def list_policies(page_token: str) -> Call[Page[types.Policy]]:
    """`ListPolicies`."""
    request = trainer_pb2.ListPoliciesRequest(page_token=page_token)
    return Call("trainer", "ListPolicies", request, _page_reader(types.Policy, "policies"))


def delete_policy(name: str) -> Call[None]:
    """`DeletePolicy`."""
    request = trainer_pb2.DeletePolicyRequest(name=resource("policies", name))
    return Call("trainer", "DeletePolicy", request, _nothing)


def generate(
    policies: Sequence[str], prompts: Sequence[str], sampling: types.SamplingConfig | None
) -> Call[list[types.Completion]]:
    """`Generate`; each answer is a batch of completions."""
    names = [resource("policies", name) for name in policies]
    request = trainer_pb2.GenerateRequest(policies=names, prompts=list(prompts))
    if sampling is not None:
        encode(sampling, request.sampling)
    return Call("trainer", "Generate", request, _read_completions, limit="generate")


def _read_completions(message: Any) -> list[types.Completion]:
    return [decode(types.Completion, item) for item in message.completions]


def in_request_order(
    completions: list[types.Completion], policies: Sequence[str]
) -> list[types.Completion]:
    """Completions by policy as requested, then prompt, then sample: they arrive in any order."""
    rank = {resource("policies", name): index for index, name in enumerate(policies)}
    return sorted(
        completions,
        key=lambda item: (rank.get(item.policy, -1), item.prompt_index, item.sample_index),
    )


def watch_training(operation: str, after: int) -> Call[types.TrainingEvent]:
    """`WatchTraining`."""
    request = trainer_pb2.WatchTrainingRequest(operation=operation, after_event=after)
    return Call("trainer", "WatchTraining", request, _reader(types.TrainingEvent))


# Selector


def create_prompt_set(
    prompts: Sequence[str], display_name: str, request_id: str | None
) -> Call[types.PromptSet]:
    """`CreatePromptSet`."""
    request = selector_pb2.CreatePromptSetRequest(request_id=request_id or new_request_id())
    request.prompt_set.prompts.extend(prompts)
    request.prompt_set.display_name = display_name
    return Call("selector", "CreatePromptSet", request, _reader(types.PromptSet))


def build_portfolio(
    portfolio_id: str, spec: types.PortfolioSpec, request_id: str | None
) -> Call[Any]:
    """`BuildPortfolio`; answers a `google.longrunning.Operation`."""
    request = selector_pb2.BuildPortfolioRequest(
        request_id=request_id or new_request_id(), portfolio_id=portfolio_id
    )
    encode(spec, request.spec)
    return Call("selector", "BuildPortfolio", request, _identity)


def watch_build(operation: str, after: int) -> Call[types.BuildEvent]:
    """`WatchBuild`."""
    request = selector_pb2.WatchBuildRequest(operation=operation, after_event=after)
    return Call("selector", "WatchBuild", request, _reader(types.BuildEvent))


def get_portfolio(name: str) -> Call[types.Portfolio]:
    """`GetPortfolio`."""
    request = selector_pb2.GetPortfolioRequest(name=resource("portfolios", name))
    return Call("selector", "GetPortfolio", request, _reader(types.Portfolio))


def list_portfolios(page_token: str) -> Call[Page[types.Portfolio]]:
    """`ListPortfolios`."""
    request = selector_pb2.ListPortfoliosRequest(page_token=page_token)
    read = _page_reader(types.Portfolio, "portfolios")
    return Call("selector", "ListPortfolios", request, read)


def delete_portfolio(name: str) -> Call[None]:
    """`DeletePortfolio`."""
    request = selector_pb2.DeletePortfolioRequest(name=resource("portfolios", name))
    return Call("selector", "DeletePortfolio", request, _nothing)


def route(portfolio: str, weights: types.Weights) -> Call[types.Route]:
    """`Route`."""
    request = selector_pb2.RouteRequest(portfolio=resource("portfolios", portfolio))
    request.weights.values.update(weights)
    return Call("selector", "Route", request, _reader(types.Route))


def plan_portfolio(spec: types.PortfolioSpec) -> Call[types.Plan]:
    """`PlanPortfolio`."""
    request = selector_pb2.PlanPortfolioRequest()
    encode(spec, request.spec)
    return Call("selector", "PlanPortfolio", request, _reader(types.Plan))


def import_evaluations(
    source: str,
    traits: Sequence[str],
    evaluations: Iterable[types.ImportedEvaluation],
    trait_versions: Mapping[str, str] | None,
) -> Call[types.EvaluationImport]:
    """`ImportEvaluations`; reads `evaluations` while it sends."""
    first = selector_pb2.ImportEvaluationsRequest(
        source=source, traits=list(traits), trait_versions=trait_versions
    )
    requests = _import_requests(first, evaluations)
    read = _reader(types.EvaluationImport)
    return Call("selector", "ImportEvaluations", requests, read, limit="generate")


def _import_requests(
    request: selector_pb2.ImportEvaluationsRequest,
    evaluations: Iterable[types.ImportedEvaluation],
) -> Iterator[selector_pb2.ImportEvaluationsRequest]:
    size = 0
    for evaluation in evaluations:
        row = selector_pb2.ImportedEvaluation()
        encode(evaluation, row)
        row.policy = resource("policies", row.policy)
        rows = len(request.evaluations)
        if rows == _ROWS_PER_MESSAGE or (rows and size + row.ByteSize() > _BYTES_PER_MESSAGE):
            yield request
            request, size = selector_pb2.ImportEvaluationsRequest(), 0
        request.evaluations.append(row)
        size += row.ByteSize()
    # The first message goes out even without rows: the server says what is missing.
    yield request


def list_evaluations(
    policy: str, trait: str, source: str, page_token: str
) -> Call[Page[types.Evaluation]]:
    """`ListEvaluations`; what is empty does not filter."""
    request = selector_pb2.ListEvaluationsRequest(
        page_size=_EVALUATIONS_PER_PAGE,
        page_token=page_token,
        policy=resource("policies", policy) if policy else "",
        trait=trait,
        source=source,
    )
    read = _page_reader(types.Evaluation, "evaluations")
    return Call("selector", "ListEvaluations", request, read)


def select_portfolio(
    candidates: str | types.StoredEvaluations,
    target: tuple[float, float, int],
    method: types.SelectionMethod,
    time_limit: float | None,
    confidence_level: float,
    portfolio_id: str,
    request_id: str | None,
) -> Call[types.Selection]:
    """`SelectPortfolio`; `target` is epsilon, delta and the largest size."""
    epsilon, delta, max_size = target
    request = selector_pb2.SelectPortfolioRequest(
        epsilon=epsilon,
        delta=delta,
        max_size=max_size,
        method=selector_pb2.SelectionMethod.Value(f"SELECTION_METHOD_{method.name}"),
        confidence_level=confidence_level,
        portfolio_id=portfolio_id,
        request_id=request_id or new_request_id(),
    )
    _encode_candidates(candidates, request.candidates)
    if time_limit is not None:
        request.time_limit.FromMilliseconds(round(time_limit * 1000))
    return Call("selector", "SelectPortfolio", request, _reader(types.Selection), limit="generate")


def _encode_candidates(
    candidates: str | types.StoredEvaluations, message: selector_pb2.CandidateSet
) -> None:
    if isinstance(candidates, str):
        message.portfolio = resource("portfolios", candidates)
        return
    stored = message.evaluations
    encode(candidates, stored)
    stored.prompt_set = resource("promptSets", stored.prompt_set)
    stored.policies[:] = [resource("policies", name) for name in candidates.policies]


def certify_portfolio(
    candidates: str | types.StoredEvaluations,
    policies: Sequence[str],
    epsilon: float,
    delta: float,
) -> Call[types.Certification]:
    """`CertifyPortfolio`."""
    request = selector_pb2.CertifyPortfolioRequest(
        policies=[resource("policies", name) for name in policies], epsilon=epsilon, delta=delta
    )
    _encode_candidates(candidates, request.candidates)
    read = _reader(types.Certification)
    return Call("selector", "CertifyPortfolio", request, read, limit="generate")


def tradeoff_curve(
    candidates: str | types.StoredEvaluations, max_size: int, time_limit: float | None
) -> Call[tuple[types.TradeoffPoint, ...]]:
    """`TradeoffCurve`."""
    request = selector_pb2.TradeoffCurveRequest(max_size=max_size)
    _encode_candidates(candidates, request.candidates)
    if time_limit is not None:
        request.time_limit.FromMilliseconds(round(time_limit * 1000))
    return Call("selector", "TradeoffCurve", request, _read_curve, limit="generate")


def _read_curve(message: Any) -> tuple[types.TradeoffPoint, ...]:
    return tuple(decode(types.TradeoffPoint, point) for point in message.points)


# Operations


def get_operation(service: ServiceName, name: str) -> Call[Any]:
    """`GetOperation`."""
    request = operations_pb2.GetOperationRequest(name=resource("operations", name))
    return Call(service, "GetOperation", request, _identity, of_operations=True)


def wait_operation(service: ServiceName, name: str, seconds: float) -> Call[Any]:
    """`WaitOperation` for at most `seconds`; answers the operation, done or not."""
    request = operations_pb2.WaitOperationRequest(name=name)
    request.timeout.FromMilliseconds(round(seconds * 1000))
    return Call(service, "WaitOperation", request, _identity, of_operations=True)


def cancel_operation(service: ServiceName, name: str) -> Call[None]:
    """`CancelOperation`."""
    request = operations_pb2.CancelOperationRequest(name=name)
    return Call(service, "CancelOperation", request, _nothing, of_operations=True)


def list_operations(service: ServiceName, page_token: str) -> Call[Page[Any]]:
    """`ListOperations`."""
    request = operations_pb2.ListOperationsRequest(name="operations", page_token=page_token)
    return Call(service, "ListOperations", request, _read_operations, of_operations=True)


def _read_operations(message: Any) -> Page[Any]:
    return list(message.operations), message.next_page_token


def _nothing(_message: Any) -> None:
    return None


TRAINING: OperationKind[types.Policy, types.TrainingEvent] = OperationKind(
    "trainer", _reader(types.Policy), trainer_pb2.Policy, watch_training
)
BUILD: OperationKind[types.Portfolio, types.BuildEvent] = OperationKind(
    "selector", _reader(types.Portfolio), selector_pb2.Portfolio, watch_build
)
