"""The selector's client for asyncio."""

# ruff: noqa: ASYNC109 - `timeout` travels to the server as the call's deadline.

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from palmfolio import types
from palmfolio._async_client.service import AsyncService
from palmfolio._calls import selector as calls
from palmfolio._calls import services
from palmfolio._operations import AsyncOperation

AsyncBuild = AsyncOperation[types.Portfolio, types.BuildEvent]
"""As `Build`."""


class AsyncSelector(AsyncService):
    """`Selector` for asyncio.

    Example:
        async def member(client: palmfolio.AsyncClient) -> str:
            route = await client.selector.route("quickstart", {"brevity": 2, "warmth": 1})
            return route.policy
    """

    async def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """As `Selector.server_info`."""
        return await self._transport.unary(services.server_info("selector"), timeout)

    async def create_prompt_set(
        self,
        prompts: Sequence[str | types.Prompt],
        *,
        display_name: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.PromptSet:
        """As `Selector.create_prompt_set`."""
        call = calls.create_prompt_set(prompts, display_name, request_id)
        return await self._transport.unary(call, timeout)

    async def get_prompt_set(self, name: str, *, timeout: float | None = None) -> types.PromptSet:
        """As `Selector.get_prompt_set`."""
        return await self._transport.unary(calls.get_prompt_set(name), timeout)

    def list_prompt_sets(self) -> AsyncIterator[types.PromptSet]:
        """As `Selector.list_prompt_sets`."""
        return self._pages(calls.list_prompt_sets)

    def list_prompts(self, prompt_set: str) -> AsyncIterator[types.Prompt]:
        """As `Selector.list_prompts`."""
        return self._pages(lambda token: calls.list_prompts(prompt_set, token))

    async def build_portfolio(
        self,
        portfolio_id: str,
        spec: types.PortfolioSpec,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> AsyncBuild:
        """As `Selector.build_portfolio`."""
        call = calls.build_portfolio(portfolio_id, spec, request_id)
        return AsyncOperation(
            self._transport, calls.BUILD, await self._transport.unary(call, timeout)
        )

    async def get_portfolio(self, name: str, *, timeout: float | None = None) -> types.Portfolio:
        """As `Selector.get_portfolio`."""
        return await self._transport.unary(calls.get_portfolio(name), timeout)

    def list_portfolios(self) -> AsyncIterator[types.Portfolio]:
        """As `Selector.list_portfolios`."""
        return self._pages(calls.list_portfolios)

    async def delete_portfolio(self, name: str, *, timeout: float | None = None) -> None:
        """As `Selector.delete_portfolio`."""
        await self._transport.unary(calls.delete_portfolio(name), timeout)

    async def route(
        self, portfolio: str, weights: types.Weights, *, timeout: float | None = None
    ) -> types.Route:
        """As `Selector.route`."""
        return await self._transport.unary(calls.route(portfolio, weights), timeout)

    async def plan_portfolio(
        self, spec: types.PortfolioSpec, *, timeout: float | None = None
    ) -> types.Plan:
        """As `Selector.plan_portfolio`."""
        return await self._transport.unary(calls.plan_portfolio(spec), timeout)

    async def import_evaluations(
        self,
        source: str,
        traits: Sequence[str],
        evaluations: Iterable[types.ImportedEvaluation],
        *,
        trait_versions: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> types.EvaluationImport:
        """As `Selector.import_evaluations`; the rows are read on the event loop."""
        call = calls.import_evaluations(source, traits, evaluations, trait_versions)
        return await self._transport.client_stream(call, timeout)

    def list_evaluations(
        self, *, policy: str | None = None, trait: str | None = None, source: str | None = None
    ) -> AsyncIterator[types.Evaluation]:
        """As `Selector.list_evaluations`."""
        return self._pages(lambda token: calls.list_evaluations(policy, trait, source, token))

    async def select_portfolio(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        epsilon: float = 0.0,
        delta: float = 0.0,
        max_size: int | None = None,
        method: types.SelectionMethod = types.SelectionMethod.MINIMUM,
        time_limit: float | None = None,
        confidence_level: float | None = None,
        portfolio_id: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.Selection:
        """As `Selector.select_portfolio`."""
        call = calls.select_portfolio(
            candidates,
            epsilon=epsilon,
            delta=delta,
            max_size=max_size,
            method=method,
            time_limit=time_limit,
            confidence_level=confidence_level,
            portfolio_id=portfolio_id,
            request_id=request_id,
        )
        return await self._transport.unary(call, timeout)

    async def certify_portfolio(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        policies: Sequence[str] = (),
        epsilon: float = 0.0,
        delta: float = 0.0,
        confidence_level: float | None = None,
        timeout: float | None = None,
    ) -> types.Certification:
        """As `Selector.certify_portfolio`."""
        call = calls.certify_portfolio(candidates, policies, epsilon, delta, confidence_level)
        return await self._transport.unary(call, timeout)

    async def tradeoff_curve(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        max_size: int | None = None,
        time_limit: float | None = None,
        timeout: float | None = None,
    ) -> tuple[types.TradeoffPoint, ...]:
        """As `Selector.tradeoff_curve`."""
        call = calls.tradeoff_curve(candidates, max_size, time_limit)
        return await self._transport.unary(call, timeout)

    async def operation(self, name: str, *, timeout: float | None = None) -> AsyncBuild:
        """As `Selector.operation`."""
        message = await self._transport.unary(services.get_operation("selector", name), timeout)
        return AsyncOperation(self._transport, calls.BUILD, message)

    async def list_operations(self) -> AsyncIterator[AsyncBuild]:
        """As `Selector.list_operations`."""
        async for message in self._pages(lambda token: services.list_operations("selector", token)):
            yield AsyncOperation(self._transport, calls.BUILD, message)
