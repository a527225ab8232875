"""Calls that select from stored candidates and certify portfolios of them."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from palmfolio.v1 import (
    errors_pb2,
    evaluations_pb2,
    output_diversity_pb2,
    portfolios_pb2,
    selector_pb2,
)
from palmfolio_palm import ConfidenceBound, Target, TargetInfeasible, selection
from palmfolio_palm.validation import IntArray
from palmfolio_runtime import names, operations
from palmfolio_runtime.errors import already_exists, invalid_argument
from palmfolio_runtime.limits import SelectorLimits
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_selector.builds import output_diversity
from palmfolio_selector.calls.call_group import CallGroup
from palmfolio_selector.messages import certificates
from palmfolio_selector.messages import portfolios as messages
from palmfolio_selector.messages.certificates import SelectionResult
from palmfolio_selector.store import candidates, portfolios
from palmfolio_selector.store.candidates import Candidates
from palmfolio_selector.store.values import PromptRewards

_METHOD = "SelectPortfolio"
# Largest size on a curve.
_DEFAULT_CURVE = 8
_MAX_CURVE = 64


@dataclass(frozen=True)
class _Choice:
    """The candidates to choose from.

    Attributes:
        rewards: by prompt; None when the candidates are too many to read them.
    """

    candidates: Candidates
    rewards: PromptRewards | None


class SelectionCalls(CallGroup):
    """`SelectPortfolio`, `CertifyPortfolio`, `TradeoffCurve`."""

    async def SelectPortfolio(
        self, request: selector_pb2.SelectPortfolioRequest, context: Context
    ) -> selector_pb2.SelectPortfolioResponse:
        """Selects from stored candidates; stores the portfolio only when the request has an id."""
        self._state.check_ready()
        _check_target(request.epsilon, request.delta, request.max_size)
        level = _level(request.confidence_level)
        seconds = self._seconds(request)
        if request.portfolio_id:
            # Before the search, which may take a minute, and again when the portfolio is stored.
            names.check_request_id(request.request_id)
            names.check_chosen_id(request.portfolio_id, "portfolio_id")
            known = await self._database.run(_known, request)
            if known is not None:
                return known
        choice = await self._read(request.candidates)
        values = choice.candidates.values
        target = Target(request.epsilon, request.delta, request.max_size)
        greedy = request.method == selector_pb2.SELECTION_METHOD_GREEDY
        try:
            chosen = await self._search(
                lambda progress: selection.select(
                    values.V, target, seconds, greedy=greedy, progress=progress
                )
            )
        except TargetInfeasible as error:
            raise certificates.infeasible(error, values.traits) from error
        result = SelectionResult(
            chosen=chosen,
            baselines=selection.baselines(values.V, values.base),
            confidence=await self._confidence(choice, chosen.members, level),
            output_diversity=await self._output_diversity(request, choice, chosen.members),
        )
        return await self._change(_answer, request, choice.candidates, result)

    async def CertifyPortfolio(
        self, request: selector_pb2.CertifyPortfolioRequest, context: Context
    ) -> selector_pb2.CertifyPortfolioResponse:
        """Certifies given members against the candidates."""
        self._state.check_ready()
        _check_target(request.epsilon, request.delta, 0)
        level = _level(request.confidence_level)
        choice = await self._read(request.candidates)
        values = choice.candidates.values
        members = _members(request, choice.candidates)
        target = Target(request.epsilon, request.delta)
        chosen = await self._compute(selection.certify, values.V, members, target)
        response = selector_pb2.CertifyPortfolioResponse(
            certificate=certificates.certificate(chosen, values.traits),
            baselines=certificates.baselines(
                selection.baselines(values.V, values.base), values.names
            ),
        )
        if values.coverage is not None:
            response.coverage.CopyFrom(certificates.coverage(values.coverage))
        bound = await self._confidence(choice, members, level)
        if bound is not None:
            response.confidence.CopyFrom(certificates.confidence(bound, values.traits))
        return response

    async def TradeoffCurve(
        self, request: selector_pb2.TradeoffCurveRequest, context: Context
    ) -> selector_pb2.TradeoffCurveResponse:
        """The smallest gap of every size."""
        self._state.check_ready()
        if not 0 <= request.max_size <= _MAX_CURVE:
            raise invalid_argument(("max_size", f"{request.max_size} is not 0 to {_MAX_CURVE}"))
        seconds = self._seconds(request)
        choice = await self._read(request.candidates)
        values = choice.candidates.values
        largest = min(request.max_size or _DEFAULT_CURVE, len(values.names))
        points = await self._search(
            lambda progress: selection.curve(values.V, largest, seconds, progress=progress)
        )
        return selector_pb2.TradeoffCurveResponse(
            points=[
                portfolios_pb2.TradeoffPoint(
                    size=point.k,
                    gap=point.gap,
                    gap_lower_bound=point.lower_bound,
                    optimal=point.optimal,
                    policies=[values.names[member] for member in point.indices],
                    worst_weights=certificates.weights(
                        point.certificate.worst_weights_additive, values.traits
                    ),
                    multiplicative_gap=point.certificate.multiplicative,
                )
                for point in points
            ],
            incomplete_policies=choice.candidates.incomplete,
            coverage=None if values.coverage is None else certificates.coverage(values.coverage),
        )

    def _seconds(
        self, request: selector_pb2.SelectPortfolioRequest | selector_pb2.TradeoffCurveRequest
    ) -> float:
        if not request.HasField("time_limit"):
            return self._server.config.selection_seconds
        seconds = request.time_limit.ToTimedelta().total_seconds()
        if seconds <= 0:
            raise invalid_argument(("time_limit", f"{seconds} s is not a time > 0"))
        return seconds

    async def _read(self, wanted: evaluations_pb2.CandidateSet) -> _Choice:
        return await self._database.run(_read, wanted, self._server.config.limits)

    async def _confidence(
        self, choice: _Choice, members: IntArray, level: float
    ) -> ConfidenceBound | None:
        rewards = choice.rewards
        if rewards is None:
            known = choice.candidates.values.coverage
            prompts = known.compared if known else choice.candidates.measurement.prompts
            return await self._compute(
                selection.confidence_of_means, choice.candidates.values.V, prompts, members, level
            )
        return await self._compute(
            lambda: selection.confidence(rewards.X, members, level, clusters=rewards.clusters)
        )

    async def _output_diversity(
        self, request: selector_pb2.SelectPortfolioRequest, choice: _Choice, members: IntArray
    ) -> output_diversity_pb2.OutputDiversity | None:
        """That of a portfolio that is to be stored; it would take most of another's time."""
        if not request.portfolio_id:
            return None
        loaded = choice.candidates
        return await output_diversity.measure(
            self._server, loaded.measurement, loaded.values, members, waits=False
        )


