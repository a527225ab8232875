"""The loop of one build: read what exists, plan, act, read again."""

import asyncio
from typing import assert_never

import grpc
from google.rpc import status_pb2

from palmfolio.v1 import portfolios_pb2
from palmfolio_runtime.clients.backoff import DependencyBackoff
from palmfolio_runtime.clients.failures import CallFaulted, CallRejected, DependencyDown
from palmfolio_runtime.errors import ServiceError
from palmfolio_runtime.logs import get_logger
from palmfolio_selector.builds import plan, state
from palmfolio_selector.builds.actions import evaluate, explore, select, train
from palmfolio_selector.builds.context import BuildContext, BuildFailed, ServerParts
from palmfolio_selector.builds.events import EventDraft

log = get_logger(__name__)

# Times that another service may fail while it performs an action, before the action is given up.
_MAX_FAULTS = 3


class BuildLoop:
    """Performs one build to its end."""

    def __init__(
        self,
        server: ServerParts,
        portfolio: str,
        operation: str,
        spec: portfolios_pb2.PortfolioSpec,
    ) -> None:
        self._backoff = DependencyBackoff(server.config.max_backoff_seconds)
        self.context = BuildContext(server, portfolio, operation, spec, self._backoff.answered)
        self._running: dict[str, tuple[plan.Action, asyncio.Task[None]]] = {}
        # By the action's value: the same action of a later plan counts on.
        self._faults: dict[plan.Action, int] = {}
        self._ended = False

    async def run(self) -> None:
        """Returns when the portfolio is ready.

        Raises:
            BuildFailed: it cannot be built.
        """
        try:
            while not self._ended:
                try:
                    await self._turn()
                except ServiceError as error:
                    await self._wait_for_database(error)
        finally:
            # Safe at any moment: actions are idempotent, and the next loop performs them again.
            tasks = [task for _, task in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _turn(self) -> None:
        """Starts the actions that can be started, waits for one to end, and handles its result."""
        context = self.context
        context.facts = await context.read(state.read, context.portfolio)
        self._backoff.answered("database")
        await self._report_recoveries()
        for action in plan.next_actions(context.facts):
            # The plan knows only what is stored, so it names the actions that are running, too.
            if action.lane not in self._running and not self._backoff.blocks(action.needs):
                task = asyncio.create_task(_perform(context, action))
                self._running[action.lane] = (action, task)
        seconds = self._backoff.seconds_left()
        if not self._running:
            # Every action needs a service that is away.
            await asyncio.sleep(seconds or 0)
            return
        tasks = [task for _, task in self._running.values()]
        # Not longer than until the next try of a service that is away.
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for lane, (action, task) in list(self._running.items()):
            if task.done():
                del self._running[lane]
                await self._ended_action(action, task)

    async def _ended_action(self, action: plan.Action, task: asyncio.Task[None]) -> None:
        try:
            task.result()
        except DependencyDown as error:
            await self._wait_for(error)
        except CallFaulted as error:
            self._faults[action] = self._faults.get(action, 0) + 1
            if self._faults[action] < _MAX_FAULTS:
                await self._wait_for(error)
            else:
                await _give_up(self.context, action, error.status)
        except CallRejected as error:
            await _give_up(self.context, action, error.status)
        else:
            self._faults.pop(action, None)
            self._ended = isinstance(action, plan.Select)

    async def _wait_for(self, error: DependencyDown | CallFaulted) -> None:
        name = error.dependency
        message = error.status.message
        if not self._backoff.failed(name, message):
            # The watchers know already; an event for every try would bury the others.
            return
        server = self.context.server
        address = (server.trainer if name == "trainer" else server.scorer).address
        await self.context.report(
            EventDraft(
                portfolios_pb2.BUILD_STAGE_WAITING,
                f"waiting for the {name} at {address}: {message}",
            )
        )

    async def _report_recoveries(self) -> None:
        for name in self._backoff.take_back():
            await self.context.report(
                EventDraft(portfolios_pb2.BUILD_STAGE_WAITING, f"the {name} is back")
            )

    async def _wait_for_database(self, error: ServiceError) -> None:
        if error.code is not grpc.StatusCode.UNAVAILABLE:
            raise error
        # No event tells the watchers: events are in the database.
        log.warning("waiting for the database", error=error.message)
        self._backoff.failed("database", error.message)
        await asyncio.sleep(self._backoff.seconds_left() or 0)


async def _perform(context: BuildContext, action: plan.Action) -> None:
    match action:
        case plan.Prepare():
            await train.prepare(context)
        case plan.Submit(position):
            await train.submit(context, position)
        case plan.GiveUp(position):
            await train.give_up(context, position)
        case plan.Follow(position):
            await train.follow(context, position)
        case plan.Sample(policy):
            await evaluate.sample(context, policy)
        case plan.Score(policy):
            await evaluate.score(context, policy)
        case plan.Drop(policy):
            await evaluate.drop(context, policy)
        case plan.Explore():
            await explore.explore(context)
        case plan.Select():
            await select.select(context)
        case _:
            assert_never(action)


async def _give_up(context: BuildContext, action: plan.Action, status: status_pb2.Status) -> None:
    """Goes on without the policy that an action was for; other actions end the build."""
    match action:
        case plan.Submit(position) | plan.Follow(position):
            await train.fail(context, position, status)
        case plan.Sample(policy):
            await evaluate.abandon(context, policy, status)
        case _:
            raise BuildFailed(status)
