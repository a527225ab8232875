"""Calls that build portfolios, watch builds and estimate them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from google.longrunning import operations_pb2

from palmfolio.v1 import portfolios_pb2, selector_pb2
from palmfolio_runtime import names, operations
from palmfolio_runtime.clients.failures import CallError
from palmfolio_runtime.serving.rpc_types import Context
from palmfolio_selector.builds import estimate, references
from palmfolio_selector.builds.actions.train import unknown_base_model, unknown_traits
from palmfolio_selector.calls.call_group import CallGroup
from palmfolio_selector.domain import strategies
from palmfolio_selector.domain.spec import canonical_spec
from palmfolio_selector.store import builds

# A service that is away does not delay the call: the build checks the names again, and waits.
_CHECK_SECONDS = 2.0


class BuildCalls(CallGroup):
    """`BuildPortfolio`, `WatchBuild`, `PlanPortfolio`."""

    async def BuildPortfolio(
        self, request: selector_pb2.BuildPortfolioRequest, context: Context
    ) -> operations_pb2.Operation:
        """Starts a build, or returns or resumes the existing build of the portfolio."""
        self._state.check_ready()
        names.check_request_id(request.request_id)
        names.check_chosen_id(request.portfolio_id, "portfolio_id")
        limits = self._server.config.limits
        spec = canonical_spec(request.spec, limits)
        strategies.check_budget(spec, limits)
        await self._check_names(spec)
        most = strategies.max_trainings(spec, limits)
        row, is_new = await self._change(builds.begin, request, spec, most)
        if is_new:
            self._builds.launch(row)
        return operations.to_proto(row)

    async def _check_names(self, spec: portfolios_pb2.PortfolioSpec) -> None:
        """Fails for what scorer and trainer would refuse, if they answer.

        That is: traits and base models that they do not know, and prompts without the reference
        that a trait compares with.
        """
        with contextlib.suppress(CallError, TimeoutError):
            async with asyncio.timeout(_CHECK_SECONDS):
                traits = await self._server.scorer.traits()
            unknown = [trait for trait in spec.traits if trait not in traits]
            if unknown:
                raise unknown_traits(unknown, list(traits))
            problem = await self._database.run(references.problem, spec, traits)
            if problem is not None:
                raise problem
        with contextlib.suppress(CallError, TimeoutError):
            async with asyncio.timeout(_CHECK_SECONDS):
                bases = await self._server.trainer.base_models()
            if spec.base_model not in bases:
                raise unknown_base_model(spec.base_model, list(bases))

    async def WatchBuild(
        self, request: selector_pb2.WatchBuildRequest, context: Context
    ) -> AsyncIterator[portfolios_pb2.BuildEvent]:
        """The events of a build, until it is done."""
        self._state.check_ready()
        async for payload in operations.watch(
            self._database, self._server.changes, request.operation, request.after_event
        ):
            yield portfolios_pb2.BuildEvent.FromString(payload)

    async def PlanPortfolio(
        self, request: selector_pb2.PlanPortfolioRequest, context: Context
    ) -> selector_pb2.PlanPortfolioResponse:
        """Estimates a build without starting it."""
        self._state.check_ready()
        limits = self._server.config.limits
        spec = canonical_spec(request.spec, limits)
        await self._check_names(spec)
        return await self._database.run(estimate.estimate, spec, limits)