def _read(
    session: Session, wanted: evaluations_pb2.CandidateSet, limits: SelectorLimits
) -> _Choice:
    loaded = candidates.load(session, wanted, limits)
    rewards = None
    if len(loaded.values.names) <= selection.MAX_CONFIDENCE_POLICIES:
        rewards = candidates.rewards_by_prompt(session, loaded)
    return _Choice(loaded, rewards)


def _check_target(epsilon: float, delta: float, max_size: int) -> None:
    violations = []
    if not 0 <= epsilon < 1:
        violations.append(("epsilon", f"{epsilon} is not in [0, 1)"))
    if not 0 <= delta <= 1:
        violations.append(("delta", f"{delta} is not in [0, 1]"))
    if max_size < 0:
        violations.append(("max_size", f"{max_size} is not a number >= 0"))
    if violations:
        raise invalid_argument(*violations)


def _level(level: float) -> float:
    if level == 0:
        return selection.CONFIDENCE_LEVEL
    if not 0.5 < level < 1:
        raise invalid_argument(("confidence_level", f"{level} is not in (0.5, 1)"))
    return level


def _members(request: selector_pb2.CertifyPortfolioRequest, chosen_from: Candidates) -> IntArray:
    if not request.policies:
        if not chosen_from.members:
            raise invalid_argument(("policies", "is required with stored evaluations"))
        return np.array(chosen_from.members, dtype=np.intp)
    rows = {name: index for index, name in enumerate(chosen_from.values.names)}
    unknown = [
        (f"policies[{index}]", f"{name} is not a candidate")
        for index, name in enumerate(request.policies)
        if name not in rows
    ]
    if unknown:
        raise invalid_argument(*unknown)
    return np.array(sorted({rows[name] for name in request.policies}), dtype=np.intp)


def _known(
    session: Session, request: selector_pb2.SelectPortfolioRequest
) -> selector_pb2.SelectPortfolioResponse | None:
    """The answer to an earlier call with the same request id; None for a new one.

    Raises:
        ServiceError: ALREADY_EXISTS for an id that is taken.
    """
    name = names.PORTFOLIOS.name(request.portfolio_id)
    known = operations.find_request(session, _METHOD, request.request_id, request)
    row = portfolios.find(session, request.portfolio_id)
    if known is not None and row is not None:
        return selector_pb2.SelectPortfolioResponse(portfolio=messages.portfolio(session, row))
    if row is not None:
        raise already_exists(
            name,
            f"{name} exists; use another id, or delete it first",
            errors_pb2.ERROR_REASON_RESOURCE_EXISTS,
        )
    return None


def _answer(
    session: Session,
    request: selector_pb2.SelectPortfolioRequest,
    chosen_from: Candidates,
    result: SelectionResult,
) -> selector_pb2.SelectPortfolioResponse:
    spec = portfolios_pb2.PortfolioSpec()
    spec.CopyFrom(chosen_from.spec)
    spec.epsilon, spec.delta = request.epsilon, request.delta
    spec.max_size = request.max_size
    if not request.portfolio_id:
        portfolio = messages.unsaved(session, spec, result, chosen_from.values)
        portfolio.source = chosen_from.source
        portfolio.trait_versions.update(chosen_from.versions)
    else:
        # Another request may have taken the id during the selection.
        known = _known(session, request)
        if known is not None:
            return known
        row = portfolios.add(session, request.portfolio_id, spec)
        row.trait_versions = dict(chosen_from.versions)
        row.source = chosen_from.source
        values = chosen_from.values
        for exclusion in values.coverage.excluded if values.coverage else ():
            portfolios.exclude(session, row.id, exclusion)
        portfolios.publish(
            session,
            row,
            certificates.result(result, values),
            certificates.chosen_from(result.chosen, values),
        )
        portfolio = messages.portfolio(session, row)
        operations.remember_request(session, _METHOD, request.request_id, request, portfolio.name)
    return selector_pb2.SelectPortfolioResponse(
        portfolio=portfolio, incomplete_policies=chosen_from.incomplete
    )
