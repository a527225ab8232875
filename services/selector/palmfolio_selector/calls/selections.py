"""Calls that select and certify from what is stored."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, selector_pb2
from palmfolio_palm import selection
from palmfolio_palm.selection import Bound, Target, TargetInfeasible
from palmfolio_palm.validation import FloatArray, IntArray
from palmfolio_runtime import names, operations
from palmfolio_runtime.errors import already_exists, invalid_argument
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_selector.calls.base import Calls
from palmfolio_selector.messages import certificates
from palmfolio_selector.messages import portfolios as resources
from palmfolio_selector.messages.certificates import Found
from palmfolio_selector.store import candidates, portfolios
from palmfolio_selector.store.candidates import Candidates

_METHOD = "SelectPortfolio"
_DEFAULT_LEVEL = 0.95
_DEFAULT_CURVE = 8
_MAX_CURVE = 64


@dataclass(frozen=True)
class _Read:
    """Candidates, with their rewards by prompt where a bound can be had from them."""

    candidates: Candidates
    X: FloatArray | None


class SelectionCalls(Calls):
    """`SelectPortfolio`, `CertifyPortfolio`, `TradeoffCurve`."""

    async def SelectPortfolio(
        self, request: selector_pb2.SelectPortfolioRequest, context: Context
    ) -> selector_pb2.SelectPortfolioResponse:
        """Selects from stored evaluations, and stores the portfolio when it is given an id."""
        self._state.check_ready()
        _check_target(request.epsilon, request.delta, request.max_size)
        level = _level(request.confidence_level)
        seconds = self._seconds(request)
        if request.portfolio_id:
            names.check_request_id(request.request_id)
            names.check_chosen_id(request.portfolio_id, "portfolio_id")
            known = await self._database.run(_known, request)
            if known is not None:
                return known
        read = await self._read(request.candidates)
        values = read.candidates.values
        target = Target(request.epsilon, request.delta, request.max_size)
        greedy = request.method == selector_pb2.SELECTION_METHOD_GREEDY
        try:
            chosen = await self._search(
                lambda stopped: selection.select(
                    values.V, target, seconds, greedy=greedy, stopped=stopped
                )
            )
        except TargetInfeasible as error:
            raise certificates.infeasible(error, values.traits) from error
        found = Found(
            chosen=chosen,
            baselines=selection.baselines(values.V, values.base),
            confidence=await self._confidence(read, chosen.members, level),
        )
        return await self._change(_answer, request, read.candidates, found)

    async def CertifyPortfolio(
        self, request: selector_pb2.CertifyPortfolioRequest, context: Context
    ) -> selector_pb2.CertifyPortfolioResponse:
        """Certifies given members against the candidates."""
        self._state.check_ready()
        _check_target(request.epsilon, request.delta, 0)
        level = _level(request.confidence_level)
        read = await self._read(request.candidates)
        values = read.candidates.values
        members = _members(request, read.candidates)
        target = Target(request.epsilon, request.delta)
        chosen = await self._compute(selection.certify, values.V, members, target)
        response = selector_pb2.CertifyPortfolioResponse(
            certificate=certificates.certificate(chosen, values.traits),
            baselines=certificates.baselines(
                selection.baselines(values.V, values.base), values.names
            ),
        )
        bound = await self._confidence(read, members, level)
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
        read = await self._read(request.candidates)
        values = read.candidates.values
        largest = min(request.max_size or _DEFAULT_CURVE, len(values.names))
        points = await self._search(
            lambda stopped: selection.curve(values.V, largest, seconds, stopped=stopped)
        )
        return selector_pb2.TradeoffCurveResponse(
            points=[
                selector_pb2.TradeoffPoint(
                    size=point.size,
                    gap=point.gap,
                    gap_lower_bound=point.lower_bound,
                    optimal=point.optimal,
                    policies=[values.names[member] for member in point.members],
                    worst_weights=certificates.weights(point.worst_weights, values.traits),
                )
                for point in points
            ],
            incomplete_policies=read.candidates.incomplete,
        )

    def _seconds(
        self, request: selector_pb2.SelectPortfolioRequest | selector_pb2.TradeoffCurveRequest
    ) -> float:
        if not request.HasField("time_limit"):
            return self._tools.config.selection_seconds
        seconds = request.time_limit.ToTimedelta().total_seconds()
        if seconds <= 0:
            raise invalid_argument(("time_limit", f"{seconds} s is not a time > 0"))
        return seconds

    async def _read(self, wanted: selector_pb2.CandidateSet) -> _Read:
        limits = self._tools.config.limits

        def read(session: Session) -> _Read:
            found = candidates.load(session, wanted, limits)
            X = None
            if len(found.values.names) <= selection.MAX_CONFIDENCE_POLICIES:
                X = candidates.rewards_by_prompt(session, found)
            return _Read(found, X)

        return await self._database.run(read)

    async def _confidence(self, read: _Read, members: IntArray, level: float) -> Bound | None:
        if read.X is None:
            return None
        return await self._compute(selection.confidence, read.X, members, level)


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
        return _DEFAULT_LEVEL
    if not 0.5 < level < 1:
        raise invalid_argument(("confidence_level", f"{level} is not in (0.5, 1)"))
    return level


def _members(request: selector_pb2.CertifyPortfolioRequest, found: Candidates) -> IntArray:
    if not request.policies:
        if not found.members:
            raise invalid_argument(("policies", "is required with stored evaluations"))
        return np.array(found.members, dtype=np.intp)
    rows = {name: index for index, name in enumerate(found.values.names)}
    unknown = [
        (f"policies[{index}]", f"{name} is no candidate")
        for index, name in enumerate(request.policies)
        if name not in rows
    ]
    if unknown:
        raise invalid_argument(*unknown)
    return np.array(sorted({rows[name] for name in request.policies}), dtype=np.intp)


def _known(
    session: Session, request: selector_pb2.SelectPortfolioRequest
) -> selector_pb2.SelectPortfolioResponse | None:
    """What the same request answered before.

    Raises:
        ServiceError: ALREADY_EXISTS for an id that is taken.
    """
    name = names.PORTFOLIOS.name(request.portfolio_id)
    known = operations.find_request(session, _METHOD, request.request_id, request)
    row = portfolios.find(session, request.portfolio_id)
    if known is not None and row is not None:
        return selector_pb2.SelectPortfolioResponse(portfolio=resources.portfolio(session, row))
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
    found_in: Candidates,
    found: Found,
) -> selector_pb2.SelectPortfolioResponse:
    spec = selector_pb2.PortfolioSpec()
    spec.CopyFrom(found_in.spec)
    spec.epsilon, spec.delta = request.epsilon, request.delta
    spec.max_size = request.max_size
    if not request.portfolio_id:
        portfolio = resources.unsaved(session, spec, found, found_in.values)
        portfolio.source = found_in.source
        portfolio.trait_versions.update(found_in.versions)
    else:
        # Another request may have taken the id while this one was selecting.
        known = _known(session, request)
        if known is not None:
            return known
        row = portfolios.add(session, request.portfolio_id, spec)
        row.trait_versions = dict(found_in.versions)
        row.source = found_in.source
        certificates.publish(session, row, found, found_in.values)
        portfolio = resources.portfolio(session, row)
        operations.remember_request(session, _METHOD, request.request_id, request, portfolio.name)
    return selector_pb2.SelectPortfolioResponse(
        portfolio=portfolio, incomplete_policies=found_in.incomplete
    )
