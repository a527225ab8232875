"""Calls that read, delete and use portfolios."""

from sqlalchemy.orm import Session

from palmfolio.v1 import errors_pb2, selector_pb2, types_pb2
from palmfolio_palm.routing import route
from palmfolio_runtime import names
from palmfolio_runtime.errors import failed_precondition
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_runtime.weights import canonical_weights
from palmfolio_selector.builds import state
from palmfolio_selector.calls.base import Calls
from palmfolio_selector.messages import portfolios as resources
from palmfolio_selector.store import portfolios
from palmfolio_selector.store.tables import PortfolioRow, PortfolioState


class PortfolioCalls(Calls):
    """`GetPortfolio`, `ListPortfolios`, `DeletePortfolio`, `Route`."""

    async def GetPortfolio(
        self, request: selector_pb2.GetPortfolioRequest, context: Context
    ) -> selector_pb2.Portfolio:
        """One portfolio."""
        self._state.check_ready()
        identifier = names.PORTFOLIOS.parse(request.name, "name")

        def read(session: Session) -> selector_pb2.Portfolio:
            return resources.portfolio(session, portfolios.get(session, identifier))

        return await self._database.run(read)

    async def ListPortfolios(
        self, request: selector_pb2.ListPortfoliosRequest, context: Context
    ) -> selector_pb2.ListPortfoliosResponse:
        """Portfolios, newest first."""
        self._state.check_ready()

        def read(session: Session) -> selector_pb2.ListPortfoliosResponse:
            rows, token = portfolios.list_page(session, request.page_size, request.page_token)
            return selector_pb2.ListPortfoliosResponse(
                portfolios=[resources.portfolio(session, row, answers=False) for row in rows],
                next_page_token=token,
            )

        return await self._database.run(read)

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


def check_ready(row: PortfolioRow) -> None:
    """
    Raises:
        ServiceError: FAILED_PRECONDITION until the portfolio is ready.
    """
    if row.state is not PortfolioState.READY:
        raise failed_precondition(
            errors_pb2.ERROR_REASON_RESOURCE_NOT_READY,
            f"portfolios/{row.id} is {row.state}; it can be used once it is ready",
        )


def _route(
    session: Session, identifier: str, preference: types_pb2.Weights
) -> selector_pb2.RouteResponse:
    row = portfolios.get(session, identifier)
    check_ready(row)
    weights = canonical_weights(preference.values, state.spec_of(row).traits)
    candidates = portfolios.candidates(session, identifier)
    members = [index for index, one in enumerate(candidates) if one.selected]
    found = route([one.value for one in candidates], members, weights)
    chosen = candidates[found.index]
    return selector_pb2.RouteResponse(
        policy=chosen.policy.name,
        weights=types_pb2.Weights(values=weights),
        value=chosen.value,
        utility=found.utility,
        gap=found.gap,
        adapter=chosen.policy.adapter,
    )
