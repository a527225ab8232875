"""The selector's calls."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    set_seconds,
    unchanged,
)
from palmfolio._codec import decode, encode, encode_prompts
from palmfolio.v1 import evaluations_pb2, portfolios_pb2, prompts_pb2, selector_pb2

# The server stores each message of an import in one transaction.
_ROWS_PER_MESSAGE = 1000
_BYTES_PER_MESSAGE = 2**20
_EVALUATIONS_PER_PAGE = 1000
_PROMPTS_PER_PAGE = 1000


def create_prompt_set(
    prompts: Sequence[str | types.Prompt], display_name: str, request_id: str | None
) -> Call[types.PromptSet]:
    """`CreatePromptSet`."""
    request = selector_pb2.CreatePromptSetRequest(request_id=request_id or new_request_id())
    encode_prompts(prompts, request.prompt_set.prompts)
    request.prompt_set.display_name = display_name
    return Call("selector", "CreatePromptSet", request, reader(types.PromptSet))


def get_prompt_set(name: str) -> Call[types.PromptSet]:
    """`GetPromptSet`."""
    request = prompts_pb2.GetPromptSetRequest(name=resource("promptSets", name))
    return Call("selector", "GetPromptSet", request, reader(types.PromptSet))


def list_prompt_sets(page_token: str) -> Call[Page[types.PromptSet]]:
    """`ListPromptSets`."""
    request = prompts_pb2.ListPromptSetsRequest(page_token=page_token)
    return Call("selector", "ListPromptSets", request, page_reader(types.PromptSet, "prompt_sets"))


def list_prompts(prompt_set: str, page_token: str) -> Call[Page[types.Prompt]]:
    """`ListPrompts`."""
    request = prompts_pb2.ListPromptsRequest(
        prompt_set=resource("promptSets", prompt_set),
        page_size=_PROMPTS_PER_PAGE,
        page_token=page_token,
    )
    return Call("selector", "ListPrompts", request, page_reader(types.Prompt, "prompts"))


def build_portfolio(
    portfolio_id: str, spec: types.PortfolioSpec, request_id: str | None
) -> Call[Any]:
    """`BuildPortfolio`; answers a `google.longrunning.Operation`."""
    request = selector_pb2.BuildPortfolioRequest(
        request_id=request_id or new_request_id(), portfolio_id=portfolio_id
    )
    encode(spec, request.spec)
    return Call("selector", "BuildPortfolio", request, unchanged)


def watch_build(operation: str, after: int) -> Call[types.BuildEvent]:
    """`WatchBuild`."""
    request = selector_pb2.WatchBuildRequest(operation=operation, after_event=after)
    return Call("selector", "WatchBuild", request, reader(types.BuildEvent))


def get_portfolio(name: str) -> Call[types.Portfolio]:
    """`GetPortfolio`."""
    request = selector_pb2.GetPortfolioRequest(name=resource("portfolios", name))
    return Call("selector", "GetPortfolio", request, reader(types.Portfolio))


def list_portfolios(page_token: str) -> Call[Page[types.Portfolio]]:
    """`ListPortfolios`."""
    request = selector_pb2.ListPortfoliosRequest(page_token=page_token)
    read = page_reader(types.Portfolio, "portfolios")
    return Call("selector", "ListPortfolios", request, read)


def delete_portfolio(name: str) -> Call[None]:
    """`DeletePortfolio`."""
    request = selector_pb2.DeletePortfolioRequest(name=resource("portfolios", name))
    return Call("selector", "DeletePortfolio", request, nothing)


def route(portfolio: str, weights: types.Weights) -> Call[types.Route]:
    """`Route`."""
    request = selector_pb2.RouteRequest(portfolio=resource("portfolios", portfolio))
    request.weights.values.update(weights)
    return Call("selector", "Route", request, reader(types.Route))


def plan_portfolio(spec: types.PortfolioSpec) -> Call[types.Plan]:
    """`PlanPortfolio`."""
    request = selector_pb2.PlanPortfolioRequest()
    encode(spec, request.spec)
    return Call("selector", "PlanPortfolio", request, reader(types.Plan))


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
    read = reader(types.EvaluationImport)
    return Call("selector", "ImportEvaluations", requests, read, limit="generate")


def _import_requests(
    request: selector_pb2.ImportEvaluationsRequest,
    evaluations: Iterable[types.ImportedEvaluation],
) -> Iterator[selector_pb2.ImportEvaluationsRequest]:
    size = 0
    for evaluation in evaluations:
        row = evaluations_pb2.ImportedEvaluation()
        encode(evaluation, row)
        # A row may have only the id, which is how files and notebooks name policies.
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
    policy: str | None, trait: str | None, source: str | None, page_token: str
) -> Call[Page[types.Evaluation]]:
    """`ListEvaluations`; a filter that is None lets everything through."""
    request = selector_pb2.ListEvaluationsRequest(
        page_size=_EVALUATIONS_PER_PAGE,
        page_token=page_token,
        policy=resource("policies", policy) if policy else "",
        trait=trait or "",
        source=source or "",
    )
    read = page_reader(types.Evaluation, "evaluations")
    return Call("selector", "ListEvaluations", request, read)


def select_portfolio(
    candidates: str | types.StoredEvaluations,
    *,
    epsilon: float,
    delta: float,
    max_size: int | None,
    method: types.SelectionMethod,
    time_limit: float | None,
    confidence_level: float | None,
    portfolio_id: str | None,
    request_id: str | None,
) -> Call[types.Selection]:
    """`SelectPortfolio`."""
    request = selector_pb2.SelectPortfolioRequest(
        epsilon=epsilon,
        delta=delta,
        max_size=max_size or 0,
        method=selector_pb2.SelectionMethod.Value(f"SELECTION_METHOD_{method.name}"),
        confidence_level=confidence_level or 0.0,
        portfolio_id=portfolio_id or "",
        request_id=request_id or new_request_id(),
    )
    _encode_candidates(candidates, request.candidates)
    set_seconds(request.time_limit, time_limit)
    # A search may take minutes, so the longest of the client's timeouts applies.
    return Call("selector", "SelectPortfolio", request, reader(types.Selection), limit="generate")


def _encode_candidates(
    candidates: str | types.StoredEvaluations, message: evaluations_pb2.CandidateSet
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
    confidence_level: float | None,
) -> Call[types.Certification]:
    """`CertifyPortfolio`."""
    request = selector_pb2.CertifyPortfolioRequest(
        policies=[resource("policies", name) for name in policies],
        epsilon=epsilon,
        delta=delta,
        confidence_level=confidence_level or 0.0,
    )
    _encode_candidates(candidates, request.candidates)
    read = reader(types.Certification)
    return Call("selector", "CertifyPortfolio", request, read, limit="generate")


def tradeoff_curve(
    candidates: str | types.StoredEvaluations, max_size: int | None, time_limit: float | None
) -> Call[tuple[types.TradeoffPoint, ...]]:
    """`TradeoffCurve`."""
    request = selector_pb2.TradeoffCurveRequest(max_size=max_size or 0)
    _encode_candidates(candidates, request.candidates)
    set_seconds(request.time_limit, time_limit)
    return Call("selector", "TradeoffCurve", request, _read_curve, limit="generate")


def _read_curve(message: Any) -> tuple[types.TradeoffPoint, ...]:
    return tuple(decode(types.TradeoffPoint, point) for point in message.points)


BUILD: OperationKind[types.Portfolio, types.BuildEvent] = OperationKind(
    "selector", reader(types.Portfolio), portfolios_pb2.Portfolio, watch_build
)
