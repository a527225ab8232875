"""The client for asyncio: `_client`, method by method, where the arguments are explained."""

# ruff: noqa: ASYNC109 - `timeout` travels to the server as the call's deadline.

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from palmfolio import _calls, types
from palmfolio._calls import BUILD, TRAINING, Call, Page
from palmfolio._connection import TLS, Timeouts, connection
from palmfolio._operations import AsyncOperation
from palmfolio._retry import Deadline
from palmfolio._scoring import tasks
from palmfolio._scoring.session import DEFAULT_WINDOW, Session
from palmfolio._transport import AsyncTransport

Item = TypeVar("Item")

AsyncTraining = AsyncOperation[types.Policy, types.TrainingEvent]
AsyncBuild = AsyncOperation[types.Portfolio, types.BuildEvent]


class AsyncClient:
    """`Client` for asyncio; belongs to the event loop that it is first used on."""

    def __init__(
        self,
        endpoints: Mapping[str, str] | str | Path | None = None,
        *,
        scorer: str | None = None,
        trainer: str | None = None,
        selector: str | None = None,
        token: str | None = None,
        tls: TLS | None = None,
        insecure: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        explicit = {"scorer": scorer, "trainer": trainer, "selector": selector}
        settled = connection(endpoints, explicit, token, tls, insecure)
        self._transport = AsyncTransport(settled, timeouts or Timeouts())
        self.scorer = AsyncScorer(self._transport)
        self.trainer = AsyncTrainer(self._transport)
        self.selector = AsyncSelector(self._transport)

    async def close(self) -> None:
        """As `Client.close`."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class _Service:
    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _pages(self, call: Callable[[str], Call[Page[Item]]]) -> AsyncIterator[Item]:
        token = ""
        while True:
            items, token = await self._transport.unary(call(token))
            for item in items:
                yield item
            if not token:
                return


class AsyncScorer(_Service):
    """`Scorer` for asyncio."""

    async def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """As `Scorer.server_info`."""
        return await self._transport.unary(_calls.server_info("scorer"), timeout)

    def list_traits(self) -> AsyncIterator[types.Trait]:
        """As `Scorer.list_traits`."""
        return self._pages(_calls.list_traits)

    async def score(
        self,
        samples: Iterable[types.Sample],
        *,
        traits: Sequence[str] = (),
        timeout: float | None = None,
    ) -> types.Rewards:
        """As `Scorer.score`."""
        return await self._transport.unary(_calls.score(samples, traits), timeout)

    async def score_stream(
        self,
        samples: Iterable[types.Sample] | AsyncIterable[types.Sample],
        *,
        traits: Sequence[str] = (),
        window: int = DEFAULT_WINDOW,
        timeout: float | None = None,
    ) -> AsyncIterator[types.ScoredSample]:
        """As `Scorer.score_stream`; the samples are read by another task."""
        deadline = Deadline(timeout)
        info = await self.server_info(timeout=deadline.remaining())
        served = [trait async for trait in self.list_traits()]
        session = Session(self._transport, info, served, traits, window, deadline)
        # `async for` alone would leave the inner iterator open when this one is dropped.
        async with contextlib.aclosing(tasks.scored(self._transport, session, samples)) as results:
            async for result in results:
                yield result

    async def calibrate(
        self,
        trait: str,
        samples: Iterable[types.Sample],
        *,
        method: types.CalibrationMethod,
        tail: float = 0.0,
        validate_only: bool = False,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.Calibration:
        """As `Scorer.calibrate`."""
        call = _calls.calibrate(trait, samples, method, tail, validate_only, request_id)
        return await self._transport.unary(call, timeout)


class AsyncTrainer(_Service):
    """`Trainer` for asyncio."""

    async def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """As `Trainer.server_info`."""
        return await self._transport.unary(_calls.server_info("trainer"), timeout)

    async def train_policy(
        self,
        spec: types.PolicySpec,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> AsyncTraining:
        """As `Trainer.train_policy`."""
        message = await self._transport.unary(_calls.train_policy(spec, request_id), timeout)
        return _training(self._transport, message)

    async def get_policy(self, name: str, *, timeout: float | None = None) -> types.Policy:
        """As `Trainer.get_policy`."""
        return await self._transport.unary(_calls.get_policy(name), timeout)

    def list_policies(self) -> AsyncIterator[types.Policy]:
        """As `Trainer.list_policies`."""
        return self._pages(_calls.list_policies)

    async def delete_policy(self, name: str, *, timeout: float | None = None) -> None:
        """As `Trainer.delete_policy`."""
        await self._transport.unary(_calls.delete_policy(name), timeout)

    async def generate(
        self,
        policies: Sequence[str],
        prompts: Sequence[str],
        *,
        sampling: types.SamplingConfig | None = None,
        timeout: float | None = None,
    ) -> list[types.Completion]:
        """As `Trainer.generate`."""
        stream = self.generate_stream(policies, prompts, sampling=sampling, timeout=timeout)
        return _calls.in_request_order([item async for item in stream], policies)

    async def generate_stream(
        self,
        policies: Sequence[str],
        prompts: Sequence[str],
        *,
        sampling: types.SamplingConfig | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[types.Completion]:
        """As `Trainer.generate_stream`."""
        call = _calls.generate(policies, prompts, sampling)
        async for batch in self._transport.stream(call, timeout):
            for completion in batch:
                yield completion

    async def operation(self, name: str, *, timeout: float | None = None) -> AsyncTraining:
        """As `Trainer.operation`."""
        message = await self._transport.unary(_calls.get_operation("trainer", name), timeout)
        return _training(self._transport, message)

    async def list_operations(self) -> AsyncIterator[AsyncTraining]:
        """As `Trainer.list_operations`."""
        async for message in self._pages(lambda token: _calls.list_operations("trainer", token)):
            yield _training(self._transport, message)


class AsyncSelector(_Service):
    """`Selector` for asyncio."""

    async def server_info(self, *, timeout: float | None = None) -> types.ServerInfo:
        """As `Selector.server_info`."""
        return await self._transport.unary(_calls.server_info("selector"), timeout)

    async def create_prompt_set(
        self,
        prompts: Sequence[str],
        *,
        display_name: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.PromptSet:
        """As `Selector.create_prompt_set`."""
        call = _calls.create_prompt_set(prompts, display_name, request_id)
        return await self._transport.unary(call, timeout)

    async def build_portfolio(
        self,
        portfolio_id: str,
        spec: types.PortfolioSpec,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> AsyncBuild:
        """As `Selector.build_portfolio`."""
        call = _calls.build_portfolio(portfolio_id, spec, request_id)
        return _build(self._transport, await self._transport.unary(call, timeout))

    async def get_portfolio(self, name: str, *, timeout: float | None = None) -> types.Portfolio:
        """As `Selector.get_portfolio`."""
        return await self._transport.unary(_calls.get_portfolio(name), timeout)

    def list_portfolios(self) -> AsyncIterator[types.Portfolio]:
        """As `Selector.list_portfolios`."""
        return self._pages(_calls.list_portfolios)

    async def delete_portfolio(self, name: str, *, timeout: float | None = None) -> None:
        """As `Selector.delete_portfolio`."""
        await self._transport.unary(_calls.delete_portfolio(name), timeout)

    async def route(
        self, portfolio: str, weights: types.Weights, *, timeout: float | None = None
    ) -> types.Route:
        """As `Selector.route`."""
        return await self._transport.unary(_calls.route(portfolio, weights), timeout)

    async def plan_portfolio(
        self, spec: types.PortfolioSpec, *, timeout: float | None = None
    ) -> types.Plan:
        """As `Selector.plan_portfolio`."""
        return await self._transport.unary(_calls.plan_portfolio(spec), timeout)

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
        call = _calls.import_evaluations(source, traits, evaluations, trait_versions)
        return await self._transport.client_stream(call, timeout)

    def list_evaluations(
        self, *, policy: str = "", trait: str = "", source: str = ""
    ) -> AsyncIterator[types.Evaluation]:
        """As `Selector.list_evaluations`."""
        return self._pages(lambda token: _calls.list_evaluations(policy, trait, source, token))

    async def select_portfolio(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        epsilon: float = 0.0,
        delta: float = 0.0,
        max_size: int = 0,
        method: types.SelectionMethod = types.SelectionMethod.MINIMUM,
        time_limit: float | None = None,
        confidence_level: float = 0.0,
        portfolio_id: str = "",
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> types.Selection:
        """As `Selector.select_portfolio`."""
        target = (epsilon, delta, max_size)
        call = _calls.select_portfolio(
            candidates, target, method, time_limit, confidence_level, portfolio_id, request_id
        )
        return await self._transport.unary(call, timeout)

    async def certify_portfolio(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        policies: Sequence[str] = (),
        epsilon: float = 0.0,
        delta: float = 0.0,
        timeout: float | None = None,
    ) -> types.Certification:
        """As `Selector.certify_portfolio`."""
        call = _calls.certify_portfolio(candidates, policies, epsilon, delta)
        return await self._transport.unary(call, timeout)

    async def tradeoff_curve(
        self,
        candidates: str | types.StoredEvaluations,
        *,
        max_size: int = 0,
        time_limit: float | None = None,
        timeout: float | None = None,
    ) -> tuple[types.TradeoffPoint, ...]:
        """As `Selector.tradeoff_curve`."""
        call = _calls.tradeoff_curve(candidates, max_size, time_limit)
        return await self._transport.unary(call, timeout)

    async def operation(self, name: str, *, timeout: float | None = None) -> AsyncBuild:
        """As `Selector.operation`."""
        message = await self._transport.unary(_calls.get_operation("selector", name), timeout)
        return _build(self._transport, message)

    async def list_operations(self) -> AsyncIterator[AsyncBuild]:
        """As `Selector.list_operations`."""
        async for message in self._pages(lambda token: _calls.list_operations("selector", token)):
            yield _build(self._transport, message)


def _training(transport: AsyncTransport, message: Any) -> AsyncTraining:
    return AsyncOperation(transport, TRAINING, message)


def _build(transport: AsyncTransport, message: Any) -> AsyncBuild:
    return AsyncOperation(transport, BUILD, message)
