"""Calls that read, delete and use portfolios."""

from sqlalchemy.orm import Session

from palmfolio.v1 import portfolios_pb2, selector_pb2, types_pb2
from palmfolio_palm import route
from palmfolio_runtime import names
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_runtime.weights import canonical_weights
from palmfolio_selector.calls.call_group import CallGroup
from palmfolio_selector.messages import portfolios as messages
from palmfolio_selector.store import portfolios
from palmfolio_selector.store.measurement import spec_of


class PortfolioCalls(CallGroup):
    """`GetPortfolio`, `ListPortfolios`, `DeletePortfolio`, `Route`."""

    async def GetPortfolio(
        self, request: selector_pb2.GetPortfolioRequest, context: Context
    ) -> portfolios_pb2.Portfolio:
        """One portfolio."""
        self._state.check_ready()
        identifier = names.PORTFOLIOS.parse(request.name, "name")
        return await self._database.run(_portfolio, identifier)

    async def ListPortfolios(
        self, request: selector_pb2.ListPortfoliosRequest, context: Context
    ) -> selector_pb2.ListPortfoliosResponse:
        """Portfolios, newest first."""
        self._state.check_ready()
        limits = self._server.config.limits
        return await self._database.run(_page, request, limits.max_message_bytes)

    async def DeletePortfolio(
        self, request: selector_pb2.DeletePortfolioRequest, context: Context
    ) -> selector_pb2.DeletePortfolioResponse:
        """Deletes a portfolio that is not being built."""
        self._state.check_ready()
        identifier = names.PORTFOLIOS.parse(request.name, "name")
        await self._database.run(portfolios.delete, identifier)
        return selector_pb2.DeletePortfolioResponse()

    async def Route(
        self, request: selector_pb2.RouteRequest, context: Context
    ) -> selector_pb2.RouteResponse:
        """The member that serves the weights best."""
        self._state.check_ready()
        identifier = names.PORTFOLIOS.parse(request.portfolio, "portfolio")
        return await self._database.run(_route, identifier, request.weights)


def _portfolio(session: Session, identifier: str) -> portfolios_pb2.Portfolio:
    return messages.portfolio(session, portfolios.get(session, identifier))


def _page(
    session: Session, request: selector_pb2.ListPortfoliosRequest, max_bytes: int
) -> selector_pb2.ListPortfoliosResponse:
    shown, token = portfolios.list_page(
        session,
        request.page_size,
        request.page_token,
        lambda row: messages.portfolio(session, row, answers=False),
        max_bytes,
    )
    return selector_pb2.ListPortfoliosResponse(portfolios=shown, next_page_token=token)


def _route(
    session: Session, identifier: str, preference: types_pb2.Weights
) -> selector_pb2.RouteResponse:
    row = portfolios.get_ready(session, identifier)
    weights = canonical_weights(preference.values, spec_of(row).traits)
    candidates = portfolios.candidates(session, identifier)
    members = [index for index, candidate in enumerate(candidates) if candidate.selected]
    traits = tuple(weights)
    best = route(
        [[candidate.value[trait] for trait in traits] for candidate in candidates],
        members,
        [weights[trait] for trait in traits],
    )
    chosen = candidates[best.index]
    return selector_pb2.RouteResponse(
        policy=chosen.policy.name,
        weights=types_pb2.Weights(values=weights),
        value=chosen.value,
        utility=best.utility,
        gap=best.gap,
        adapter=chosen.policy.adapter,
    )
